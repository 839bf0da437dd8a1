// Pinned sources of C libraries -> one folder of static archives and headers to compile CPython against. Each library
// is compiled once per machine and source; a new CPython, profile or bootstrap does not touch them.
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import type { Context } from '../lib/context.ts';
import { shortDigest } from '../recipe/canonical.ts';
import type { Library, Plan } from '../recipe/model.ts';
import { libraryKey, runProgram } from './compile.ts';
import { contentOnce } from './content.ts';
import { type Engine, hostEngine } from './engine.ts';
import { libraryScript } from './libraries-script.ts';

const parts = ['lib', 'include', 'notices'];

export interface Libraries {
  /** Holds lib/ (nothing but .a files), include/ and notices/; undefined when every library is the machine's own. */
  readonly path: string | undefined;
  readonly cached: boolean;
}

/**
 * Compiles what is not in the cache yet.
 * @param sources verified archives by library name
 * @throws COMPILER_MISSING, COMPILE_FAILED, DISK_FULL, CANCELLED
 */
export async function compileLibraries(
  plan: Plan,
  sources: ReadonlyMap<string, string>,
  ctx: Context,
  engine: Engine = hostEngine(ctx),
): Promise<Libraries> {
  const pinned = plan.libraries.filter(({ origin }) => origin === 'source');
  if (pinned.length === 0) return { path: undefined, cached: true };
  await engine.require(plan);
  const folders: string[] = [];
  for (const library of pinned) folders.push(await compileLibrary(library, plan, sources, engine, ctx));

  const keys = pinned.map((library) => libraryKey(library, plan));
  const path = join(ctx.cacheDir, 'libraries', `all-${shortDigest(keys)}`);
  const { cached } = await contentOnce(path, ctx, async (scratch) => {
    for (const folder of folders) {
      for (const part of parts) {
        await cp(join(folder, part), join(scratch, part), { recursive: true });
      }
    }
  });
  return { path, cached };
}

async function compileLibrary(
  library: Library,
  plan: Plan,
  sources: ReadonlyMap<string, string>,
  engine: Engine,
  ctx: Context,
): Promise<string> {
  const source = sources.get(library.name);
  if (source === undefined) throw new TypeError(`no source for ${library.name}`);
  const key = libraryKey(library, plan);
  const name = `${library.name}-${library.source?.version}-${key}`;
  const folder = join(ctx.cacheDir, 'libraries', name);
  await contentOnce(folder, ctx, async (scratch) => {
    await runProgram(
      {
        what: `Compiling ${library.name} ${library.source?.version}`,
        stage: 'libraries',
        program: libraryScript(library, plan),
        inputs: { SOURCE: source },
        scratch,
        keep: parts,
        log: join(ctx.cacheDir, 'logs', `${name}.log`),
      },
      plan,
      engine,
      ctx,
    );
  });
  return folder;
}
