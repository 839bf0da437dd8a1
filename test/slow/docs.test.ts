// Runs the commands that the documentation marks with <!-- run -->: each page in a folder of its own, in order, as a
// reader would, with a runtime that is built already. What a page shows as output is not compared.
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { commandBlocks, pages } from '../docs/commands.ts';
import { build, cli, root } from './judges/layer.ts';

let dir: string;
let layer: string;
let bin: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'make-runtime-docs-'));
  const given = process.env['MAKE_RUNTIME_TEST_LAYERS']?.split(':').find((path) => path.includes('t-'));
  layer = given ?? (await build('3.13t', join(dir, 'out')));
  bin = join(dir, 'bin');
  await mkdir(bin);
  const make = `#!/bin/sh\nexec ${process.execPath} ${cli} "$@"\n`;
  await writeFile(join(bin, 'make-runtime'), make, { mode: 0o755 });
  await writeFile(join(bin, 'npx'), `#!/bin/sh\nshift\nexec ${process.execPath} ${cli} "$@"\n`, { mode: 0o755 });
});
afterAll(() => rm(dir, { recursive: true, force: true }));

/**
 * What a page may take for granted: a layer, a function in src/ with requirements and an event; and the recipe that it
 * shows, as mine.toml.
 */
async function reader(page: string): Promise<string> {
  const folder = join(dir, page.replaceAll('/', '-'));
  await mkdir(join(folder, 'src'), { recursive: true });
  await symlink(layer, join(folder, 'layer.zip'));
  await cp(join(root, 'recipes', 'samples', 'hello', 'app.py'), join(folder, 'src', 'app.py'));
  await writeFile(join(folder, 'requirements.txt'), 'MarkupSafe\n');
  await writeFile(join(folder, 'event.json'), '{"name": "Lambda"}\n');
  const recipe = /^```toml\n([\s\S]*?)^```/m.exec(await readFile(join(root, page), 'utf8'))?.[1];
  if (recipe !== undefined) await writeFile(join(folder, 'mine.toml'), recipe);
  return folder;
}

for (const page of pages()) {
  const runnable = commandBlocks(page).filter(({ marker }) => marker?.kind === 'run');
  if (runnable.length === 0) continue;
  test(`${page} does what it says`, async () => {
    const folder = await reader(page);
    for (const { line, commands } of runnable) {
      for (const command of commands) {
        const result = await execa('sh', ['-euc', command], {
          cwd: folder,
          env: { PATH: `${bin}:${process.env['PATH']}`, CI: '1' },
          stdin: 'ignore',
          reject: false,
          all: true,
        });
        expect(result.exitCode, `${page}:${line}: ${command}\n${result.all}`).toBe(0);
      }
    }
  });
}
