import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { printRecipeSchema } from '../../build/recipe/schema.ts';

test('recipes/recipe.schema.json is what the code says', async () => {
  const written = await readFile(new URL('../../recipes/recipe.schema.json', import.meta.url), 'utf8');
  expect(
    written === printRecipeSchema(),
    'recipes/recipe.schema.json is stale: run `npm run schema` and commit it',
  ).toBe(true);
});
