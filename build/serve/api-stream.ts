// InvokeWithResponseStream's answer: an event stream that begins when the function's response does, carries each chunk
// as it comes, and closes with InvokeComplete, which alone can still tell of an error.
// Source: API reference (InvokeWithResponseStreamResponseEvent, InvokeWithResponseStreamCompleteEvent).
import type { ServerResponse } from 'node:http';
import type { InvokeResult } from '../lambda/invoke-result.ts';
import { encodeEvent } from './event-stream.ts';
import { isFault } from './fault.ts';
import type { CallOptions, LocalFunction } from './function.ts';
import { sendFault } from './http-message.ts';

export interface StreamOptions {
  readonly requestId: string;
  /** Makes InvokeComplete's LogResult, when it was asked for. */
  readonly logTail: ((lines: readonly string[]) => string) | undefined;
}

/** A buffered response goes out in pieces of this many bytes: clients limit what one message may hold. */
const pieceBytes = 256 * 1024;

export async function streamTo(
  response: ServerResponse,
  fn: LocalFunction,
  payload: Buffer,
  call: CallOptions,
  { requestId, logTail }: StreamOptions,
): Promise<void> {
  let begun = false;
  let streamed = false;
  const begin = (): void => {
    if (begun) return;
    begun = true;
    response.writeHead(200, {
      'Content-Type': 'application/vnd.amazon.eventstream',
      'X-Amz-Executed-Version': fn.settings.functionVersion,
      'x-amzn-RequestId': requestId,
    });
    response.flushHeaders();
  };
  const chunk = (bytes: Buffer): void => {
    begin();
    response.write(encodeEvent('PayloadChunk', 'application/octet-stream', bytes));
  };
  const result = await fn.invoke(payload, 'ResponseStream', {
    ...call,
    onHead: (head) => {
      streamed = head.streamed;
      if (streamed) begin();
    },
    onChunk: chunk,
  });
  if (isFault(result)) return sendFault(response, requestId, result);
  begin();
  if (!streamed && result.functionError === undefined)
    for (let at = 0; at < result.payload.length; at += pieceBytes) chunk(result.payload.subarray(at, at + pieceBytes));
  const complete = { ...errorOf(result), ...(logTail === undefined ? {} : { LogResult: logTail(texts(result)) }) };
  response.end(encodeEvent('InvokeComplete', 'application/json', Buffer.from(JSON.stringify(complete))));
}

function errorOf(result: InvokeResult): { ErrorCode?: string; ErrorDetails?: string } {
  const { trailer, functionError, errorType, payload } = result;
  if (trailer !== undefined) return { ErrorCode: trailer.errorType, ErrorDetails: trailer.body.toString() };
  if (functionError === undefined) return {};
  return { ErrorCode: errorType ?? functionError, ErrorDetails: payload.toString() };
}

const texts = ({ logs }: InvokeResult): string[] => logs.map(({ text }) => text);
