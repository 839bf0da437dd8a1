// A Runtime API that answers by script, wrongly where the script says so, and records every byte it is sent.
// Refuses to check anything: what is right is what AWS's client does.
import net from 'node:net';

/** One request as it arrived. Header names and values as sent, as Latin-1, in order. */
export interface Exchange {
  readonly method: string;
  readonly path: string;
  readonly headers: ReadonlyArray<readonly [name: string, value: string]>;
  /** Without its chunking. */
  readonly body: Buffer;
  readonly trailers: ReadonlyArray<readonly [name: string, value: string]>;
}

/** How one request is answered. */
export interface Reply {
  readonly status?: number;
  /** In order and as they are; a name may occur twice. Content-Length or Transfer-Encoding is added. */
  readonly headers?: ReadonlyArray<readonly [name: string, value: string]>;
  readonly body?: string | Buffer;
  /** Send the body chunked, in pieces of this many bytes. */
  readonly chunk?: number;
  /** Close the connection without an answer, in the middle of its body, or after it. */
  readonly close?: 'instead' | 'within' | 'after';
  /** These bytes are the whole answer. */
  readonly raw?: string;
}

export interface Script {
  readonly nexts: readonly Reply[];
  readonly others: readonly Reply[];
  /** Called for every request, before it is answered. */
  readonly asked: () => void;
  /** Called when `next` is asked for and no answer is left. */
  readonly idle: () => void;
}

export interface Server {
  /** host:port for AWS_LAMBDA_RUNTIME_API. */
  readonly address: string;
  readonly exchanges: readonly Exchange[];
  close(): void;
}

const NEXT = '/2018-06-01/runtime/invocation/next';

export async function serve(script: Script): Promise<Server> {
  const exchanges: Exchange[] = [];
  const sockets = new Set<net.Socket>();
  const nexts = [...script.nexts];
  const others = [...script.others];

  const answer = (socket: net.Socket, exchange: Exchange): void => {
    exchanges.push(exchange);
    script.asked();
    const accepted: Reply = exchange.method === 'GET' ? {} : { status: 202, body: '{"status":"OK"}\n' };
    const reply = exchange.path === NEXT ? nexts.shift() : (others.shift() ?? accepted);
    if (reply === undefined) {
      script.idle();
      return;
    }
    if (reply.close === 'instead') {
      socket.destroy();
      return;
    }
    const bytes = encode(reply);
    if (reply.close === undefined) socket.write(bytes);
    else if (reply.close === 'after') socket.write(bytes, () => socket.destroySoon());
    else socket.write(bytes.subarray(0, -3), () => socket.destroySoon());
  };

  const server = net.createServer({ noDelay: true }, (socket) => {
    let received: Buffer = Buffer.alloc(0);
    let encouraged = false;
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    socket.on('data', (data: Buffer) => {
      received = Buffer.concat([received, data]);
      for (;;) {
        const parsed = parse(received);
        if (parsed === 'head only' && !encouraged) {
          encouraged = true;
          if (/\r\nexpect: *100-continue\r\n/i.test(received.toString('latin1'))) {
            socket.write('HTTP/1.1 100 Continue\r\n\r\n');
          }
        }
        if (typeof parsed === 'string') return;
        encouraged = false;
        received = parsed.rest;
        answer(socket, parsed.exchange);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    address: `127.0.0.1:${(server.address() as net.AddressInfo).port}`,
    exchanges,
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

type Fields = Array<[name: string, value: string]>;

function fields(lines: readonly string[]): Fields {
  return lines.map((line) => {
    const colon = line.indexOf(':');
    return [line.slice(0, colon), line.slice(colon + 1).replace(/^ /, '')];
  });
}

function parse(received: Buffer): { exchange: Exchange; rest: Buffer } | 'nothing' | 'head only' {
  const end = received.indexOf('\r\n\r\n');
  if (end < 0) return 'nothing';
  const [first = '', ...lines] = received.subarray(0, end).toString('latin1').split('\r\n');
  const [method = '', path = ''] = first.split(' ');
  const headers = fields(lines);
  const named = (name: string) => headers.find(([one]) => one.toLowerCase() === name)?.[1].trim();
  const chunked = named('transfer-encoding')?.toLowerCase() === 'chunked';
  const content = chunked ? unchunk(received, end + 4) : sized(received, end + 4, Number(named('content-length') ?? 0));
  if (content === undefined) return 'head only';
  const { body, trailers, after } = content;
  return { exchange: { method, path, headers, body, trailers }, rest: received.subarray(after) };
}

interface Content {
  readonly body: Buffer;
  readonly trailers: Fields;
  readonly after: number;
}

function sized(received: Buffer, start: number, length: number): Content | undefined {
  const after = start + length;
  return received.length < after ? undefined : { body: received.subarray(start, after), trailers: [], after };
}

function unchunk(received: Buffer, start: number): Content | undefined {
  const pieces: Buffer[] = [];
  for (let at = start; ; ) {
    const line = received.indexOf('\r\n', at);
    if (line < 0) return undefined;
    const size = Number.parseInt(received.toString('latin1', at, line), 16);
    if (size === 0) {
      if (received.toString('latin1', line, line + 4) === '\r\n\r\n') {
        return { body: Buffer.concat(pieces), trailers: [], after: line + 4 };
      }
      const end = received.indexOf('\r\n\r\n', line);
      if (end < 0) return undefined;
      const trailers = fields(received.toString('latin1', line + 2, end).split('\r\n'));
      return { body: Buffer.concat(pieces), trailers, after: end + 4 };
    }
    if (received.length < line + 2 + size + 2) return undefined;
    pieces.push(received.subarray(line + 2, line + 2 + size));
    at = line + 2 + size + 2;
  }
}

function encode(reply: Reply): Buffer {
  if (reply.raw !== undefined) return Buffer.from(reply.raw, 'latin1');
  const body = Buffer.from(reply.body ?? '');
  const lines = (reply.headers ?? []).map(([name, value]) => `${name}: ${value}\r\n`);
  const parts: Buffer[] = [];
  if (reply.chunk === undefined) {
    lines.push(`Content-Length: ${body.length}\r\n`);
    parts.push(body);
  } else {
    lines.push('Transfer-Encoding: chunked\r\n');
    for (let at = 0; at < body.length; at += reply.chunk) {
      const piece = body.subarray(at, at + reply.chunk);
      parts.push(Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n'));
    }
    parts.push(Buffer.from('0\r\n\r\n'));
  }
  return Buffer.concat([Buffer.from(`HTTP/1.1 ${reply.status ?? 200} Said\r\n${lines.join('')}\r\n`), ...parts]);
}

export const ARN = 'arn:aws:lambda:eu-west-1:123456789012:function:f';

/**
 * An event as `next` delivers it.
 * @param headers added to the usual ones, or in their place; null leaves one out
 */
export function event(
  body: unknown,
  headers: Readonly<Record<string, string | null>> = {},
  more: Omit<Reply, 'body' | 'headers'> = {},
): Reply {
  const all = {
    'Content-Type': 'application/json',
    'Lambda-Runtime-Aws-Request-Id': 'request-1',
    'Lambda-Runtime-Deadline-Ms': '4102444800000',
    'Lambda-Runtime-Invoked-Function-Arn': ARN,
    ...headers,
  };
  return {
    ...more,
    body: typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body),
    // As Go writes them: the characters of a header are the bytes of its UTF-8.
    headers: Object.entries(all).flatMap(([name, value]) => (value === null ? [] : [[name, value] as const])),
  };
}

/** A refusal in the words of Lambda's server. */
export function refusal(status: number, errorType: string): Reply {
  return {
    status,
    headers: [['Content-Type', 'application/json']],
    body: `{"errorMessage":"refused","errorType":"${errorType}"}\n`,
  };
}
