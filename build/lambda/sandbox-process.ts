// One program in the sandbox, from its start to the moment nothing of it is left: when it was executed, how it ended,
// how much memory it had. Knows the wrapper's protocol (sandbox-script.ts), nothing of what the program is for.
import type { ChildProcess } from 'node:child_process';
import type { Socket } from 'node:net';
import { constants } from 'node:os';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { MemoryMeter } from './memory.ts';
import { descendants, isAlive } from './processes.ts';
import type { SandboxKind } from './sandbox-script.ts';

/** How a process ended. Exactly one of `exitCode` and `signal` is set. `at` is `performance.now()`. */
export interface Exit {
  readonly exitCode: number | undefined;
  readonly signal: NodeJS.Signals | undefined;
  readonly at: number;
  /** The memory limit was the reason. */
  readonly outOfMemory: boolean;
}

/** A running bootstrap. */
export interface SandboxProcess {
  /** stdout and stderr together, in the order they were written. */
  readonly output: Readable;
  /** Settles with `performance.now()` just before the program itself is executed, or undefined when it never was. */
  readonly started: Promise<number | undefined>;
  readonly exited: Promise<Exit>;
  /** Highest memory use so far, in MB, rounded up. */
  maxMemoryMb(): number;
  /** SIGTERM to the program, not to its children. */
  terminate(): void;
  /** SIGKILL to everything in the sandbox; settles when all of it is gone. */
  kill(): Promise<Exit>;
}

/** One spawned wrapper with the program in it. */
export class Started implements SandboxProcess {
  readonly output: Readable;
  readonly started: Promise<number | undefined>;
  readonly exited: Promise<Exit>;
  /** What the wrapper said besides its protocol: the reason when it failed. */
  complaint = '';
  readonly #kind: SandboxKind;
  readonly #child: ChildProcess;
  readonly #meter: MemoryMeter | undefined;
  readonly #silent: Promise<unknown>;
  #saidBeforeGo = 0;
  #holder: number | undefined;
  #doomed: readonly number[] = [];
  #gone = false;
  #peakMb = 0;

  constructor(
    kind: SandboxKind,
    meter: MemoryMeter | undefined,
    launch: (joinFile: string | undefined) => ChildProcess,
    output?: Readable,
  ) {
    this.#kind = kind;
    this.#meter = meter;
    const child = launch(meter?.joinFile);
    this.#child = child;
    this.output = output ?? child.stdout!;
    (child.stdio[3] as Socket).on('error', () => {});
    let tell: (at: number | undefined) => void = () => {};
    this.started = new Promise((settle) => {
      tell = settle;
    });
    const words = child.stdio[4] as Socket;
    this.#silent = new Promise((settle) => words.once('close', settle));
    this.#listen(words, tell);
    this.exited = new Promise((settle) => {
      const end = (exitCode: number | null, signal: NodeJS.Signals | null): void => {
        const at = performance.now();
        this.#peakMb = this.maxMemoryMb();
        const outOfMemory = meter?.exceeded() ?? false;
        // The wrapper is gone, but what the program left in the background is not.
        this.killNow();
        this.#gone = true;
        tell(undefined);
        void this.#vanished().then(() => {
          meter?.stop();
          settle({ ...this.#fate(exitCode, signal), at, outOfMemory });
        });
      };
      child.once('error', (error) => {
        this.complaint += error.message;
        end(127, null);
      });
      child.once('exit', end);
    });
  }

  /** Gives the wrapper its last program (sandbox-script.ts, descriptor 5). */
  tell(program: string): void {
    const pipe = (this.#child.stdio as readonly unknown[])[5] as Socket;
    pipe.on('error', () => {});
    pipe.end(program);
  }

  maxMemoryMb(): number {
    if (this.#gone) return this.#peakMb;
    return Math.max(this.#peakMb, Math.ceil((this.#meter?.peakBytes() ?? 0) / (1024 * 1024)));
  }

  terminate(): void {
    const [program] = this.#gone ? [] : this.#members();
    if (program !== undefined) send(program, 'SIGTERM');
  }

  async kill(): Promise<Exit> {
    this.killNow();
    return this.exited;
  }

  /** SIGKILL to everything, without waiting. */
  killNow(): void {
    const pid = this.#child.pid;
    if (pid === undefined || this.#gone) return;
    (this.#child.stdio[3] as Socket).destroy();
    if (this.#holder !== undefined) {
      // All others in the namespace die with its process 1. The wrapper must live to reap them: left to the machine's
      // own process 1, they may take a second to vanish.
      this.#doomed = [this.#holder];
      send(this.#holder, 'SIGKILL');
      setTimeout(() => this.#gone || send(-pid, 'SIGKILL'), 500).unref();
      return;
    }
    // Without a process namespace, children that left the group have to be found one by one.
    // Once the wrapper has been reaped, its number may belong to somebody else.
    const reaped = this.#child.exitCode !== null || this.#child.signalCode !== null;
    this.#doomed = reaped ? [] : this.#members();
    send(-pid, 'SIGKILL');
    for (const one of this.#doomed) send(one, 'SIGKILL');
  }

  /** The program first, then its descendants; none of the wrapper's own processes. */
  #members(): number[] {
    const pid = this.#child.pid!;
    if (this.#kind === 'mapped') return [pid, ...descendants(pid)];
    // bubblewrap's only child is the namespace's process 1, whose first child is the program.
    if (this.#kind === 'bubblewrap') return descendants(pid).slice(1);
    return descendants(pid).filter((one) => one !== this.#holder);
  }

  /**
   * Waits until what was killed is gone. Process 1 of a namespace ends after all others in it (pid_namespaces(7)), so
   * the holder stands for them. Also waits for the last words of the wrapper.
   */
  async #vanished(): Promise<void> {
    await Promise.race([this.#silent, sleep(100)]);
    for (let tries = 0; tries < 500; tries += 1) {
      await sleep(tries === 0 ? 0 : 2);
      if (!this.#doomed.some(isAlive)) return;
    }
  }

  #listen(words: Socket, tell: (at: number | undefined) => void): void {
    let pending = '';
    words.on('error', () => {});
    words.on('data', (chunk: Buffer) => {
      const at = performance.now();
      pending += chunk.toString();
      for (let end = pending.indexOf('\n'); end >= 0; end = pending.indexOf('\n')) {
        const line = pending.slice(0, end);
        pending = pending.slice(end + 1);
        if (line.startsWith('holder ')) this.#holder = Number(line.slice(7));
        else if (line === 'go') {
          tell(at);
          this.#saidBeforeGo = this.complaint.length;
          this.#meter?.watch(() => this.#members());
        } else this.complaint += `${line}\n`;
      }
    });
  }

  /**
   * Shells report a killed child as 128 + signal, and say so on their stderr, which a plain `exit 137` does not make
   * them do. bubblewrap says nothing, so there such a status always counts as a signal.
   */
  #fate(exitCode: number | null, killed: NodeJS.Signals | null): Pick<Exit, 'exitCode' | 'signal'> {
    if (killed !== null) return { exitCode: undefined, signal: killed };
    const name = exitCode !== null && exitCode > 128 ? signalName(exitCode - 128) : undefined;
    const said = this.complaint.length > this.#saidBeforeGo || this.#kind === 'bubblewrap';
    if (name !== undefined && said) return { exitCode: undefined, signal: name };
    return { exitCode: exitCode ?? 0, signal: undefined };
  }
}

function signalName(wanted: number): NodeJS.Signals | undefined {
  const found = Object.entries(constants.signals).find(([, value]) => value === wanted);
  return found?.[0] as NodeJS.Signals | undefined;
}

/** Ignores that a process is gone already. */
function send(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
