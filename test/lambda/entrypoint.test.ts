// Which bootstrap is started, and what is said of one that cannot be.
import { chmodSync, mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeEach, expect, test } from 'vitest';
import { findEntrypoint } from '../../build/lambda/entrypoint.ts';
import { lambdaPlaces } from '../../build/lambda/function-env.ts';
import { remove, scratch } from './support/function.ts';

const folder = scratch('entrypoint');
afterAll(() => remove(folder));

let codeDir = '';
let layerDir = '';
beforeEach(() => {
  const own = mkdtempSync(join(folder, 'case-'));
  [codeDir, layerDir] = [join(own, 'code'), join(own, 'layer')];
  mkdirSync(codeDir);
  mkdirSync(join(layerDir, 'lang/bin'), { recursive: true });
});

const write = (path: string, content: string | Buffer, mode = 0o755): void => {
  writeFileSync(path, content);
  chmodSync(path, mode);
};
const find = (): Promise<string> => findEntrypoint({ codeDir, layerDir }, lambdaPlaces);
const elf = (machine: number): Buffer => {
  const head = Buffer.alloc(64);
  head.write('\x7fELF', 'latin1');
  head.writeUInt16LE(machine, 18);
  return head;
};
const own = process.arch === 'arm64' ? 183 : 62;

test("the layer's, unless the function brings its own", async () => {
  write(join(layerDir, 'bootstrap'), '#!/bin/sh\n');
  expect(await find()).toBe('/opt/bootstrap');
  write(join(codeDir, 'bootstrap'), '#!/bin/sh\n');
  expect(await find()).toBe('/var/task/bootstrap');
});

test.each(['lang/bin/python3', '/opt/lang/bin/python3'])('a symbolic link to %s', async (target) => {
  write(join(layerDir, 'lang/bin/python3'), elf(own));
  symlinkSync(target, join(layerDir, 'bootstrap'));
  expect(await find()).toBe('/opt/bootstrap');
});

test('none, a dangling link, a folder', async () => {
  await expect(find()).rejects.toMatchObject({ code: 'ARTIFACT_NOT_A_LAYER' });
  symlinkSync('/opt/absent', join(layerDir, 'bootstrap'));
  mkdirSync(join(codeDir, 'bootstrap'));
  await expect(find()).rejects.toThrow('has a file named bootstrap');
});

test('not executable, not a program, another machine', async () => {
  write(join(layerDir, 'bootstrap'), '#!/bin/sh\n', 0o644);
  await expect(find()).rejects.toThrow('not executable');
  write(join(layerDir, 'bootstrap'), 'echo hello\n');
  await expect(find()).rejects.toThrow('neither a program nor a script');
  write(join(layerDir, 'bootstrap'), elf(own === 62 ? 183 : 62));
  await expect(find()).rejects.toMatchObject({ code: 'ARTIFACT_WRONG_ARCH' });
});
