// Where the function's process runs: /opt, /var/task and /tmp at their real paths, everything else read-only, an
// unprivileged user, no environment but the one given, and an end that leaves nothing behind.
// Knows nothing of the Runtime API, of events or of Lambda's life cycle: it starts programs and says how they ended.
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, constants, openSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { Socket } from 'node:net';
import { join, resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { execa } from 'execa';
import type { Context } from '../lib/context.ts';
import { explainSystemError, MakeRuntimeError, throwIfCancelled } from '../lib/errors.ts';
import type { Arch } from '../recipe/model.ts';
import { type Emulation, findEmulation, machineArch } from './emulation.ts';
import type { Folders } from './entrypoint.ts';
import { lambdaPlaces, type Places } from './function-env.ts';
import { emptyFolder, oneLayer } from './layers.ts';
import { createMeter } from './memory.ts';
import { assembleRoot, makeTmp, renderFstab } from './private-root.ts';
import { isAlive } from './processes.ts';
import { type SandboxProcess, Started } from './sandbox-process.ts';
import {
  bubblewrapWrapper,
  lastProgram,
  mappedWrapper,
  namespaceWrapper,
  type SandboxKind,
  type Wrapper,
} from './sandbox-script.ts';

export type { Exit, SandboxProcess } from './sandbox-process.ts';
export type { SandboxKind } from './sandbox-script.ts';

export interface SandboxOptions {
  /** Unpacked layers in list order; later ones win. */
  readonly layerDirs: readonly string[];
  /** What appears at /var/task; an empty folder when there is no function. */
  readonly codeDir?: string | undefined;
  /** Host folders to show read-only at their own paths, for example another interpreter's. */
  readonly visible?: readonly string[];
  /** Kinds to try, best first. */
  readonly kinds?: readonly SandboxKind[];
  /** A kind that has worked in this process before, so that it need not be tried out again. */
  readonly proven?: SandboxKind | undefined;
  /** Drop from root to Lambda's user (default: when we are root) or use a user namespace. */
  readonly asRoot?: boolean;
  /**
   * What programs will be for, told from the merged layers and the code; this machine's architecture when absent or
   * undefined. Another one is emulated, which only the kind `namespace` can.
   */
  readonly archOf?: (folders: Folders) => Promise<Arch | undefined>;
  /** The bubblewrap program. */
  readonly bubblewrap?: string;
}

export interface StartOptions {
  readonly env: Readonly<Record<string, string>>;
  /** Limit for all processes together, in MB (MiB, as Lambda counts). */
  readonly memoryMb: number;
}

/** A process that has everything but its program. */
export interface Primed {
  readonly process: SandboxProcess;
  /** True when it has died of itself. */
  ended(): boolean;
  /** Executes the program. Once only. */
  release(argv: readonly string[], env: Readonly<Record<string, string>>): void;
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string | Uint8Array;
  /** A folder inside the sandbox; default /var/task. */
  readonly cwd?: string;
  /** Milliseconds; no limit by default. */
  readonly timeoutMs?: number;
}

export interface RunResult {
  readonly exitCode: number | undefined;
  readonly signal: NodeJS.Signals | undefined;
  readonly timedOut: boolean;
  readonly stdout: string;
  readonly stderr: string;
}

const allKinds: readonly SandboxKind[] = ['namespace', 'bubblewrap', 'mapped'];

/** A place to run programs in, prepared once and used for any number of them. */
export class Sandbox {
  readonly kind: SandboxKind;
  /** Where the program finds code and layer. */
  readonly places: Places;
  /** The same folders on the host. */
  readonly folders: Folders;
  /** How programs of another architecture are run; undefined for this machine's own. */
  readonly emulation: Emulation | undefined;
  readonly #scratch: string;
  readonly #wrap: (joinFile: string | undefined) => Wrapper;
  readonly #context: Context;
  readonly #live = new Set<Started>();
  /** Made ahead, while the sandbox is prepared: it takes another program. */
  #nextPipe: Promise<string> | undefined;
  readonly #cancel = (): void => {
    for (const started of this.#live) started.killNow();
  };

  private constructor(
    kind: SandboxKind,
    folders: Folders,
    scratch: string,
    wrap: (joinFile: string | undefined) => Wrapper,
    context: Context,
    emulation: Emulation | undefined,
  ) {
    this.kind = kind;
    this.emulation = emulation;
    this.folders = folders;
    this.places = kind === 'mapped' ? { taskRoot: folders.codeDir, layerRoot: folders.layerDir } : lambdaPlaces;
    this.#scratch = scratch;
    this.#wrap = wrap;
    this.#context = context;
    context.signal.addEventListener('abort', this.#cancel);
  }

  /**
   * Prepares a sandbox of the best kind that works here. Reports a warning when only `mapped` does.
   * Throws SANDBOX_UNAVAILABLE when none of the wanted kinds works, ARTIFACT_NOT_FOUND or CODE_NOT_FOUND when a folder
   * is missing, ARTIFACT_WRONG_ARCH when nothing here runs programs of the architecture. Call `close()` when done.
   */
  static async open(options: SandboxOptions, context: Context): Promise<Sandbox> {
    throwIfCancelled(context.signal);
    await requireFolders(options);
    const parent = join(context.cacheDir, 'lambda');
    await mkdir(parent, { recursive: true });
    await sweep(parent);
    const scratch = await mkdtemp(join(parent, `sandbox-${process.pid}-`));
    try {
      return await Sandbox.#best(options, scratch, context);
    } catch (error) {
      await rm(scratch, { recursive: true, force: true });
      throw explainSystemError(error, 'preparing the sandbox');
    }
  }

  static async #best(options: SandboxOptions, scratch: string, context: Context): Promise<Sandbox> {
    const layerDir = await oneLayer(options.layerDirs, scratch);
    const codeDir = options.codeDir === undefined ? await emptyFolder(scratch) : resolve(options.codeDir);
    const arch = await options.archOf?.({ codeDir, layerDir });
    const emulation = arch === undefined || arch === machineArch() ? undefined : await findEmulation(arch, context);
    // Handlers of binfmt_misc belong to a user namespace.
    const asRoot = emulation?.handler === undefined && (options.asRoot ?? process.getuid?.() === 0);
    const tmpDir = join(scratch, 'tmp');
    await makeTmp(tmpDir, process.getuid?.() === 0 && asRoot);
    const reasons: string[] = [];
    const pipe = options.proven === undefined ? undefined : makePipe(scratch);
    pipe?.catch(() => {});
    for (const kind of (options.kinds ?? allKinds).filter((one) => !emulation || one === 'namespace')) {
      throwIfCancelled(context.signal);
      if (kind === 'mapped') {
        if (reasons.length > 0) warnMapped(context, reasons);
        return new Sandbox(kind, { codeDir, layerDir }, scratch, mappedWrapper, context, undefined);
      }
      try {
        const ownsFiles = kind === 'bubblewrap' || !asRoot;
        const own = await mkdtemp(join(scratch, `${kind}-`));
        const visible = options.visible ?? [];
        const foreign = emulation?.libraries;
        const root = await assembleRoot({ scratch: own, layerDir, codeDir, tmpDir, visible, ownsFiles, foreign });
        const fstab = join(own, 'fstab');
        await writeFile(fstab, renderFstab(root, await readFile('/proc/self/mountinfo', 'latin1')));
        const wrap = (joinFile: string | undefined): Wrapper =>
          kind === 'namespace'
            ? namespaceWrapper(fstab, root.skeleton, joinFile, asRoot, emulation?.handler)
            : bubblewrapWrapper(options.bubblewrap ?? 'bwrap', root);
        const sandbox = new Sandbox(kind, { codeDir, layerDir }, scratch, wrap, context, emulation);
        sandbox.#nextPipe = pipe;
        const complaint = options.proven === kind ? undefined : await sandbox.#probe();
        if (complaint === undefined) return sandbox;
        sandbox.#detach();
        reasons.push(`${kind}: ${complaint}`);
      } catch (error) {
        throwIfCancelled(context.signal);
        reasons.push(`${kind}: ${(error as Error).message}`);
      }
    }
    if (emulation) throw cannotEmulate(emulation, reasons);
    throw new MakeRuntimeError('SANDBOX_UNAVAILABLE', 'No sandbox of the wanted kind works on this machine.', {
      remedy: 'Run as root, allow user namespaces, or install bubblewrap; or accept the kind "mapped".',
      detail: reasons.join('\n'),
    });
  }

  /** Starts a program as the function's runtime. Only one at a time: they would share the output. */
  async start(argv: readonly string[], options: StartOptions): Promise<SandboxProcess> {
    const primed = await this.prime(options.memoryMb);
    primed.release(argv, options.env);
    return primed.process;
  }

  /**
   * Does everything that comes before a program's start, so that starting it takes no time later: the folders are
   * mounted, the process waits for what it is to execute. What is put into the folders meanwhile is seen.
   */
  async prime(memoryMb: number): Promise<Primed> {
    throwIfCancelled(this.#context.signal);
    const { read, write } = await this.#outputPipe();
    const started: Started = new Started(
      this.kind,
      createMeter(memoryMb * 1024 * 1024, () => started.killNow()),
      (joinFile) => {
        const child = this.#spawn(joinFile, ['ignore', write, write]);
        closeSync(write);
        return child;
      },
      read,
    );
    this.#live.add(started);
    void started.exited.then(() => this.#live.delete(started));
    // The signal may have fired while the pipe was made, before there was anything to kill.
    if (this.#context.signal.aborted) started.killNow();
    let ended = false;
    void started.exited.then(() => {
      ended = true;
    });
    return {
      process: started,
      ended: () => ended,
      release: (argv, env) => started.tell(lastProgram(argv, env, { mergeOutput: true })),
    };
  }

  /** Runs a program to its end, with Lambda's environment unless another is given. */
  async run(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
    throwIfCancelled(this.#context.signal);
    const { taskRoot, layerRoot } = this.places;
    const inFolder = options.cwd === undefined ? argv : ['/bin/sh', '-c', 'cd "$0" && exec "$@"', options.cwd, ...argv];
    const env = {
      PATH: `/usr/local/bin:/usr/bin/:/bin:${layerRoot}/bin`,
      TZ: ':UTC',
      LANG: 'en_US.UTF-8',
      PWD: taskRoot,
      ...options.env,
    };
    const input = options.input === undefined ? 'ignore' : 'pipe';
    const child = this.#spawn(undefined, [input, 'pipe', 'pipe']);
    const started = new Started(this.kind, undefined, () => child);
    started.tell(lastProgram(inFolder, env, { mergeOutput: false }));
    this.#live.add(started);
    child.stdin?.on('error', () => {});
    child.stdin?.end(options.input);
    const output = [collectText(child.stdout!), collectText(child.stderr!)] as const;
    let timedOut = false;
    const limit = options.timeoutMs;
    const timer =
      limit === undefined
        ? undefined
        : setTimeout(() => {
            timedOut = true;
            started.killNow();
          }, limit);
    const exit = await started.exited;
    clearTimeout(timer);
    this.#live.delete(started);
    throwIfCancelled(this.#context.signal);
    const [stdout, stderr] = await Promise.all(output);
    const why = started.complaint;
    return {
      exitCode: exit.exitCode,
      signal: exit.signal,
      timedOut,
      stdout,
      stderr: (await started.started) === undefined ? `${stderr}${why}` : stderr,
    };
  }

  /** Kills what still runs and removes every trace on disk. */
  async close(): Promise<void> {
    this.#detach();
    await Promise.all([...this.#live].map((started) => started.kill()));
    // The function may have locked folders of its /tmp against us.
    await rm(this.#scratch, { recursive: true, force: true, maxRetries: 3 });
  }

  #detach(): void {
    this.#context.signal.removeEventListener('abort', this.#cancel);
  }

  /** Why this kind does not work here, or undefined when it does. */
  async #probe(): Promise<string | undefined> {
    const result = await this.run(['/bin/sh', '-c', 'test -r /proc/self/stat && test ! -w / && echo fine']);
    if (result.stdout === 'fine\n') return undefined;
    return result.stderr.trim().split('\n').slice(-2).join('; ') || 'the probe failed without a reason';
  }

  /**
   * A named pipe, because node's own "pipes" are sockets, and a function may open /dev/stdout or /dev/stderr, which
   * fails on a socket.
   */
  async #outputPipe(): Promise<{ read: Socket; write: number }> {
    const path = await (this.#nextPipe ?? makePipe(this.#scratch));
    this.#nextPipe = undefined;
    const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const write = openSync(path, constants.O_WRONLY);
    return { read: new Socket({ fd, readable: true, writable: false }), write };
  }

  /** The wrapper, which waits for its last program (Started.tell). */
  #spawn(joinFile: string | undefined, stdio: readonly ('ignore' | 'pipe' | number)[]): ChildProcess {
    const { file, args, env: wrapperEnv } = this.#wrap(joinFile);
    return spawn(file, args, {
      stdio: [...stdio, 'pipe', 'pipe', 'pipe'],
      env: { ...wrapperEnv },
      cwd: this.kind === 'mapped' ? this.places.taskRoot : '/',
      // A group of its own: Ctrl-C in the terminal is ours to pass on, and everything can be killed at once.
      detached: true,
    });
  }
}

async function makePipe(scratch: string): Promise<string> {
  const path = join(await mkdtemp(join(scratch, 'output-')), 'pipe');
  await execa('mkfifo', [path]);
  await chmod(path, 0o666);
  return path;
}

/** The best kind that works on this machine, and why the better ones do not (empty for the first). */
export async function probeSandbox(context: Context): Promise<{ kind: SandboxKind; why: string }> {
  let why = '';
  const listen: Context = {
    ...context,
    report: (event) => {
      if (event.type === 'warn') why = event.message;
    },
  };
  const sandbox = await Sandbox.open({ layerDirs: [] }, listen);
  await sandbox.close();
  return { kind: sandbox.kind, why };
}

/**
 * How programs of an architecture that is not this machine's are run here: "qemu-aarch64 7.2.22".
 * @throws ARTIFACT_WRONG_ARCH, SANDBOX_UNAVAILABLE
 */
export async function probeEmulation(arch: Arch, context: Context): Promise<string> {
  const sandbox = await Sandbox.open({ layerDirs: [], archOf: () => Promise.resolve(arch) }, context);
  await sandbox.close();
  return sandbox.emulation?.name ?? 'this machine';
}

/** Removes what runs that were killed have left: folders of processes that are gone. */
async function sweep(parent: string): Promise<void> {
  for (const name of await readdir(parent)) {
    const owner = Number(/^sandbox-(\d+)-/.exec(name)?.[1]);
    if (owner > 0 && !isAlive(owner)) await rm(join(parent, name), { recursive: true, force: true });
  }
}

async function requireFolders({ layerDirs, codeDir }: SandboxOptions): Promise<void> {
  for (const folder of layerDirs)
    if (!(await isFolder(folder)))
      throw new MakeRuntimeError('ARTIFACT_NOT_FOUND', `There is no layer folder ${folder}.`, {
        remedy: 'Name a folder with an unpacked layer in it.',
      });
  if (codeDir !== undefined && !(await isFolder(codeDir)))
    throw new MakeRuntimeError('CODE_NOT_FOUND', `There is no folder ${codeDir} with the function's code.`, {
      remedy: 'Point --code at the folder that holds the handler module.',
    });
}

function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

function cannotEmulate({ arch, name }: Emulation, reasons: readonly string[]): MakeRuntimeError {
  return new MakeRuntimeError(
    'SANDBOX_UNAVAILABLE',
    `${name} is here, but no sandbox in which the kernel starts ${arch} programs with it.`,
    {
      remedy:
        'Use Linux 6.7 or newer with user namespaces and binfmt_misc (`modprobe binfmt_misc`), or register qemu for the whole machine: apt-get install qemu-user-static.',
      ...(reasons.length > 0 ? { detail: reasons.join('\n') } : {}),
    },
  );
}

function warnMapped(context: Context, reasons: readonly string[]): void {
  context.report({
    type: 'warn',
    message: `No sandbox works on this machine (${reasons.join('; ')}), so the function runs without isolation and with mapped paths.`,
    remedy: 'Run as root, allow user namespaces, or install bubblewrap.',
  });
}

async function collectText(stream: Readable): Promise<string> {
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  await new Promise((resolveClosed) => stream.once('close', resolveClosed));
  return Buffer.concat(chunks).toString();
}
