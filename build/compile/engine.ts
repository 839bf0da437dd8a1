// Where build programs run: on the machine itself, or in a container. One interface, so that the same text runs in
// both; what differs is where its folders are and who may see them. Knows nothing of what the programs do.
import { mkdir } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import type { Context } from '../lib/context.ts';
import { MakeRuntimeError } from '../lib/errors.ts';
import type { Arch, Builder, Plan } from '../recipe/model.ts';
import { containerClis } from './container-cli.ts';
import { probeHost } from './host.ts';
import { type Needs, needsOf, type Probe, requireComplete } from './probe.ts';
import { runLogged } from './process.ts';

/** `auto`: a container engine that answers when the builder image is known, else the host. `container`: the first that answers. */
export const engines = ['auto', 'host', 'container', ...containerClis.map(({ name }) => name)] as const;
export type EngineName = (typeof engines)[number];

export interface Run {
  /** The program's text, for /bin/sh. */
  readonly program: string;
  /**
   * Files and folders of this machine that it sees, by the variable that tells it where they are. One of them is WORK,
   * a scratch folder that it starts in.
   */
  readonly folders: Readonly<Record<string, Folder>> & { readonly WORK: Folder };
  /** Its environment besides those, PATH, HOME, TMPDIR and CC. */
  readonly environment: Readonly<Record<string, string>>;
  /** File of this machine that gets everything it prints. */
  readonly log: string;
  readonly signal: AbortSignal;
  readonly onLine: (line: string) => void;
}

export interface Folder {
  readonly path: string;
  readonly writable?: boolean;
}

export interface Engine {
  /** What the plan says about this place. `needs` may make a container engine prepare a builder image. */
  look(needs: Needs): Promise<Probe & { readonly builder: Builder }>;
  /** Throws COMPILER_MISSING, HEADER_MISSING, LLVM_MISSING, or BUILDER_CHANGED when it is not the builder of the plan. */
  require(plan: Plan): Promise<void>;
  /**
   * Runs a program to its end and returns its exit status, with the whole output in `log`. Throws CANCELLED and
   * DISK_FULL. Whatever happens, nothing of it is left running.
   */
  run(run: Run): Promise<number>;
}

/** The machine itself. */
export function hostEngine(ctx: Pick<Context, 'env'>): Engine {
  return {
    look: ({ libraries, requires }) => probeHost(libraries, ctx.env, requires),
    require: async (plan) => {
      const { libraries, requires } = needsOf(plan);
      requireComplete(await probeHost(libraries, ctx.env, requires));
    },
    run: (run) => runOnHost(run, ctx.env),
  };
}

/** The program is a process group of its own: when the signal fires, make and every compiler under it die with it. */
async function runOnHost(run: Run, env: Readonly<Record<string, string | undefined>>): Promise<number> {
  const inherited = Object.fromEntries(
    ['PATH', 'HOME', 'TMPDIR', 'CC'].flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]])),
  );
  const folders = Object.fromEntries(Object.entries(run.folders).map(([name, { path }]) => [name, path]));
  await mkdir(run.folders.WORK.path, { recursive: true });
  const { status } = await runLogged({
    command: '/bin/sh',
    args: ['-c', `exec 2>&1\n${run.program}`],
    cwd: run.folders.WORK.path,
    env: { ...inherited, ...folders, ...run.environment },
    log: run.log,
    signal: run.signal,
    onLine: run.onLine,
  });
  return status;
}

/** How many compilers may run at once: one a core. */
export function jobs(): number {
  return availableParallelism();
}

/** This machine's architecture, in Lambda's words. */
export function ownArch(): Arch {
  return process.arch === 'arm64' ? 'arm64' : 'x86_64';
}

/** Throws ARCH_UNSUPPORTED when this machine's compiler makes programs for another architecture than the plan's. */
export function requireNative(arch: Arch): void {
  const own = ownArch();
  if (arch === own) return;
  throw new MakeRuntimeError('ARCH_UNSUPPORTED', `The host engine compiles for ${own}, the plan is for ${arch}.`, {
    remedy: `Run the same command on a machine with ${arch}, or with \`--engine container\` where ${arch} is emulated; \`plan --arch ${arch}\` works anywhere.`,
  });
}

/** The engine a user named, or ENGINE_UNKNOWN. */
export function engineNamed(name: string): EngineName {
  const known = engines.find((engine) => engine === name);
  if (known !== undefined) return known;
  throw new MakeRuntimeError('ENGINE_UNKNOWN', `There is no engine called "${name}".`, {
    remedy: `Use one of: ${engines.join(', ')}.`,
  });
}
