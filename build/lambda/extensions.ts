// The Extensions API for internal extensions: threads of the runtime process that register before its first `next`, are
// told of invocations, and are the reason why Lambda sends SIGTERM. External extensions are programs of layers, which
// nothing here starts. Knows HTTP requests, but not the processes that make them.
// Source: Developer Guide, runtimes-extensions-api; AWS's emulator, internal/lambda/rapi/handler/agent*.go.
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { collect, drainThen, send } from './runtime-http.ts';
import type { Invocation } from './runtime-message.ts';
import type { Answer } from './runtime-state.ts';

interface Extension {
  readonly subscribed: boolean;
  /** Its request for the next event, while it waits. */
  waiting: ServerResponse | undefined;
  /** An event that came before it asked. */
  event: string | undefined;
  /** Called when it next asks. */
  asked: (() => void)[];
}

const prefix = '/2020-01-01/extension/';
const mostExtensions = 10;
const largestRequest = 64 * 1024;

export class InternalExtensions {
  readonly #all = new Map<string, Extension>();
  readonly #names = new Set<string>();

  get size(): number {
    return this.#all.size;
  }

  /** True when a path belongs to this API. */
  static owns(path: string): boolean {
    return path.startsWith(prefix);
  }

  /** Answers one request. `open`: the runtime has not yet asked for its first invocation. */
  handle(request: IncomingMessage, response: ServerResponse, path: string, open: boolean): void {
    const route = `${request.method} ${path.slice(prefix.length)}`;
    if (route === 'POST register') {
      collect(request, response, largestRequest, undefined, (body) => this.#register(request, response, body, open));
    } else if (route === 'GET event/next') {
      drainThen(request, () => this.#next(request, response));
    } else if (route === 'POST init/error' || route === 'POST exit/error') {
      drainThen(request, () => send(response, { status: 202, body: '{"status":"OK"}\n' }));
    } else {
      drainThen(request, () => send(response, refusal(404, 'UnknownOperation', 'no such route')));
    }
  }

  /** Settles when every extension waits for an event: only then is init over. */
  async settled(): Promise<void> {
    await Promise.all([...this.#all.values()].map((one) => (one.waiting ? undefined : nextAsk(one))));
  }

  /** Tells those that subscribed of an invocation. The result settles when they have all asked again. */
  invoked(invocation: Invocation): Promise<unknown> {
    const event = JSON.stringify({
      eventType: 'INVOKE',
      deadlineMs: Math.trunc(invocation.deadlineMs),
      requestId: invocation.requestId,
      invokedFunctionArn: invocation.functionArn,
      tracing: { type: 'X-Amzn-Trace-Id', value: invocation.traceId ?? '' },
    });
    const told = [...this.#all.values()].filter(({ subscribed }) => subscribed);
    return Promise.all(
      told.map((one) => {
        const again = one.waiting ? nextAsk(one) : nextAsk(one).then(() => nextAsk(one));
        if (one.waiting === undefined) one.event = event;
        else {
          send(one.waiting, { status: 200, body: event });
          one.waiting = undefined;
        }
        return again;
      }),
    );
  }

  #register(request: IncomingMessage, response: ServerResponse, body: Buffer, open: boolean): void {
    const name = request.headers['lambda-extension-name'];
    const events = eventsOf(body);
    const refuse = (type: string, message: string): void => send(response, refusal(403, type, message));
    if (typeof name !== 'string' || name === '')
      refuse('Extension.InvalidExtensionName', 'Lambda-Extension-Name header is missing');
    else if (!open) refuse('Extension.RegistrationClosed', 'Extension registration closed already');
    else if (this.#names.has(name))
      refuse('Extension.AlreadyRegistered', `Extension with name "${name}" already registered`);
    else if (this.#all.size >= mostExtensions) refuse('Extension.TooManyExtensions', 'Extension limit is reached');
    else if (events === undefined) refuse('InvalidRequestFormat', 'The body is not {"events": [...]}');
    else if (events.some((event) => event !== 'INVOKE'))
      refuse('Extension.InvalidEventType', 'Internal extensions may subscribe to INVOKE only');
    else {
      const id = randomUUID();
      this.#names.add(name);
      this.#all.set(id, { subscribed: events.length > 0, waiting: undefined, event: undefined, asked: [] });
      response.setHeader('Lambda-Extension-Identifier', id);
      send(response, { status: 200, body: '{}' });
    }
  }

  #next(request: IncomingMessage, response: ServerResponse): void {
    const id = request.headers['lambda-extension-identifier'];
    const extension = this.#all.get(String(id));
    if (extension === undefined) {
      const type = id === undefined ? 'Extension.MissingExtensionIdentifier' : 'Extension.UnknownExtensionIdentifier';
      send(response, refusal(403, type, 'The extension is not known'));
      return;
    }
    const { event } = extension;
    extension.event = undefined;
    if (event === undefined) extension.waiting = response;
    else send(response, { status: 200, body: event });
    for (const tell of extension.asked.splice(0)) tell();
  }
}

/** The next time an extension asks for an event. */
function nextAsk(extension: Extension): Promise<void> {
  return new Promise((resolve) => extension.asked.push(resolve));
}

function eventsOf(body: Buffer): string[] | undefined {
  try {
    const { events = [] } = JSON.parse(body.toString()) as { events?: unknown };
    return Array.isArray(events) && events.every((event) => typeof event === 'string') ? events : undefined;
  } catch {
    return undefined;
  }
}

function refusal(status: number, errorType: string, errorMessage: string): Answer {
  return { status, body: JSON.stringify({ errorMessage, errorType }) };
}
