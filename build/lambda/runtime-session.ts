// The Runtime API as one runtime process sees it, from its start to its end: routes, state machine, what was answered and
// when. Hands out invocations and settles their outcomes. Knows HTTP requests, but not the server they came through, nor
// the process that made them.
// Wire contract: docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html and AWS's emulator (see runtime-state.ts).
import type { IncomingMessage, ServerResponse } from 'node:http';
import { deferred } from './deferred.ts';
import { InternalExtensions } from './extensions.ts';
import { type OfferOptions, type Outcome, receiveError, receiveResponse } from './runtime-answer.ts';
import { collect, drainThen, plain, send } from './runtime-http.ts';
import { deliver, type Invocation, jsonOrBytes, type ReportedError, reported } from './runtime-message.ts';
import { type Answer, answers, maxPayloadBytes, mayMove, messageOf, type RuntimeState } from './runtime-state.ts';

export interface Offer {
  /** Settles when the runtime has answered; never rejects, and never settles when the runtime does not answer. */
  readonly outcome: Promise<Outcome>;
  /** Settles at the `next` after the answer: only then is an invocation over (Developer Guide: runtimes-api). */
  readonly finished: Promise<{ readonly at: number }>;
}

/** A call that Lambda would have refused. */
export interface Violation {
  readonly method: string;
  readonly path: string;
  readonly state: RuntimeState;
  readonly status: number;
  readonly message: string;
}

interface Pending extends OfferOptions {
  /** Settles when the extensions are done with it, too. */
  readonly extensions: Promise<unknown>;
  readonly invocation: Invocation;
  readonly settle: (outcome: Outcome) => void;
  readonly finish: (moment: { at: number }) => void;
}

const prefix = '/2018-06-01';
/** The life of one runtime process as the API sees it: from its start to the `begin()` of the next one. */
export class RuntimeSession {
  readonly #ready = deferred<{ readonly at: number }>();
  readonly #initError = deferred<ReportedError & { readonly at: number }>();
  /** Settles with the moment of the first `next`: the end of init. */
  readonly ready = this.#ready.promise;
  /** Settles when the runtime posts to /init/error. */
  readonly initError = this.#initError.promise;
  readonly violations: Violation[] = [];
  /** First token of the User-Agent: what Lambda records as the runtime release (Developer Guide: runtimes-api). */
  release: string | undefined;
  /** Value of `Lambda-Runtime-Invocation-Id` on the last answer; Lambda rejects another value, none skips the check. */
  echoedInvocationId: string | undefined;
  state: RuntimeState = 'Started';
  readonly extensions = new InternalExtensions();

  #current: Pending | undefined;
  #waiting: ServerResponse[] = [];

  /**
   * Hands an invocation to the runtime: now when it waits in `next`, else at its next `next`.
   * Throws when the previous invocation is not over (a bug of the caller).
   */
  offer(invocation: Invocation, listeners: OfferOptions = {}): Offer {
    if (this.#current !== undefined) throw new Error('An invocation is still under way in this session.');
    const outcome = deferred<Outcome>();
    const finished = deferred<{ at: number }>();
    const extensions = this.extensions.invoked(invocation);
    this.#current = { ...listeners, extensions, invocation, settle: outcome.resolve, finish: finished.resolve };
    if (this.state === 'Ready' && this.#waiting.length > 0) {
      this.state = 'Running';
      for (const response of this.#waiting.splice(0)) deliver(response, invocation);
    }
    return { outcome: outcome.promise, finished: finished.promise };
  }

  /** @internal One request of the runtime. */
  handle(request: IncomingMessage, response: ServerResponse, at: number): void {
    this.release ??= request.headers['user-agent']?.split(/\s/, 1)[0]?.slice(0, 128);
    const path = (request.url ?? '').split('?', 1)[0] ?? '';
    if (InternalExtensions.owns(path)) {
      this.extensions.handle(request, response, path, this.state === 'Started');
      return;
    }
    const route = path.startsWith(`${prefix}/`) ? path.slice(prefix.length) : undefined;
    const answer = /^\/runtime\/invocation\/([^/]+)\/(response|error)$/.exec(route ?? '');
    if (route === '/ping') {
      this.#only('GET', request, response, () => plain(response, 200, 'pong'));
    } else if (route === '/runtime/invocation/next') {
      this.#only('GET', request, response, () => this.#next(request, response, at));
    } else if (route === '/runtime/init/error') {
      this.#only('POST', request, response, () => this.#initFailed(request, response, at));
    } else if (answer !== null) {
      this.#only('POST', request, response, () => this.#answered(request, response, answer[1]!, answer[2]!));
    } else {
      this.#note(request, 404, 'no such route');
      plain(response, 404, '404 page not found\n');
    }
  }

  #only(method: string, request: IncomingMessage, response: ServerResponse, go: () => void): void {
    if (request.method === method) {
      go();
    } else {
      this.#note(request, 405, `only ${method} is allowed here`);
      response.writeHead(405, { Allow: method, 'Content-Length': 0 }).end();
    }
  }

  #next(request: IncomingMessage, response: ServerResponse, at: number): void {
    const current = this.#current;
    if (!mayMove(this.state, 'Ready')) {
      this.#refuse(request, response, answers.invalidTransition(this.state, 'Ready'));
    } else if (this.state === 'Running' && current !== undefined) {
      deliver(response, current.invocation);
    } else if (this.state === 'Started') {
      void this.extensions
        .settled()
        .then(() => this.#ready.resolve({ at: this.extensions.size > 0 ? performance.now() : at }));
      this.#wait(response, current?.invocation);
    } else if (this.state === 'RuntimeResponseSentState') {
      this.#current = undefined;
      void current?.extensions.then(() => current.finish({ at: this.extensions.size > 0 ? performance.now() : at }));
      this.#wait(response, undefined);
    } else {
      this.#wait(response, undefined);
    }
  }

  #wait(response: ServerResponse, invocation: Invocation | undefined): void {
    this.state = invocation === undefined ? 'Ready' : 'Running';
    if (invocation !== undefined) {
      deliver(response, invocation);
      return;
    }
    this.#waiting.push(response);
    response.once('close', () => {
      this.#waiting = this.#waiting.filter((waiting) => waiting !== response);
    });
  }

  #initFailed(request: IncomingMessage, response: ServerResponse, at: number): void {
    collect(request, response, maxPayloadBytes, undefined, (body, _size, whole) => {
      if (!mayMove(this.state, 'InitError')) {
        this.#refuse(request, response, answers.invalidTransition(this.state, 'InitError'));
        return;
      }
      this.state = 'InitError';
      send(response, answers.accepted);
      if (whole) this.#initError.resolve({ ...reported(request, body, jsonOrBytes(body)), at });
    });
  }

  #answered(request: IncomingMessage, response: ServerResponse, requestId: string, verb: string): void {
    const current = this.#current;
    const echoed = request.headers['lambda-runtime-invocation-id'];
    this.echoedInvocationId = typeof echoed === 'string' ? echoed : undefined;
    // AWS checks the id before the state, so a following `next` delivers the running event again.
    const wanted = current?.invocation;
    const stale =
      echoed !== undefined && wanted?.invocationId !== undefined && echoed !== wanted.invocationId && echoed !== '';
    const target = verb === 'response' ? 'InvocationResponse' : 'InvocationErrorResponse';
    const mode = request.headers['lambda-runtime-function-response-mode'] ?? '';
    const refuse = (answer: Answer): void => drainThen(request, () => this.#refuse(request, response, answer));
    if (current === undefined || decode(requestId) !== wanted?.requestId || stale) {
      refuse(answers.invalidRequestId);
    } else if (!mayMove(this.state, target)) {
      refuse(answers.invalidTransition(this.state, target));
    } else if (verb === 'error') {
      this.state = target;
      this.#errorPosted(request, response, current);
    } else if (mode !== '' && mode !== 'streaming') {
      this.state = target;
      // AWS leaves the state as it is here, so the `next` that follows is refused with 403 (Developer Guide: runtimes-api).
      current.settle({ kind: 'invalid-response-mode', at: performance.now() });
      refuse(answers.invalidResponseMode);
    } else {
      this.state = target;
      this.#responsePosted(request, response, current, mode === 'streaming');
    }
  }

  #errorPosted(request: IncomingMessage, response: ServerResponse, current: Pending): void {
    receiveError(request, response, (outcome) => {
      this.state = 'RuntimeResponseSentState';
      current.settle(outcome);
    });
  }

  #responsePosted(request: IncomingMessage, response: ServerResponse, current: Pending, streamed: boolean): void {
    receiveResponse(request, response, current, streamed, (outcome) => {
      this.state = 'RuntimeResponseSentState';
      if (outcome.kind === 'truncated') this.#note(request, answers.truncated.status, messageOf(answers.truncated));
      current.settle(outcome);
    });
  }

  #refuse(request: IncomingMessage, response: ServerResponse, answer: Answer): void {
    this.#note(request, answer.status, messageOf(answer));
    send(response, answer);
  }

  #note(request: IncomingMessage, status: number, message: string): void {
    this.violations.push({
      method: request.method ?? '',
      path: request.url ?? '',
      state: this.state,
      status,
      message,
    });
  }
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
