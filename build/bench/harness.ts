// The C programs that measure and the floor they are measured with: compiled once, run once a sample.
// Refuses to know what is compared.
import { createHash } from 'node:crypto';
import { copyFile, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import type { Context } from '../lib/context.ts';
import { MakeRuntimeError, throwIfCancelled } from '../lib/errors.ts';
import { folderOnce } from '../lib/folder.ts';

/** A program, ready to be started. */
export interface Command {
  readonly argv: readonly [string, ...string[]];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** Files and folders that a cold start reads: what leaves the page cache before one. */
  readonly files?: readonly string[];
  /** A file system of its own: the folder that becomes /, where in it the program starts, and what is shown there. */
  readonly root?: {
    readonly folder: string;
    readonly work: string;
    readonly show: readonly (readonly [string, string])[];
  };
}

/** What a program is started in, whoever it is. */
export interface Surroundings {
  /** Its files are evicted from the page cache before. */
  readonly cold?: boolean;
  /** A control group's folder. */
  readonly cgroup?: string;
}

/** One line of the harness. Times are nanoseconds, sizes kB (native/harness.c says what each is). */
export type StepResult =
  | { readonly step: 'exit'; readonly ns: number; readonly cpu: number; readonly peak: number }
  | { readonly step: 'ready'; readonly ns: number; readonly cpu: number }
  | { readonly step: 'pin'; readonly core: number }
  | {
      readonly step: 'evict';
      readonly files: number;
      /** Could not be opened, and so not be evicted. */
      readonly denied: number;
      readonly bytes: number;
      /** Of them still in memory: pages that others have mapped. */
      readonly left: number;
    }
  | { readonly step: 'pause' }
  | { readonly step: 'end' }
  | {
      readonly step: 'memory';
      readonly processes: number;
      readonly resident: number;
      /** The part of it that is in no file: heaps, stacks, written data. */
      readonly anonymous: number;
      readonly proportional: number;
      readonly peak: number;
    }
  | {
      readonly step: 'trips';
      readonly response: readonly number[];
      readonly again: readonly number[];
      readonly cpu: number;
    }
  | { readonly step: 'load'; readonly ns: number; readonly cpu: number }
  | { readonly step: 'stream'; readonly ns: number; readonly bytes: number };

export interface Tools {
  readonly harness: string;
  /** A runtime in C that answers at once. */
  readonly answer: string;
}

const programs = { harness: ['harness.c', 'surroundings.c'], answer: ['answer.c'] } as const;
const sources = ['surroundings.h', ...Object.values(programs).flat()];

/** @throws COMPILER_MISSING, CANCELLED */
export async function compileTools(ctx: Context): Promise<Tools> {
  const source = (name: string): string => join(ctx.packageDir, 'build', 'bench', 'native', name);
  const hash = createHash('sha256');
  for (const name of sources) hash.update(await readFile(source(name)));
  const folder = join(ctx.cacheDir, 'bench', `tools-${process.arch}-${hash.digest('hex').slice(0, 16)}`);
  await folderOnce(folder, async (scratch) => {
    // Copied first: the path of the package may begin with a dash or hold anything else.
    for (const name of sources) await copyFile(source(name), join(scratch, name));
    for (const [name, from] of Object.entries(programs)) {
      const words = ['-std=c11', '-D_GNU_SOURCE', '-O2', '-o', name, ...from];
      const result = await execa(ctx.env['CC'] ?? 'cc', words, {
        cwd: scratch,
        reject: false,
        stdin: 'ignore',
        all: true,
        cancelSignal: ctx.signal,
      });
      throwIfCancelled(ctx.signal);
      if (result.failed) {
        throw new MakeRuntimeError('COMPILER_MISSING', 'The program that measures could not be compiled.', {
          remedy: 'Install a C compiler: the benchmark times with a C program, so that it does not time itself.',
          detail: result.all ?? '',
        });
      }
    }
  });
  return { harness: join(folder, 'harness'), answer: join(folder, 'answer') };
}

/**
 * Starts the command once, puts it through the steps and ends it.
 * @param event a file: what every invocation gets
 * @throws FUNCTION_ERROR with what the command wrote to stderr, when it does not do what a runtime does; CANCELLED
 */
export async function runSteps(
  tools: Tools,
  { argv, env, cwd, files = [], root }: Command,
  event: string,
  steps: readonly (string | number)[],
  ctx: Context,
  { cold = false, cgroup }: Surroundings = {},
): Promise<readonly StepResult[]> {
  const around = [
    ...(cold ? files.flatMap((path) => ['evict', path]) : []),
    ...(cgroup === undefined ? [] : ['cgroup', cgroup]),
    ...(root === undefined ? [] : ['root', root.folder, root.work]),
    ...(root?.show ?? []).flatMap(([from, to]) => ['show', from, to]),
  ];
  const result = await execa(tools.harness, [event, ...around, ...steps.map(String), '--', ...argv], {
    cwd,
    env,
    extendEnv: false,
    reject: false,
    stdin: 'ignore',
    cancelSignal: ctx.signal,
  });
  throwIfCancelled(ctx.signal);
  if (result.failed) {
    const said = (result.stderr || result.shortMessage || '').trim();
    const last = said.split('\n').at(-1) ?? '';
    throw new MakeRuntimeError('FUNCTION_ERROR', `${argv.at(0)} was not measured: ${last.replace(/^harness: /, '')}.`, {
      remedy: 'The lines below are what it wrote; start it by itself to see more.',
      detail: `${argv.join(' ')}\n${said}`,
    });
  }
  return result.stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as StepResult);
}
