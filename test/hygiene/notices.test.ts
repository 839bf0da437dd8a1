// Everything that is bundled or linked is named in THIRD_PARTY_NOTICES.md.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { expect, test } from 'vitest';
import { librariesFor } from '../../build/recipe/libraries.ts';

const root = join(import.meta.dirname, '../..');
const notices = readFileSync(join(root, 'THIRD_PARTY_NOTICES.md'), 'utf8');

test('every bundled npm package', async () => {
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: ['build/cli.ts', 'build/index.ts'],
    outdir: 'dist',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    mainFields: ['module', 'main'], // as in build/bundle.mjs
    alias: { 'make-fetch-happen': './build/no-fetch.mjs' },
    metafile: true,
    write: false,
  });
  const packages = Object.keys(metafile.inputs).flatMap((path) => {
    const name = /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1];
    return name === undefined ? [] : [name];
  });
  expect(packages.length).toBeGreaterThan(5);
  expect([...new Set(packages)].filter((name) => !notices.includes(name))).toEqual([]);
});

test('every library that is linked', () => {
  const names: Record<string, string> = { openssl: 'OpenSSL', sqlite: 'SQLite' };
  for (const { name, licence } of librariesFor('3.15', [])) {
    expect(notices).toContain(names[name] ?? name);
    expect(notices).toContain(licence);
  }
});
