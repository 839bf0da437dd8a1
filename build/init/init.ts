// The story of `make-runtime init`: a project's description -> a folder with everything in it, whole or not at all.
// Leaves asking and wording to cli/init.ts.
import { readdir } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import type { Context } from '../lib/context.ts';
import { MakeRuntimeError } from '../lib/errors.ts';
import { fileAt, fileOf, makeTree, writeTree } from '../tree/tree.ts';
import { type Project, unavailable } from './model.ts';
import { projectFiles } from './templates/project.ts';

/**
 * Writes a project.
 * @param folder must not exist, or be empty
 * @returns the paths that were written, relative to the folder
 * @throws USAGE when something is there, TEMPLATE_UNAVAILABLE, DISK_FULL, CANCELLED
 */
export async function initProject(folder: string, project: Project, ctx: Context): Promise<string[]> {
  const why = unavailable(project);
  if (why !== undefined) {
    throw new MakeRuntimeError('TEMPLATE_UNAVAILABLE', why, { remedy: 'Choose another --for, or another --sample.' });
  }
  await requireEmpty(folder);
  const sample = join(ctx.packageDir, 'recipes', 'samples', project.sample.folder);
  const written = Object.entries(projectFiles(project)).map(
    ([path, text]) => [path, fileOf(text, path.endsWith('.sh') ? 0o755 : 0o644)] as const,
  );
  const tree = makeTree([
    ...written,
    ['src/app.py', await fileAt(join(sample, 'app.py'))],
    ['event.json', await fileAt(join(sample, 'event.json'))],
  ]);
  await writeTree(tree, folder, ctx.signal);
  return [...tree.entries.keys()];
}

/** A name for stacks and functions, made of a folder's: letters, digits and hyphens, a letter first. */
export function projectName(folder: string): string {
  const name = basename(resolve(folder))
    .replaceAll(/[^A-Za-z0-9]+/g, '-')
    .replaceAll(/^[^A-Za-z]+|-+$/g, '')
    .slice(0, 40);
  return name === '' ? 'function' : name;
}

async function requireEmpty(folder: string): Promise<void> {
  const there = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw new MakeRuntimeError('USAGE', `${folder} is not a folder.`, { remedy: 'Name a new folder.', cause: error });
  });
  if (there.length === 0) return;
  throw new MakeRuntimeError('USAGE', `${folder} is not empty, and nothing in it is overwritten.`, {
    remedy: 'Name a new folder.',
  });
}
