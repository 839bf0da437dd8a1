// Source tarball -> install tree and the parts an executable is linked from. Runs the plan's script once per distinct
// script, source and builder; everything after it (bootstrap, prune rules, packaging) can change without compiling.
import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Context } from '../lib/context.ts';
import { shortDigest } from '../recipe/canonical.ts';
import { prefix } from '../recipe/cpython.ts';
import type { Library, Plan } from '../recipe/model.ts';
import { contentOnce } from './content.ts';
import { diagnose } from './diagnose.ts';
import { type Engine, type Folder, hostEngine, jobs } from './engine.ts';
import { libraryScript } from './libraries-script.ts';
import { compileScript, scriptSteps, trainingScript } from './script.ts';

export interface Build {
  readonly key: string;
  /** The installed tree: bin/, lib/, include/, share/ */
  readonly prefix: string;
  /** libpython, static archives, headers, licences: what link.ts needs. */
  readonly embed: string;
  readonly log: string;
  readonly cached: boolean;
  /** Where it was cross-compiled: the folder of an interpreter of the same version that runs on the builder. */
  readonly buildPython?: string | undefined;
}

/** What a compile needs beside the plan: files that earlier stages made. */
export interface Inputs {
  /** Path of CPython's verified tarball. */
  readonly source: string;
  /** Folder of pinned libraries; absent when they are the machine's own. */
  readonly libraries?: string | undefined;
  /** Tar of .gcda files; for plans with profiling. */
  readonly profile?: string | undefined;
  /** Folder of an interpreter of the same version that runs on the builder; for cross builds. */
  readonly buildPython?: string | undefined;
}

/** What the compiled result depends on, and nothing else. */
export function compileKey(plan: Plan): string {
  return shortDigest([compileScript(plan), plan.source.sha256, plan.builder, ...librariesAndProfile(plan)]);
}

function librariesAndProfile(plan: Plan): readonly unknown[] {
  const keys = plan.libraries.flatMap((library) => (library.build ? [libraryKey(library, plan)] : []));
  if (!plan.profiling) return keys.length === 0 ? [] : [keys];
  return [keys, plan.profiling.data ?? plan.profiling.training, plan.profiling.arguments];
}

/** What a compiled library depends on, and nothing else. */
export function libraryKey(library: Library, plan: Plan): string {
  return shortDigest([libraryScript(library, plan), library.source?.sha256, plan.builder]);
}

/**
 * @throws COMPILER_MISSING, HEADER_MISSING, COMPILE_FAILED, DISK_FULL, CANCELLED
 */
export async function compile(
  plan: Plan,
  inputs: Inputs,
  ctx: Context,
  engine: Engine = hostEngine(ctx),
): Promise<Build> {
  const key = compileKey(plan);
  const folder = join(ctx.cacheDir, 'compile', key);
  const log = join(ctx.cacheDir, 'logs', `${plan.name}-${key}.log`);
  const { cached } = await contentOnce(folder, ctx, async (scratch) => {
    await engine.require(plan);
    await runProgram(
      {
        what: `Compiling CPython ${plan.python.version}`,
        stage: 'compile',
        program: compileScript(plan),
        inputs: foldersOf(inputs),
        scratch,
        keep: ['root', 'embed'],
        log,
      },
      plan,
      engine,
      ctx,
    );
  });
  const { buildPython } = inputs;
  return { key, prefix: join(folder, 'root', prefix), embed: join(folder, 'embed'), log, cached, buildPython };
}

/**
 * Runs the training of a plan with profiling, once per distinct program, source and builder.
 * @param training path of the program that the instrumented interpreter runs
 * @returns the tar of .gcda files that compile() takes
 * @throws as compile()
 */
export async function train(
  plan: Plan,
  inputs: Inputs,
  training: string,
  ctx: Context,
  engine: Engine = hostEngine(ctx),
): Promise<{ path: string; cached: boolean }> {
  const key = shortDigest([
    trainingScript(plan),
    plan.source.sha256,
    plan.builder,
    ...librariesAndProfile({ ...plan, ...(plan.profiling ? { profiling: { ...plan.profiling, data: '' } } : {}) }),
    plan.profiling?.training,
  ]);
  const folder = join(ctx.cacheDir, 'profile', key);
  const { cached } = await contentOnce(folder, ctx, async (scratch) => {
    await engine.require(plan);
    await runProgram(
      {
        what: `Training CPython ${plan.python.version}`,
        stage: 'train',
        program: trainingScript(plan),
        inputs: { ...foldersOf(inputs), TRAINING: training },
        scratch,
        keep: ['profile.tar'],
        log: join(ctx.cacheDir, 'logs', `${plan.name}-training-${key}.log`),
      },
      plan,
      engine,
      ctx,
    );
  });
  return { path: join(folder, 'profile.tar'), cached };
}

function foldersOf({ source, libraries, profile, buildPython }: Inputs): Record<string, string> {
  return {
    SOURCE: source,
    ...(libraries === undefined ? {} : { LIBRARIES: libraries }),
    ...(profile === undefined ? {} : { PROFILE: profile }),
    ...(buildPython === undefined ? {} : { BUILD_PYTHON: buildPython }),
  };
}

export interface BuildProgram {
  /** For messages: "Compiling CPython 3.13.15". */
  readonly what: string;
  readonly stage: string;
  readonly program: string;
  /** Files and folders that it reads, by variable; WORK, OUT and JOBS are added. */
  readonly inputs: Readonly<Record<string, string>>;
  /** An empty folder; afterwards it holds what `keep` names, and nothing else. */
  readonly scratch: string;
  readonly keep: readonly string[];
  readonly log: string;
}

/**
 * Runs a build program to its end, with progress.
 * @throws what diagnose() makes of its failure; DISK_FULL, CANCELLED
 */
export async function runProgram(build: BuildProgram, plan: Plan, engine: Engine, ctx: Context): Promise<void> {
  const work = join(build.scratch, 'work');
  const out = join(build.scratch, 'out');
  await mkdir(work);
  await mkdir(out);
  let step: string | undefined;
  let units = 0;
  const tail: string[] = [];
  const read = Object.entries(build.inputs).map(([name, path]): [string, Folder] => [name, { path }]);
  const status = await engine.run({
    program: build.program,
    folders: {
      ...Object.fromEntries(read),
      WORK: { path: work, writable: true },
      OUT: { path: out, writable: true },
    },
    environment: { JOBS: ctx.env['MAKE_RUNTIME_JOBS'] ?? String(jobs()) },
    log: build.log,
    signal: ctx.signal,
    onLine: (line) => {
      tail.push(line);
      if (tail.length > 60) tail.shift();
      if (line.startsWith('::step ')) {
        step = line.slice('::step '.length);
        units = 0;
        ctx.report({ type: 'progress', stage: build.stage, text: scriptSteps[step] ?? step });
      } else if (/ -c /.test(line)) {
        units += 1;
        ctx.report({
          type: 'progress',
          stage: build.stage,
          text: `${scriptSteps[step ?? ''] ?? build.what}: ${units} files`,
        });
      }
    },
  });
  if (status !== 0) {
    throw diagnose(
      { what: build.what, tail, step, log: build.log, status, fallback: 'COMPILE_FAILED' },
      plan.libraries,
    );
  }
  // The scratch tree (source and objects) is ten times the result; only the result is kept.
  await rm(work, { recursive: true });
  for (const part of build.keep) await rename(join(out, part), join(build.scratch, part));
  await rm(out, { recursive: true });
}
