// The shape of a recipe file, once: validation, the TypeScript type and the JSON Schema for editors all come from here.
// Knows what a key may hold; what a value means is decided in load.ts and plan.ts.
import { z } from 'zod';
import { minors } from './cpython.ts';
import { prunePresets } from './model.ts';

const minor = z.enum(minors);
const reason = z.string().trim().min(8).describe('Why, for whoever reads the plan: one or two sentences.');
const date = z
  .string()
  .regex(/^\d{4}-\d{2}-\d{2}$/, 'is not a date like 2029-10-31')
  .describe('A date: YYYY-MM-DD.');

const range = {
  since: minor.optional().describe('First CPython version this applies to.'),
  until: minor.optional().describe('Last CPython version this applies to.'),
};

const flag = z
  .strictObject({ value: z.string().trim().min(2).describe('The flag as typed.'), reason, ...range })
  .describe('A flag with its reason.');

const without = z.strictObject({
  module: z
    .string()
    .regex(/^[A-Za-z_]\w*$/, 'is not a module name')
    .describe('Extension module that is not built.'),
  reason,
  ...range,
});

const prune = z.strictObject({
  id: z
    .string()
    .regex(/^[a-z][a-z0-9-]*$/, 'is not an id: lower case letters, digits and hyphens')
    .describe('Names the rule in the ledger.'),
  patterns: z
    .array(z.string().min(1).regex(/^[^/]/, 'starts with a slash; patterns are relative to the prefix'))
    .min(1)
    .describe('Globs against paths below the prefix.'),
  modules: z.array(z.string()).optional().describe('Importable top-level modules that leave with it.'),
  preset: z.enum(prunePresets).optional().describe('Applies only with this preset (--prune, or `presets`).'),
  reason,
  ...range,
});

const extra = z.strictObject({
  id: z
    .string()
    .regex(/^[a-z][a-z0-9-]*$/, 'is not an id: lower case letters, digits and hyphens')
    .describe('Names the extra in the plan.'),
  requirements: z
    .string()
    .min(1)
    .describe('A requirements file with hashes: its path from this recipe, or the name of one that ships ("boto3").'),
  reason,
  ...range,
});

const choices = {
  configure: z.array(flag).optional().describe('Further arguments of ./configure.'),
  cflags: z.array(flag).optional().describe('Further compiler flags.'),
  ldflags: z.array(flag).optional().describe('Further linker flags.'),
  without: z.array(without).optional().describe('Extension modules that are not built.'),
  prune: z.array(prune).optional().describe('What leaves the installed tree.'),
  extras: z.array(extra).optional().describe('Packages that are baked in, from requirements files with hashes.'),
  keep: z.array(z.string()).optional().describe('Ids of inherited prune rules that do not apply.'),
};

const flavor = z
  .strictObject({
    experimental: z.boolean().optional().describe('CPython calls it experimental in this version.'),
    notes: z.array(z.string()).optional().describe('What a user should know before relying on it.'),
    ...choices,
  })
  .describe('What this flavour changes.');

export const recipeFile = z.strictObject({
  extends: z.string().min(1).optional().describe('A recipe by name, or the path of a recipe file next to this one.'),
  python: minor.optional().describe('CPython series.'),
  epoch: z.int().min(315532800).max(4102444800).optional().describe('SOURCE_DATE_EPOCH of the build, in seconds.'),
  status: z
    .strictObject({
      'first-release': date,
      'security-only': date.describe('From this day on there are only security fixes, as source.'),
      'end-of-life': date,
      notes: z.array(z.string()).optional(),
    })
    .optional()
    .describe('Support by the CPython project (devguide.python.org/versions).'),
  oldest: z
    .strictObject({ version: z.string().regex(/^3\.\d+\.\d+$/, 'is not a release like 3.14.5'), reason })
    .optional()
    .describe('The oldest patch release that may be built.'),
  presets: z.array(z.enum(prunePresets)).optional().describe('Presets of prune rules that this recipe asks for.'),
  ...choices,
  flavor: z
    .strictObject({ default: flavor.optional(), 'free-threaded': flavor.optional(), jit: flavor.optional() })
    .optional()
    .describe('The flavours this recipe offers beside the default one.'),
});

/** One recipe file as written, before `extends` is followed. */
export type RecipeFile = z.output<typeof recipeFile>;

/** The JSON Schema of a recipe file (draft 2020-12), for editors. */
function recipeJsonSchema(): Record<string, unknown> {
  const { $schema, ...schema } = z.toJSONSchema(recipeFile, { io: 'input', reused: 'ref' }) as Record<string, unknown>;
  return { $schema, title: 'make-runtime recipe', ...schema };
}

/** recipes/recipe.schema.json as text. */
export function printRecipeSchema(): string {
  return `${JSON.stringify(recipeJsonSchema(), null, 2)}\n`;
}

/** The keys that are valid at a place in a recipe file; empty where there is no table. */
export function keysAt(path: readonly PropertyKey[]): readonly string[] {
  let schema: unknown = recipeFile;
  for (const part of path) {
    schema = bare(schema);
    if (schema instanceof z.ZodArray) schema = schema.element;
    else if (schema instanceof z.ZodObject) schema = (schema.shape as Record<PropertyKey, unknown>)[part];
    else return [];
  }
  schema = bare(schema);
  return schema instanceof z.ZodObject ? Object.keys(schema.shape) : [];
}

function bare(schema: unknown): unknown {
  return schema instanceof z.ZodOptional ? bare(schema.unwrap()) : schema;
}
