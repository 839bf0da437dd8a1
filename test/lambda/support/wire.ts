// A client that writes bytes: nothing between the test and the server that could correct a mistake or hide an answer.
import { connect, type Socket } from 'node:net';

export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export class Wire {
  readonly socket: Socket;
  #received = Buffer.alloc(0);
  #wake: () => void = () => {};
  #ended = false;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setNoDelay();
    socket.on('data', (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      this.#wake();
    });
    const end = (): void => {
      this.#ended = true;
      this.#wake();
    };
    socket.on('end', end).on('close', end).on('error', end);
  }

  static open(address: string): Promise<Wire> {
    const [host = '', port = ''] = address.split(':');
    return new Promise((resolve, reject) => {
      const socket = connect({ host, port: Number(port), allowHalfOpen: true }, () => resolve(new Wire(socket)));
      socket.once('error', reject);
    });
  }

  send(bytes: string | Buffer): void {
    this.socket.write(bytes);
  }

  /** A request with a Content-Length, and its reply. */
  async call(
    method: string,
    path: string,
    body: string | Buffer = '',
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Reply> {
    this.ask(method, path, body, headers);
    return this.reply();
  }

  ask(method: string, path: string, body: string | Buffer = '', headers: Readonly<Record<string, string>> = {}): void {
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    this.send(
      `${method} ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: ${Buffer.byteLength(body)}\r\n${lines.join('')}\r\n`,
    );
    this.send(Buffer.from(body));
  }

  async reply(): Promise<Reply> {
    const end = await this.#find('\r\n\r\n');
    const [statusLine = '', ...lines] = this.#received.subarray(0, end).toString().split('\r\n');
    const headers = Object.fromEntries(
      lines.map((line) => {
        const colon = line.indexOf(':');
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
      }),
    );
    this.#received = this.#received.subarray(end + 4);
    const length = Number(headers['content-length'] ?? 0);
    while (this.#received.length < length) await this.#more();
    const body = this.#received.subarray(0, length).toString();
    this.#received = this.#received.subarray(length);
    return { status: Number(statusLine.split(' ')[1]), headers, body };
  }

  close(): void {
    this.socket.destroy();
  }

  async #find(text: string): Promise<number> {
    for (;;) {
      const at = this.#received.indexOf(text);
      if (at >= 0) return at;
      await this.#more();
    }
  }

  #more(): Promise<void> {
    if (this.#ended) throw new Error(`The connection ended; received so far: ${this.#received.toString()}`);
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}
