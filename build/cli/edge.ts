// The edge of the program: the only place that reads the process environment, decides where things live and who
// listens. Commands get an Edge and hand its Context to the library.
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import envPaths from 'env-paths';
import pc from 'picocolors';
import type { Context } from '../lib/context.ts';
import { type Colors, jsonProgress, liveProgress, type Progress, plainProgress, quietProgress } from './progress.ts';

export interface GlobalOptions {
  readonly json?: boolean;
  readonly quiet?: boolean;
  /** commander's --no-color */
  readonly color?: boolean;
  readonly offline?: boolean;
}

export interface Edge {
  readonly ctx: Context;
  readonly colors: Colors;
  readonly json: boolean;
  readonly quiet: boolean;
  readonly progress: Progress;
  /** Results, for machines: stdout. */
  print(text: string): void;
  /** Words, for people: stderr, and not with --quiet or --json. */
  say(text: string): void;
}

export function makeEdge(options: GlobalOptions, signal: AbortSignal): Edge {
  const { env, stderr, stdout } = process;
  const colors = pc.createColors(options.color !== false && pc.isColorSupported && stderr.isTTY === true);
  const json = options.json === true;
  const quiet = options.quiet === true;
  let progress: Progress;
  if (quiet) progress = quietProgress(stderr, colors);
  else if (json) progress = jsonProgress(stderr);
  else if (stderr.isTTY && env['TERM'] !== 'dumb' && !env['CI']) progress = liveProgress(stderr, colors);
  else progress = plainProgress(stderr, colors);
  return {
    ctx: {
      report: progress.report,
      signal,
      cacheDir: env['MAKE_RUNTIME_CACHE']
        ? resolve(env['MAKE_RUNTIME_CACHE'])
        : envPaths('make-runtime', { suffix: '' }).cache,
      packageDir: packageDir(),
      env,
      offline: options.offline === true || Boolean(env['MAKE_RUNTIME_OFFLINE']),
    },
    colors,
    json,
    quiet,
    progress,
    print: (text) => {
      progress.stop();
      stdout.write(text.endsWith('\n') ? text : `${text}\n`);
    },
    say: (text) => {
      progress.stop();
      if (!quiet && !json) stderr.write(text.endsWith('\n') ? text : `${text}\n`);
    },
  };
}

/** The folder with recipes/ and bootstrap-src/: above build/cli/ when run from source, above dist/ when bundled. */
function packageDir(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'recipes', 'base.toml'))) {
    const parent = dirname(folder);
    if (parent === folder) throw new Error('make-runtime is incomplete: recipes/base.toml is missing beside it');
    folder = parent;
  }
  return folder;
}

export async function packageVersion(): Promise<string> {
  return JSON.parse(await readFile(join(packageDir(), 'package.json'), 'utf8')).version;
}
