// What is said where programs of the other architecture cannot be run, and what is set up where they can: with stand-ins
// for qemu, so that no machine needs it for this. test/slow/arm64.test.ts runs real ones.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { findEmulation, machineArch } from '../../build/lambda/emulation.ts';
import { entrypointArch } from '../../build/lambda/entrypoint.ts';
import { ExecutionEnvironment } from '../../build/lambda/environment.ts';
import { namespaceWrapper } from '../../build/lambda/sandbox-script.ts';
import { remove, scratch, settings, testContext } from './support/function.ts';

const folder = scratch('emulation');
afterAll(() => remove(folder));

const other = machineArch() === 'arm64' ? 'x86_64' : 'arm64';
const qemu = other === 'arm64' ? 'qemu-aarch64' : 'qemu-x86_64';

function layerFor(machine: number): string {
  const layer = join(folder, `layer-${machine}`);
  mkdirSync(layer, { recursive: true });
  const head = Buffer.alloc(64);
  head.write('\x7fELF', 'latin1');
  head.writeUInt16LE(machine, 18);
  writeFileSync(join(layer, 'bootstrap'), head, { mode: 0o755 });
  return layer;
}

test('the architecture of a bootstrap, or none', async () => {
  const of = (machine: number) => entrypointArch({ codeDir: folder, layerDir: layerFor(machine) });
  expect(await of(183)).toBe('arm64');
  expect(await of(62)).toBe('x86_64');
  expect(await of(243)).toBeUndefined();
  const layerDir = layerFor(1);
  writeFileSync(join(layerDir, 'bootstrap'), '#!/bin/sh\n');
  expect(await entrypointArch({ codeDir: folder, layerDir })).toBeUndefined();
});

describe('without qemu', () => {
  test('an invocation says what is missing in one sentence, with a code and the packages', async () => {
    const layerDirs = [layerFor(other === 'arm64' ? 183 : 62)];
    await expect(
      ExecutionEnvironment.create({ layerDirs, settings: settings('any') }, testContext(folder)),
    ).rejects.toMatchObject({
      code: 'ARTIFACT_WRONG_ARCH',
      message: `The artifact is for ${other}, and this ${machineArch()} machine has no ${qemu} to run it with.`,
      remedy: expect.stringMatching(/apt-get install qemu-user libc6-\w+-cross/),
    });
  });

  test('a processor that Lambda has not is no case for it', async () => {
    await expect(
      ExecutionEnvironment.create({ layerDirs: [layerFor(243)], settings: settings('any') }, testContext(folder)),
    ).rejects.toMatchObject({ code: 'ARTIFACT_WRONG_ARCH', message: expect.stringContaining('ELF machine 243') });
  });
});

test('with it: its version, and a handler for ELF files of that machine alone', async () => {
  const bin = join(folder, 'bin');
  mkdirSync(bin);
  writeFileSync(join(bin, qemu), '#!/bin/sh\necho "qemu version 7.2.22 (Debian)"\n', { mode: 0o755 });
  const found = await findEmulation(other, { env: { PATH: `relative:${folder}/none:${bin}` } }).catch(
    (error: unknown) => error as Error,
  );
  // Without a glibc of that architecture on this machine, that is what is missing.
  if (found instanceof Error) return expect(found.message).toContain(`no glibc for ${other}`);
  expect(found.name).toBe(`${qemu} 7.2.22`);
  if (found.handler === undefined) return; // The machine has one of its own.
  const [, , kind, offset, magic = '', mask = '', program, flags] = found.handler.split(':');
  expect([kind, offset, program, flags]).toEqual(['M', '', join(bin, qemu), 'PF']);
  const bytes = (text: string) => Buffer.from(text.replaceAll('\\x', ''), 'hex');
  const matches = (type: number, machine: number, osabi = 0): boolean => {
    const head = Buffer.alloc(20);
    head.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, osabi], 0);
    head.writeUInt16LE(type, 16);
    head.writeUInt16LE(machine, 18);
    return bytes(magic).every((byte, at) => byte === ((head[at] ?? 0) & (bytes(mask)[at] ?? 0)));
  };
  const machine = other === 'arm64' ? 183 : 62;
  expect([matches(2, machine), matches(3, machine), matches(2, machine, 3)]).toEqual([true, true, true]);
  expect([matches(1, machine), matches(2, 243), matches(2, 245 - machine)]).toEqual([false, false, false]);
});

test('the handler reaches the namespace as a word of its own, and is empty where there is none', () => {
  const words = namespaceWrapper('/fstab', '/root', undefined, false, ':a:M::\\x7f:\\xff:/usr/bin/q:PF').args;
  const at = words.indexOf('/fstab');
  expect(words.slice(at, at + 4)).toEqual(['/fstab', '/root', '', ':a:M::\\x7f:\\xff:/usr/bin/q:PF']);
  const asRoot = namespaceWrapper('/fstab', '/root', undefined, true).args;
  expect(asRoot.slice(asRoot.indexOf('/fstab'), asRoot.indexOf('setpriv'))).toEqual(['/fstab', '/root', '', '']);
});
