import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { exists, folderOnce, writeWhole } from '../../build/lib/folder.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'make-runtime-folder-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

test('fills a folder once and finds it again', async () => {
  const folder = join(dir, 'result');
  let filled = 0;
  const fill = async (scratch: string) => {
    filled += 1;
    await writeFile(join(scratch, 'file'), 'content');
  };
  expect(await folderOnce(folder, fill)).toEqual({ cached: false });
  expect(await folderOnce(folder, fill)).toEqual({ cached: true });
  expect(filled).toBe(1);
  expect(await readFile(join(folder, 'file'), 'utf8')).toBe('content');
});

test('a failed fill leaves nothing', async () => {
  const folder = join(dir, 'result');
  await expect(
    folderOnce(folder, async (scratch) => {
      await writeFile(join(scratch, 'half'), '');
      throw new Error('no');
    }),
  ).rejects.toThrow('no');
  expect(await readdir(dir)).toEqual([]);
});

test('a full disk is an error with a code', async () => {
  const full = Object.assign(new Error('write'), { code: 'ENOSPC' });
  await expect(folderOnce(join(dir, 'result'), () => Promise.reject(full))).rejects.toMatchObject({
    code: 'DISK_FULL',
  });
});

test('concurrent fills: one wins, nobody fails, nothing is left over', async () => {
  const folder = join(dir, 'result');
  const module = join(import.meta.dirname, '../../build/lib/folder.ts');
  const program = `
    import { writeFile } from 'node:fs/promises';
    import { folderOnce } from ${JSON.stringify(module)};
    await folderOnce(process.argv[1], async (scratch) => {
      await new Promise((resolve) => setTimeout(resolve, 200));
      await writeFile(scratch + '/whole', 'yes');
    });`;
  const run = () =>
    once(spawn('npx', ['tsx', '--input-type=module', '-e', program, folder], { stdio: 'inherit' }), 'exit');
  const exits = await Promise.all([run(), run()]);
  expect(exits.map(([code]) => code)).toEqual([0, 0]);
  expect(await readdir(dir)).toEqual(['result']);
  expect(await readFile(join(folder, 'whole'), 'utf8')).toBe('yes');
});

test('what a killed run left is removed by the next one', async () => {
  const folder = join(dir, 'result');
  // A process id that is certainly free: of a child that has ended.
  const pid = execFileSync('sh', ['-c', 'echo $$'], { encoding: 'utf8' }).trim();
  await writeFile(`${folder}.${pid}.partial`, '');
  await folderOnce(folder, async () => {});
  expect(await exists(`${folder}.${pid}.partial`)).toBe(false);
});

test('writeWhole replaces a file and leaves no scratch file', async () => {
  const path = join(dir, 'deep', 'file.json');
  await writeWhole(path, 'one');
  await writeWhole(path, 'two');
  expect(await readFile(path, 'utf8')).toBe('two');
  expect(await readdir(join(dir, 'deep'))).toEqual(['file.json']);
});
