// Where build programs run: on the machine itself, or in a container. One interface, so that the same text runs in
// both; what differs is where its folders are and who may see them. Knows nothing of what the programs do.
import { mkdir } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import type { Context } from '../lib/context.ts';
import { MakeRuntimeError } from '../lib/errors.ts';
import { crossFor } from '../recipe/cross.ts';
import type { Arch, Builder, Cross, Plan } from '../recipe/model.ts';
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
  /** How this place compiles for an architecture that is not its own; undefined when it is. */
  cross(arch: Arch): Promise<Cross | undefined>;
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
    cross: (arch) => Promise.resolve(crossFor(ownArch(), arch)),
    look: (needs) => probeHost(needs, ctx.env),
    require: async (plan) => requireComplete(await probeHost(needsOf(plan), ctx.env)),
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

/** Throws ARCH_UNSUPPORTED when a plan was made for builders of another architecture than this machine's. */
export function requireOwnArch({ arch, builder }: Pick<Plan, 'arch' | 'builder'>): void {
  const own = ownArch();
  const wanted = builder.cross?.from ?? arch;
  if (wanted === own) return;
  throw new MakeRuntimeError('ARCH_UNSUPPORTED', `The plan was made on ${wanted}, and this machine is ${own}.`, {
    remedy: `Run it on a machine with ${wanted}, or plan again here: \`--arch ${arch}\` cross-compiles.`,
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
