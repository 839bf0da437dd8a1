// `npm run schema`: writes recipes/recipe.schema.json from the code. Not part of the library.
import { writeFile } from 'node:fs/promises';
import { printRecipeSchema } from './schema.ts';

await writeFile(new URL('../../recipes/recipe.schema.json', import.meta.url), printRecipeSchema());
