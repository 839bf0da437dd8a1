// Bundles the toolkit into dist/, every library included, so that an installed make-runtime has no dependencies and
// starts quickly. Plain JavaScript, because it runs before anything that could compile TypeScript.
import { chmod, rm } from 'node:fs/promises';
import { build } from 'esbuild';

await rm('dist/chunks', { recursive: true, force: true });
await build({
  entryPoints: ['build/cli.ts', 'build/index.ts'],
  outdir: 'dist',
  bundle: true,
  splitting: true,
  chunkNames: 'chunks/[name]-[hash]',
  format: 'esm',
  platform: 'node',
  target: 'node20',
  legalComments: 'linked',
  logLevel: 'warning',
  // CommonJS packages inside an ES module still call require() (https://github.com/evanw/esbuild/issues/1921).
  banner: {
    js: "import { createRequire as makeRuntimeCreateRequire } from 'node:module'; const require = makeRuntimeCreateRequire(import.meta.url);",
  },
});
await chmod('dist/cli.js', 0o755);
