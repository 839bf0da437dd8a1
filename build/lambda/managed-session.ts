// The Runtime API of a Managed Instances environment as one runtime process sees it: many `next` at a time, each paired
// by its request id with an answer of its own. No state machine but "is this id under way".
// Knows HTTP requests, but not the server they came through, nor the process that made them.
// Source: AWS's emulator, internal/lambda-managed-instances/{rapi,invoke}; Developer Guide, runtimes-custom.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { deferred } from './deferred.ts';
import { type OfferOptions, type Outcome, receiveError, receiveResponse } from './runtime-answer.ts';
import { collect, drainThen, plain, send } from './runtime-http.ts';
import { deliver, type Invocation, jsonOrBytes, type ReportedError, reported } from './runtime-message.ts';
import { type Answer, answers, maxPayloadBytes, messageOf } from './runtime-state.ts';

interface Pending extends OfferOptions {
  readonly invocation: Invocation;
  readonly settle: (outcome: Outcome) => void;
  answering: boolean;
}

/** How many timed-out invocations the server remembers, to tell a late answer from a wrong one. */
const rememberedIds = 1000;

export class ManagedSession {
  readonly #ready = deferred<{ readonly at: number }>();
  readonly #initError = deferred<ReportedError & { readonly at: number }>();
  /** Settles with the moment of the first `next`, of whichever worker: the end of init. */
  readonly ready = this.#ready.promise;
  /** Settles when the runtime posts to /init/error for the first time. */
  readonly initError = this.#initError.promise;
  /** Calls that were refused, as `METHOD path: message`. */
  readonly violations: string[] = [];
  readonly #waiting: ServerResponse[] = [];
  readonly #queue: Pending[] = [];
  readonly #pending = new Map<string, Pending>();
  readonly #timedOut = new Set<string>();
  #initOver = false;

  /**
   * Hands an invocation to a worker that waits, or to the next one that does.
   * @returns settles when the runtime has answered; never rejects, and never settles when it does not answer
   */
  offer(invocation: Invocation, listeners: OfferOptions = {}): Promise<Outcome> {
    const outcome = deferred<Outcome>();
    const pending: Pending = { ...listeners, invocation, settle: outcome.resolve, answering: false };
    this.#pending.set(invocation.requestId, pending);
    const worker = this.#waiting.shift();
    if (worker === undefined) this.#queue.push(pending);
    else deliver(worker, invocation);
    return outcome.promise;
  }

  /** The caller waits no longer. The worker keeps its place; a late answer is refused with 410. */
  expire(requestId: string): void {
    const pending = this.#pending.get(requestId);
    if (pending === undefined) return;
    this.#pending.delete(requestId);
    const queued = this.#queue.indexOf(pending);
    if (queued >= 0) this.#queue.splice(queued, 1);
    this.#timedOut.add(requestId);
    if (this.#timedOut.size > rememberedIds) this.#timedOut.delete([...this.#timedOut][0]!);
  }

  /** @internal One request of the runtime. */
  handle(request: IncomingMessage, response: ServerResponse, at: number): void {
    const path = (request.url ?? '').split('?', 1)[0] ?? '';
    const answer = /^\/2018-06-01\/runtime\/invocation\/([^/]+)\/(response|error)$/.exec(path);
    const route = `${request.method} ${path}`;
    if (route === 'GET /2018-06-01/ping') plain(response, 200, 'pong');
    else if (route === 'GET /2018-06-01/runtime/invocation/next') this.#next(response, at);
    else if (route === 'POST /2018-06-01/runtime/init/error') this.#initFailed(request, response, at);
    else if (request.method === 'POST' && answer !== null)
      this.#answered(request, response, decodeURIComponent(answer[1]!), answer[2]!);
    else {
      this.violations.push(`${route}: no such route`);
      drainThen(request, () => plain(response, 404, '404 page not found\n'));
    }
  }

  #next(response: ServerResponse, at: number): void {
    this.#initOver = true;
    this.#ready.resolve({ at });
    const queued = this.#queue.shift();
    if (queued !== undefined) {
      deliver(response, queued.invocation);
      return;
    }
    this.#waiting.push(response);
    response.once('close', () => {
      const index = this.#waiting.indexOf(response);
      if (index >= 0) this.#waiting.splice(index, 1);
    });
  }

  #initFailed(request: IncomingMessage, response: ServerResponse, at: number): void {
    collect(request, response, maxPayloadBytes, undefined, (body, _size, whole) => {
      if (this.#initOver) {
        this.#refuse(request, response, answers.invalidTransition('Ready', 'InitError'));
        return;
      }
      this.#initOver = true;
      send(response, answers.accepted);
      if (whole) this.#initError.resolve({ ...reported(request, body, jsonOrBytes(body)), at });
    });
  }

  #answered(request: IncomingMessage, response: ServerResponse, requestId: string, verb: string): void {
    const pending = this.#pending.get(requestId);
    const refuse = (answer: Answer): void => drainThen(request, () => this.#refuse(request, response, answer));
    const echoed = request.headers['lambda-runtime-invocation-id'];
    const wanted = pending?.invocation.invocationId;
    if (pending === undefined || pending.answering) {
      // The server forgets a timed-out id after one late answer.
      const late = this.#timedOut.delete(requestId);
      refuse(late ? answers.timedOut : answers.invalidRequestId);
      return;
    }
    if (echoed !== undefined && echoed !== '' && wanted !== undefined && echoed !== wanted) {
      refuse(answers.invalidRequestId);
      return;
    }
    const mode = request.headers['lambda-runtime-function-response-mode'] ?? '';
    pending.answering = true;
    const done = (outcome: Outcome): void => {
      this.#pending.delete(requestId);
      if (outcome.kind === 'truncated') this.violations.push(`${request.url}: ${messageOf(answers.truncated)}`);
      pending.settle(outcome);
    };
    if (verb === 'error') receiveError(request, response, done);
    else if (mode !== '' && mode !== 'streaming') {
      done({ kind: 'invalid-response-mode', at: performance.now() });
      refuse(answers.invalidResponseMode);
    } else receiveResponse(request, response, pending, mode === 'streaming', done);
  }

  #refuse(request: IncomingMessage, response: ServerResponse, answer: Answer): void {
    this.violations.push(`${request.method} ${request.url}: ${messageOf(answer)}`);
    send(response, answer);
  }
}
