// .pyc files for a tree of sources, compiled by the interpreter that will run them and in the mode of the standard
// library's: one that never looks at the source (PEP 552). Knows nothing of packages.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import type { Context } from '../lib/context.ts';
import { throwIfCancelled } from '../lib/errors.ts';
import { prefix } from '../recipe/cpython.ts';
import { type FileEntry, fileOf, filterTree, makeTree, readTree, type Tree, writeTree } from '../tree/tree.ts';

/**
 * Compiles what can be compiled: packages carry templates and tests that are no valid Python, as for pip.
 * @param tree paths below `place`
 * @param interpreter an executable of the target's version that runs here
 * @param place the folder that the paths will be below where it runs: tracebacks name it
 * @returns the .pyc files alone, with their paths below `place`
 */
export async function compileBytecode(
  tree: Tree,
  interpreter: string,
  ctx: Pick<Context, 'signal' | 'env'>,
  place: string = prefix,
): Promise<Tree> {
  const scratch = await mkdtemp(join(tmpdir(), 'make-runtime-pyc-'));
  try {
    const root = join(scratch, 'root');
    await writeTree(
      filterTree(tree, (path) => path.endsWith('.py')),
      root,
      ctx.signal,
    );
    // Not -I, which would ignore the hash seed: before 3.11 it decides the order of sets in the bytecode (bpo-37596).
    const argv = ['-B', '-s', '-S', '-m', 'compileall', '-q', '-f', '-j1', '--invalidation-mode', 'unchecked-hash'];
    const result = await execa(interpreter, [...argv, '-s', root, '-p', place, root], {
      cwd: '/',
      extendEnv: false,
      env: { PATH: ctx.env['PATH'] ?? '', LC_ALL: 'C', PYTHONHASHSEED: '0' },
      reject: false,
      all: true,
      cancelSignal: ctx.signal,
      stdin: 'ignore',
    });
    throwIfCancelled(ctx.signal);
    // 1: some file did not compile.
    if (result.exitCode !== 0 && result.exitCode !== 1)
      throw new Error(`${interpreter} cannot compile: ${result.shortMessage ?? ''}\n${result.all ?? ''}`);
    return filterTree(await readTree(root).then(readNow), (path) => path.endsWith('.pyc'));
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** The same tree with its contents in memory: the folder goes. */
async function readNow(tree: Tree): Promise<Tree> {
  const entries: [string, FileEntry][] = [];
  for (const [path, entry] of tree.entries)
    if (entry.kind === 'file') entries.push([path, fileOf(await entry.read(), entry.mode)]);
  return makeTree(entries);
}
