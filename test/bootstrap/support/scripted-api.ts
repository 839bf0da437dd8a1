// A Runtime API that does what a test tells it to, including what a correct server never would: wrong statuses,
// dropped connections, answers byte by byte. It records what it was asked, as received.
// Refuses to check anything: the real, strict server is build/lambda's.
import net from 'node:net';

/** One request as it arrived. Header names are lower-cased; `connection` counts from 1. */
export interface Exchange {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  readonly connection: number;
}

/** How one request is answered. */
export interface Reply {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
  /** Send the body chunked, in pieces of this many bytes. */
  readonly chunk?: number;
  /** Send the whole answer in pieces of this many bytes, each in a packet of its own. */
  readonly drip?: number;
  /** Close the connection instead of answering, or after the answer. */
  readonly close?: 'instead' | 'after';
}

export interface ScriptedApi {
  /** host:port for AWS_LAMBDA_RUNTIME_API. */
  readonly address: string;
  readonly exchanges: readonly Exchange[];
  /** Resolves when `next` is asked for and the script has no event left. */
  readonly idle: Promise<void>;
  close(): void;
}

/**
 * Starts a server on a free local port.
 * @param nexts answers to GET next, in order; when they run out, the poll is left hanging
 * @param posts answers to POSTs, in order; 202 when they run out
 * @param restores answers to GET restore/next, in order; 200 when they run out
 */
export async function scriptedApi(
  nexts: readonly Reply[],
  posts: readonly Reply[] = [],
  restores: readonly Reply[] = [],
): Promise<ScriptedApi> {
  const exchanges: Exchange[] = [];
  const sockets = new Set<net.Socket>();
  const left = { next: [...nexts], post: [...posts], restore: [...restores] };
  let connections = 0;
  let nowIdle = () => {};
  const idle = new Promise<void>((resolve) => {
    nowIdle = resolve;
  });

  const replyTo = (exchange: Exchange): Reply | undefined => {
    if (exchange.path.endsWith('/invocation/next')) return left.next.shift();
    // An internal extension without events waits until the sandbox goes.
    if (exchange.path.endsWith('/extension/event/next')) return undefined;
    if (exchange.path.endsWith('/restore/next')) return left.restore.shift() ?? {};
    const accepted = { status: 202, body: '{"status":"OK"}' };
    const registered = { headers: { 'Lambda-Extension-Identifier': 'extension-1' }, body: '{"functionName":"f"}' };
    return left.post.shift() ?? (exchange.path.endsWith('/extension/register') ? registered : accepted);
  };

  const answer = async (socket: net.Socket, exchange: Exchange): Promise<void> => {
    exchanges.push(exchange);
    const reply = replyTo(exchange);
    if (reply === undefined) {
      if (exchange.path.endsWith('/invocation/next')) nowIdle();
      return;
    }
    if (reply.close === 'instead') {
      socket.destroy();
      return;
    }
    const bytes = encode(reply);
    const step = reply.drip ?? bytes.length;
    for (let at = 0; at < bytes.length; at += step) {
      socket.write(bytes.subarray(at, at + step));
      if (reply.drip !== undefined) await new Promise(setImmediate);
    }
    if (reply.close === 'after') socket.destroySoon(); // not end(): half-closed, it would still read the next request
  };

  const server = net.createServer({ noDelay: true }, (socket) => {
    const connection = ++connections;
    let received: Buffer = Buffer.alloc(0);
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    socket.on('data', (data: Buffer) => {
      received = received.length === 0 ? data : Buffer.concat([received, data]);
      for (;;) {
        const parsed = parse(received, connection);
        if (parsed === undefined) return;
        received = parsed.rest;
        void answer(socket, parsed.exchange);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as net.AddressInfo;
  return {
    address: `127.0.0.1:${port}`,
    exchanges,
    idle,
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

function parse(received: Buffer, connection: number): { exchange: Exchange; rest: Buffer } | undefined {
  const end = received.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const [first = '', ...lines] = received.subarray(0, end).toString('latin1').split('\r\n');
  const [method = '', path = ''] = first.split(' ');
  const headers = Object.fromEntries(
    lines.map((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    }),
  );
  const bodyEnd = end + 4 + Number(headers['content-length'] ?? 0);
  if (received.length < bodyEnd) return undefined;
  const body = received.subarray(end + 4, bodyEnd);
  return { exchange: { method, path, headers, body, connection }, rest: received.subarray(bodyEnd) };
}

function encode(reply: Reply): Buffer {
  const body = Buffer.from(reply.body ?? '');
  const headers: Record<string, string> = { ...reply.headers };
  const parts: Buffer[] = [];
  if (reply.chunk === undefined) {
    headers['Content-Length'] = String(body.length);
    parts.push(body);
  } else {
    headers['Transfer-Encoding'] = 'chunked';
    for (let at = 0; at < body.length; at += reply.chunk) {
      const piece = body.subarray(at, at + reply.chunk);
      parts.push(Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n'));
    }
    parts.push(Buffer.from('0\r\n\r\n'));
  }
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.concat([Buffer.from(`HTTP/1.1 ${reply.status ?? 200} X\r\n${lines.join('')}\r\n`), ...parts]);
}

/** An event as `next` delivers it. */
export function event(body: unknown, headers: Record<string, string> = {}, more: Omit<Reply, 'body'> = {}): Reply {
  return {
    ...more,
    body: typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body),
    headers: {
      'Content-Type': 'application/json',
      'Lambda-Runtime-Aws-Request-Id': 'request-1',
      'Lambda-Runtime-Deadline-Ms': '4102444800000',
      'Lambda-Runtime-Invoked-Function-Arn': 'arn:aws:lambda:eu-west-1:123456789012:function:f',
      ...headers,
    },
  };
}
