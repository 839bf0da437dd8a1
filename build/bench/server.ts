// The least Runtime API that can be timed against: raw sockets and prepared bytes, so that what is measured is the
// runtime and not the server. Correctness is the business of the strict server in lambda/; this one checks nothing.

import type { AddressInfo } from 'node:net';
import { createServer, type Server, type Socket } from 'node:net';

export interface TimingServer {
  readonly address: string;
  /** `performance.now()` of the next runtime's first request for work. */
  firstNext(): Promise<number>;
  /** Hands the waiting runtime one event; milliseconds until its whole response was here. */
  roundTrip(): Promise<number>;
  close(): Promise<void>;
}

const accepted = Buffer.from(
  'HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n{"status":"OK"}\n',
);

/** @param event the JSON that every invocation gets */
export async function timingServer(event: string): Promise<TimingServer> {
  let waiting: Socket | undefined;
  let onNext: ((at: number) => void) | undefined;
  let onResponse: ((at: number) => void) | undefined;
  let count = 0;
  const sockets = new Set<Socket>();

  const server: Server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
    let received = Buffer.alloc(0);
    socket.on('data', (chunk) => {
      received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
      for (let length = requestLength(received); length !== undefined; length = requestLength(received)) {
        const isNext = received.subarray(0, 3).toString() === 'GET';
        received = received.subarray(length);
        if (isNext) {
          waiting = socket;
          onNext?.(performance.now());
          onNext = undefined;
        } else {
          onResponse?.(performance.now());
          onResponse = undefined;
          socket.write(accepted);
        }
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));

  const next = (): Promise<number> => {
    if (waiting) return Promise.resolve(performance.now());
    return new Promise((resolve) => {
      onNext = resolve;
    });
  };
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    firstNext: () => {
      waiting = undefined;
      return next();
    },
    roundTrip: async () => {
      await next();
      const socket = waiting as Socket;
      waiting = undefined;
      const answered = new Promise<number>((resolve) => {
        onResponse = resolve;
      });
      count += 1;
      const start = performance.now();
      socket.write(invocation(event, count));
      return (await answered) - start;
    },
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function invocation(event: string, count: number): string {
  const id = `00000000-0000-4000-8000-${String(count).padStart(12, '0')}`;
  return [
    'HTTP/1.1 200 OK',
    'Content-Type: application/json',
    `Lambda-Runtime-Aws-Request-Id: ${id}`,
    `Lambda-Runtime-Deadline-Ms: ${Date.now() + 60_000}`,
    'Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:us-east-1:123456789012:function:bench',
    'Lambda-Runtime-Trace-Id: Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0',
    `Content-Length: ${Buffer.byteLength(event)}`,
    '',
    event,
  ].join('\r\n');
}

/** Bytes of the first request in the buffer, or undefined when it is not all there yet. */
function requestLength(buffer: Buffer): number | undefined {
  const headEnd = buffer.indexOf('\r\n\r\n');
  if (headEnd === -1) return undefined;
  const head = buffer.subarray(0, headEnd).toString('latin1');
  const bodyStart = headEnd + 4;
  if (/^transfer-encoding: *chunked/im.test(head)) {
    const end = buffer.indexOf('0\r\n\r\n', bodyStart);
    return end === -1 ? undefined : end + 5;
  }
  const length = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
  return buffer.length < bodyStart + length ? undefined : bodyStart + length;
}
