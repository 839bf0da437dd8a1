import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { type Entry, fileOf, linkTo, makeTree } from '../../build/tree/tree.ts';
import { verify } from '../../build/verify/checks.ts';
import { elfChecks } from '../../build/verify/elf-checks.ts';
import { type Inventory, readInventory, whereabouts } from '../../build/verify/libraries.ts';
import { treeSubject } from '../../build/verify/subject.ts';
import { verdictError } from '../../build/verify/verdict.ts';
import {
  anyProgram,
  compile,
  ctx,
  forMachine,
  hasCc,
  hostArch,
  layerAround,
  otherArch,
  said,
  scripted,
} from './subjects.ts';

let inventory: Inventory;
beforeAll(async () => {
  inventory = await readInventory(ctx.packageDir, hostArch);
});

const hello = '#include <stdio.h>\nint main(int n, char **v) { (void)v; return n > 5 ? puts("x") : 0; }';

/** Checks a layer with these files beside a script as bootstrap. */
async function check(files: Record<string, Uint8Array>, options: { arch?: typeof hostArch } = {}) {
  const entries = Object.entries(files).map(([path, bytes]) => [path, fileOf(bytes, 0o755)] as const);
  const tree = makeTree([['bootstrap', linkTo(Object.keys(files)[0] ?? '')], ...entries]);
  return elfChecks(await treeSubject(tree, 'layer.zip', options), inventory);
}

test('the inventories tell the image from Lambda', async () => {
  expect(whereabouts('libssl.so.3', inventory)).toBe('which is in the image provided:al2023 but not on Lambda itself');
  expect(whereabouts('libz.so.1', inventory)).toBe(
    'which is in the image provided:al2023 but is not promised on Lambda',
  );
  expect(whereabouts('libexpat.so.1', inventory)).toBe('which Lambda does not have');
  for (const arch of ['x86_64', 'arm64'] as const) {
    expect((await readInventory(ctx.packageDir, arch)).get('libc.so.6')).toEqual({ onLambda: true });
  }
});

test('a layer for another machine is named as such, and is not run', async () => {
  const runner = scripted();
  const program = forMachine(anyProgram(), otherArch);
  const claimed = await verify(await treeSubject(layerAround(program, {}), 'layer.zip'), ctx, { runner });
  expect(said(claimed, 'elf.machine')).toEqual([
    `fail: lang/bin/python3.13 is for ${otherArch}, but the layer is for ${hostArch}.`,
  ]);
  expect(verdictError(claimed)).toMatchObject({ code: 'ARTIFACT_WRONG_ARCH' });
  expect(runner.calls).toEqual([]);

  const asked = await verify(await treeSubject(layerAround(anyProgram(), {}), 'x', { arch: otherArch }), ctx, {
    runner,
  });
  expect(verdictError(asked)).toMatchObject({ code: 'ARTIFACT_WRONG_ARCH' });
  expect(runner.calls).toEqual([]);

  // A layer that is all of a piece for the other architecture is a good layer; it just cannot be run here.
  const foreign = await verify(await treeSubject(layerAround(program, undefined), 'x'), ctx, { runner });
  expect(foreign.arch).toBe(otherArch);
  expect(said(foreign, 'elf.machine')).toEqual([`pass: 1 ELF file for ${otherArch}.`]);
  expect(said(foreign, 'run.skipped')[0]).toMatch(new RegExp(`is for ${otherArch}, and this machine is ${hostArch}`));
  expect(runner.calls).toEqual([]);
});

test('a script as bootstrap leaves the architecture to the other programs', async () => {
  const script: [string, Entry] = ['bootstrap', fileOf('#!/bin/sh\nexec /opt/bin/tool\n', 0o755)];
  const tree = makeTree([script, ['bin/tool', fileOf(forMachine(anyProgram(), otherArch), 0o755)]]);
  expect((await treeSubject(tree, 'x')).arch).toBe(otherArch);
});

test('a damaged or 32-bit file cannot be loaded', async () => {
  const findings = await check({
    'bin/x': anyProgram(),
    'lib/cut.so': anyProgram().subarray(0, 200),
    'lib/old.so': Buffer.from('\x7fELF\x01\x01____', 'latin1'),
  });
  expect(said(findings, 'elf.machine')).toEqual([
    'fail: lib/cut.so is an ELF file that Lambda cannot load: it is cut short or damaged.',
    'fail: lib/old.so is an ELF file that Lambda cannot load: it is a 32-bit ELF file.',
  ]);
});

describe.skipIf(!hasCc)('with a compiler', () => {
  test('a plain C program passes', async () => {
    const findings = await check({ 'bin/x': compile(hello) });
    expect(findings.filter(({ level }) => level !== 'pass')).toEqual([]);
    expect(said(findings, 'elf.libraries')).toEqual(['pass: Only allowed libraries are needed: libc.so.6.']);
    expect(said(findings, 'elf.glibc')[0]).toMatch(
      /^pass: The highest glibc version needed is 2\.\d+ \(bin\/x\); Lambda has 2\.34\.$/,
    );
  });

  test('a version that Lambda does not have is told with file, symbol and library', async () => {
    const program = compile(hello, '-Wl,-z,now');
    // The name of the version is the same length, so the file stays sound: it now needs a glibc of the future.
    const at =
      program.indexOf('GLIBC_2.34\0') === -1 ? program.indexOf('GLIBC_2.17\0') : program.indexOf('GLIBC_2.34\0');
    program.write('GLIBC_2.99\0', at);
    const verdict = await verify(await treeSubject(layerAround(program, {}), 'layer.zip'), ctx);
    expect(said(verdict, 'elf.glibc')[0]).toMatch(
      /^fail: lang\/bin\/python3\.13 needs (.*, )?__libc_start_main@GLIBC_2\.99(, .*)? from libc\.so\.6; Lambda has glibc 2\.34\.$/,
    );
    expect(verdictError(verdict)).toMatchObject({
      code: 'ARTIFACT_GLIBC_TOO_NEW',
      remedy: expect.stringContaining('2.34'),
    });
  });

  test('promises about the loader that came after 2.34 count as too new', async () => {
    const program = compile(hello);
    const name = program.includes('GLIBC_2.34\0') ? 'GLIBC_2.34\0' : 'GLIBC_2.17\0';
    program.write('GLIBC_ABI_', program.indexOf(name));
    expect(said(await check({ 'bin/x': program }), 'elf.glibc')[0]).toMatch(/^fail: bin\/x needs .*@GLIBC_ABI_/);
  });

  test('libraries: where the loader finds them decides', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'libraries-'));
    const library = (soname: string) => {
      return compile('int x(void) { return 1; }', '-shared', '-fPIC', `-Wl,-soname,${soname}`);
    };
    /** A program that needs the library; the linker only looks at the name in it. */
    const user = (soname: string, ...flags: string[]) => {
      writeFileSync(join(folder, soname), library(soname));
      return compile(hello, `-L${folder}`, '-Wl,--no-as-needed', `-l:${soname}`, ...flags);
    };
    try {
      const lost = await check({ 'bin/x': user('libown.so.1') });
      expect(said(lost, 'elf.libraries')).toEqual(['fail: bin/x needs libown.so.1, which Lambda does not have.']);
      const own = library('libown.so.1');
      const onPath = await check({ 'bin/x': user('libown.so.1'), 'lib/libown.so.1': own });
      expect(said(onPath, 'elf.libraries')[0]).toMatch(/^pass/);
      const elsewhere = await check({ 'bin/x': user('libown.so.1'), 'lang/lib/libown.so.1': own });
      expect(said(elsewhere, 'elf.libraries')[0]).toMatch(
        /^fail: .* in the layer at lang\/lib\/libown.so.1, where the loader does not look/,
      );
      const found = { 'lang/bin/x': user('libown.so.1', '-Wl,-rpath,$ORIGIN/../lib'), 'lang/lib/libown.so.1': own };
      expect(said(await check(found), 'elf.libraries')[0]).toMatch(/^pass/);
      // The system's copy comes first, unless DT_RPATH says otherwise.
      const runpath = {
        'bin/x': user('libz.so.1', '-Wl,--enable-new-dtags,-rpath,$ORIGIN/../lib'),
        'lib/libz.so.1': library('libz.so.1'),
      };
      expect(said(await check(runpath), 'elf.libraries')[0]).toMatch(/^fail: .*or the system's comes first/);
      const rpath = {
        'bin/x': user('libz.so.1', '-Wl,--disable-new-dtags,-rpath,$ORIGIN/../lib'),
        'lib/libz.so.1': library('libz.so.1'),
      };
      expect(said(await check(rpath), 'elf.libraries')[0]).toMatch(/^pass/);
      const compilers = await check({ 'bin/x': user('libgcc_s.so.1') });
      expect(said(compilers, 'elf.libraries')[1]).toMatch(/^note: bin\/x needs libgcc_s.so.1: part of the base system/);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  test('an executable stack, and search paths of the build machine', async () => {
    const odd = compile(hello, '-Wl,-z,execstack', '-Wl,-rpath,/home/somebody/lib:$ORIGIN/../lib');
    const findings = await check({ 'bin/odd': odd });
    expect(said(findings, 'elf.stack')).toEqual(['fail: bin/odd asks for an executable stack.']);
    expect(said(findings, 'elf.rpath')).toEqual([
      'warn: Library search paths lead to folders that Lambda does not have: /home/somebody/lib (bin/odd).',
    ]);
  });

  test('relocations in code', async () => {
    const library = compile('int x(void) { return 1; }', '-shared', '-fPIC', '-Wl,-z,now');
    // DT_FLAGS 0x1e with DF_BIND_NOW (8): the same entry with DF_TEXTREL (4).
    const entry = Buffer.alloc(16);
    entry.writeUInt32LE(30, 0);
    entry.writeUInt32LE(8, 8);
    library.writeUInt32LE(4, library.indexOf(entry) + 8);
    const findings = await check({ 'lib/x.so': library });
    expect(said(findings, 'elf.textrel')).toEqual(['fail: lib/x.so has relocations in read-only code (DT_TEXTREL).']);
  });
});
