// `make-runtime list`: what can be built, and for how long it is supported.
import { columns } from '../lib/columns.ts';
import { listRecipes, type RecipeRow } from '../recipe/list.ts';
import { loadRecipe, recipeNames } from '../recipe/load.ts';
import { printRecipeName } from '../recipe/name.ts';
import { readLock } from '../source/lock.ts';
import type { Edge } from './edge.ts';

export async function list(edge: Edge): Promise<void> {
  const { packageDir } = edge.ctx;
  const names = await recipeNames(packageDir);
  const recipes = await Promise.all(names.map((name) => loadRecipe({ kind: 'shipped', name }, packageDir)));
  const rows = listRecipes(recipes, await readLock(packageDir), new Date().toISOString().slice(0, 10));
  edge.print(edge.json ? JSON.stringify(rows) : table(rows));
}

function table(rows: readonly RecipeRow[]): string {
  const head = ['recipe', 'newest', 'phase', 'supported until', 'flavours (* experimental)', 'other pins'];
  const body = rows.map((row) => [
    row.name,
    row.newest ?? 'not pinned',
    row.phase,
    row.endOfLife,
    row.flavors
      .map((flavor) => `${printRecipeName(row.name, flavor)}${row.experimental.includes(flavor) ? '*' : ''}`)
      .join(', '),
    row.pinned.slice(1).join(', '),
  ]);
  return columns([head, ...body]).join('\n');
}
