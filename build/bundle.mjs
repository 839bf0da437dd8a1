// Bundles the toolkit into dist/, every library included, so that an installed make-runtime has no dependencies and
// starts quickly. Plain JavaScript, because it runs before anything that could compile TypeScript.
import { chmod, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { build } from 'esbuild';

await rm('dist/chunks', { recursive: true, force: true });
const { metafile } = await build({
  entryPoints: ['build/cli.ts', 'build/index.ts'],
  outdir: 'dist',
  bundle: true,
  splitting: true,
  chunkNames: 'chunks/[name]-[hash]',
  format: 'esm',
  platform: 'node',
  target: 'node20',
  legalComments: 'none', // THIRD_PARTY_LICENSES.txt has the whole texts.
  // The AWS SDK as ES modules: half of it is never called, and only then left out. No other package has both.
  mainFields: ['module', 'main'],
  // tuf-js gets a fetcher of ours (build/source/sigstore-root.ts); its own would bring 30 packages that never run.
  alias: { 'make-fetch-happen': './build/no-fetch.mjs' },
  metafile: true,
  logLevel: 'warning',
  // CommonJS packages inside an ES module still call require() (https://github.com/evanw/esbuild/issues/1921).
  banner: {
    js: "import { createRequire as makeRuntimeCreateRequire } from 'node:module'; const require = makeRuntimeCreateRequire(import.meta.url);",
  },
});
await chmod('dist/cli.js', 0o755);

// The page of `make-runtime serve`, all of it in one file.
const page = await build({
  entryPoints: ['build/serve/page/page.ts', 'build/serve/page/page.css'],
  outdir: 'page',
  bundle: true,
  write: false,
  minify: true,
  format: 'esm',
  target: 'es2022',
  logLevel: 'warning',
});
const built = (ending) => page.outputFiles.find(({ path }) => path.endsWith(ending)).text.trim();
const html = (await readFile('build/serve/page/index.html', 'utf8'))
  .replace('/* page.css */', () => built('.css'))
  .replace('/* page.js */', () => built('.js').replaceAll('</script', '<\\/script'));
await writeFile('dist/page.html', html);

// The licences of what was bundled ask that their texts go along.
const packages = new Set(
  Object.keys(metafile.inputs).flatMap((path) => /^node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1] ?? []),
);
const texts = [];
for (const name of [...packages].sort()) {
  const folder = `node_modules/${name}`;
  const { version, license } = JSON.parse(await readFile(`${folder}/package.json`, 'utf8'));
  const file = (await readdir(folder)).find((entry) => /^licen[cs]e/i.test(entry));
  const text = file ? await readFile(`${folder}/${file}`, 'utf8') : `Licence: ${license}`;
  texts.push(`${name} ${version} (${license})\n\n${text.trim()}\n`);
}
await writeFile('dist/THIRD_PARTY_LICENSES.txt', texts.join(`\n${'-'.repeat(80)}\n\n`));
