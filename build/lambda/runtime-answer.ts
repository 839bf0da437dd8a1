// A runtime's answer to one invocation, read from its request to an outcome: buffered or streamed, whole or cut off, too
// large, or an error. Knows nothing of states or of how many invocations there are.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { collect, send } from './runtime-http.ts';
import { contentTypeOf, type ReportedError, reported, trailerError, withCause } from './runtime-message.ts';
import { answers, maxPayloadBytes, maxStreamedBytes, tooLargeBody } from './runtime-state.ts';

/** What became of an invocation, as far as the runtime said. `at` is `performance.now()` of the moment it was known. */
export type Outcome = { readonly at: number } & (
  | {
      readonly kind: 'response';
      readonly body: Buffer;
      readonly contentType: string;
      readonly streamed: boolean;
      /** A streamed response that ended in error trailers. */
      readonly trailer?: ReportedError;
    }
  | ({ readonly kind: 'error' } & ReportedError)
  | { readonly kind: 'too-large'; readonly size: number; readonly body: Buffer }
  | { readonly kind: 'truncated' }
  | { readonly kind: 'invalid-response-mode' }
);

/** What is known of a response when it begins. */
export interface ResponseHead {
  readonly contentType: string;
  readonly streamed: boolean;
}

export interface OfferOptions {
  /** Receives the chunks of a streamed response as they arrive; with it the limit is that of streamed responses. */
  readonly onChunk?: (chunk: Buffer) => void;
  /** Told when a response begins, before its first byte. */
  readonly onHead?: (head: ResponseHead) => void;
}

/** Reads an error and accepts it. `done` is called before the runtime has the answer. */
export function receiveError(
  request: IncomingMessage,
  response: ServerResponse,
  done: (outcome: Outcome) => void,
): void {
  collect(request, response, Number.POSITIVE_INFINITY, undefined, (body) => {
    const at = performance.now();
    const cause = request.headers['content-type'] === 'application/vnd.aws.lambda.error.cause+json';
    const error = cause ? withCause(request, body) : reported(request, body, contentTypeOf(request, ''));
    done({ kind: 'error', at, ...error });
    send(response, answers.accepted);
  });
}

/** Reads a response and says what Lambda says to it. `done` is called before the runtime has the answer. */
export function receiveResponse(
  request: IncomingMessage,
  response: ServerResponse,
  listeners: OfferOptions,
  streamed: boolean,
  done: (outcome: Outcome) => void,
): void {
  const contentType = contentTypeOf(request, streamed ? 'application/octet-stream' : '');
  listeners.onHead?.({ contentType, streamed });
  const onChunk = streamed ? listeners.onChunk : undefined;
  const limit = onChunk === undefined ? maxPayloadBytes : maxStreamedBytes;
  collect(request, response, limit, onChunk, (body, size, whole) => {
    const at = performance.now();
    if (!whole) {
      done({ kind: 'truncated', at });
      send(response, answers.truncated);
    } else if (size > limit) {
      done({ kind: 'too-large', at, size, body: Buffer.from(tooLargeBody(size)) });
      send(response, answers.tooLarge);
    } else {
      const trailer = trailerError(request);
      done({ kind: 'response', at, body, contentType, streamed, ...(trailer === undefined ? {} : { trailer }) });
      send(response, answers.accepted);
    }
  });
}
