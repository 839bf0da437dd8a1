// A debugger, as far as the Debug Adapter Protocol goes that editors speak to debugpy: attach, one breakpoint, look,
// go on. Source: microsoft.github.io/debug-adapter-protocol.
import { connect, type Socket } from 'node:net';

interface Message {
  readonly type: 'response' | 'event' | 'request';
  readonly command?: string;
  readonly event?: string;
  readonly success?: boolean;
  readonly message?: string;
  readonly body?: Record<string, unknown>;
}

export class Debugger {
  readonly #socket: Socket;
  readonly #seen: Message[] = [];
  #pending = Buffer.alloc(0);
  #sequence = 0;
  #wake: () => void = () => {};

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      this.#pending = Buffer.concat([this.#pending, chunk]);
      this.#read();
    });
  }

  static attach(port: number): Promise<Debugger> {
    return new Promise((resolve, reject) => {
      const socket = connect(port, '127.0.0.1', () => resolve(new Debugger(socket)));
      socket.once('error', reject);
    });
  }

  send(command: string, args: unknown): void {
    this.#sequence += 1;
    const body = JSON.stringify({ seq: this.#sequence, type: 'request', command, arguments: args });
    this.#socket.write(`Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
  }

  /** The answer to a command, or an event, whichever has that name; also one that came before. */
  async wait(name: string): Promise<Record<string, unknown>> {
    for (;;) {
      const index = this.#seen.findIndex(({ command, event }) => command === name || event === name);
      if (index >= 0) {
        const [message] = this.#seen.splice(index, 1);
        if (message!.success === false) throw new Error(`${name}: ${message!.message}`);
        return message!.body ?? {};
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  close(): void {
    this.#socket.destroy();
  }

  #read(): void {
    for (;;) {
      const end = this.#pending.indexOf('\r\n\r\n');
      const length = Number(/Content-Length: (\d+)/.exec(this.#pending.toString('latin1', 0, Math.max(0, end)))?.[1]);
      if (end < 0 || this.#pending.length < end + 4 + length) break;
      this.#seen.push(JSON.parse(this.#pending.toString('utf8', end + 4, end + 4 + length)));
      this.#pending = this.#pending.subarray(end + 4 + length);
    }
    this.#wake();
  }
}
