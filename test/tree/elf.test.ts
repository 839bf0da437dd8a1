// readelf is the judge on real files; fast-check supplies the files that nobody would make.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { compareVersions, type Elf, ElfError, glibcNumber, highestGlibc, readElf } from '../../build/tree/elf.ts';

const scratch = mkdtempSync(join(tmpdir(), 'elf-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

function found(command: string, ...args: string[]): string | undefined {
  try {
    return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return undefined;
  }
}

const hasReadelf = found('readelf', '--version') !== undefined;
const hasCc = found('cc', '--version') !== undefined;

/** What readelf says, in our words. */
function judge(path: string): Omit<Elf, 'machine' | 'type' | 'arch'> & { arch: string | undefined } {
  const text = execFileSync('readelf', ['-hldVW', '--dyn-syms', path], { encoding: 'utf8', maxBuffer: 1 << 28 });
  const all = (pattern: RegExp) => [...text.matchAll(pattern)].map((match) => match[1] ?? '');
  const needs = new Map<string, string[]>();
  let library = '';
  for (const line of text.split('\n')) {
    const file = /^\s+(?:0x\S+|\d+): Version: 1\s+File: (\S+)/.exec(line)?.[1];
    if (file) {
      library = file;
      needs.set(file, needs.get(file) ?? []);
    }
    const version = /^\s+0x\S+:\s+Name: (\S+)\s+Flags: .*Version: \d+$/.exec(line)?.[1];
    if (version && library) needs.get(library)?.push(version);
    if (/Version definition section/.test(line)) library = '';
  }
  const symbols = [...text.matchAll(/ UND (\S+?)@(\S+) \((\d+)\)$/gm)];
  return {
    arch: { 'Advanced Micro Devices X86-64': 'x86_64', AArch64: 'arm64' }[all(/Machine:\s+(.*)$/gm)[0] ?? ''],
    interpreter: all(/Requesting program interpreter: (.*)\]/g)[0],
    needed: all(/\(NEEDED\)\s+Shared library: \[(.*)\]/g),
    soname: all(/\(SONAME\)\s+Library soname: \[(.*)\]/g)[0],
    rpath: all(/\(RPATH\)\s+Library rpath: \[(.*)\]/g).flatMap((value) => value.split(':')),
    runpath: all(/\(RUNPATH\)\s+Library runpath: \[(.*)\]/g).flatMap((value) => value.split(':')),
    versionNeeds: [...needs].map(([name, versions]) => ({ library: name, versions })),
    versionedSymbols: symbols.map(([, symbol = '', version = '']) => ({
      symbol,
      library: [...needs].find(([, versions]) => versions.includes(version))?.[0] ?? '',
      version,
    })),
    stack:
      { RWE: 'executable' as const, RW: 'plain' as const }[all(/GNU_STACK\s+(?:0x\S+\s+){5}(\S+)/g)[0] ?? ''] ??
      'unmarked',
    relro: /GNU_RELRO/.test(text),
    bindNow: /\(BIND_NOW\)|FLAGS\).*BIND_NOW|FLAGS_1\).*\bNOW\b/.test(text),
    textRelocations: /\(TEXTREL\)|FLAGS\).*TEXTREL/.test(text),
  };
}

/** The same version may be needed from two libraries; readelf's symbol table does not say which it is. */
const withoutLibrary = (elf: Pick<Elf, 'versionedSymbols'>) =>
  elf.versionedSymbols.map(({ symbol, version }) => `${symbol}@${version}`).sort();

function compile(name: string, source: string, ...flags: string[]): string {
  const path = join(scratch, name);
  writeFileSync(`${path}.c`, source);
  execFileSync('cc', [`${path}.c`, '-o', path, ...flags], { stdio: ['ignore', 'ignore', 'inherit'] });
  return path;
}

const python = found('python3', '-c', 'import sys; print(sys.executable)');
const libc = found('cc', '-print-file-name=libc.so.6');
const realFiles = ['/bin/ls', '/bin/bash', libc, python && realpathSync(python)].filter(
  (path): path is string => path !== undefined && existsSync(path),
);

describe.skipIf(!hasReadelf)('readelf agrees', () => {
  const agree = (path: string) => {
    const elf = readElf(readFileSync(path));
    if (!elf) throw new Error(`${path} is not ELF`);
    const { machine: _machine, type: _type, versionedSymbols, ...rest } = elf;
    const { versionedSymbols: judged, ...expected } = judge(path);
    expect(rest).toEqual(expected);
    expect(withoutLibrary({ versionedSymbols })).toEqual(withoutLibrary({ versionedSymbols: judged }));
    expect(rest.versionNeeds.length === 0 || versionedSymbols.length > 0).toBe(true);
    return elf;
  };

  test.each(realFiles)('on %s', (path) => {
    agree(path);
  });

  test.skipIf(!hasCc)('on what the compiler can be asked for, stripped of its section headers too', () => {
    const hello = '#include <stdio.h>\nint main(void){ return puts("x") < 0; }';
    const program = compile(
      'program',
      hello,
      '-no-pie',
      '-Wl,-z,now',
      '-Wl,-rpath,$ORIGIN/../lib:/opt/x',
      '-Wl,--enable-new-dtags',
    );
    const elf = agree(program);
    expect(elf).toMatchObject({
      type: 'executable',
      bindNow: true,
      runpath: ['$ORIGIN/../lib', '/opt/x'],
      stack: 'plain',
    });
    const library = agree(
      compile(
        'lib.so',
        hello,
        '-shared',
        '-fPIC',
        '-Wl,-soname,libx.so.1',
        '-Wl,-z,execstack',
        '-Wl,--disable-new-dtags',
        '-Wl,-rpath,/r',
      ),
    );
    expect(library).toMatchObject({ type: 'shared', soname: 'libx.so.1', stack: 'executable', rpath: ['/r'] });

    // What `sstrip` does: no section headers, so only the dynamic segment is left to read.
    const bytes = readFileSync(program);
    bytes.fill(0, 40, 48);
    bytes.fill(0, 58, 64);
    expect(readElf(bytes)).toEqual(elf);
  });

  test.skipIf(!hasCc)('an object file needs nothing', () => {
    const object = readElf(readFileSync(compile('object.o', 'int x;', '-c')));
    expect(object).toMatchObject({ type: 'relocatable', needed: [], versionNeeds: [], interpreter: undefined });
  });
});

test('what is not ELF is undefined, what is another ELF says so', () => {
  expect(readElf(Buffer.from('#!/bin/sh\n'))).toBeUndefined();
  expect(readElf(Buffer.alloc(0))).toBeUndefined();
  expect(() => readElf(Buffer.from('\x7fELF\x01\x01', 'latin1'))).toThrow('32-bit');
  expect(() => readElf(Buffer.from('\x7fELF\x02\x02', 'latin1'))).toThrow('big-endian');
  expect(() => readElf(Buffer.from('\x7fELF', 'latin1'))).toThrow(ElfError);
});

test('damaged files give an ElfError or an answer, and never anything else', () => {
  const sample = readFileSync('/bin/ls');
  const survive = (bytes: Uint8Array) => {
    try {
      readElf(bytes);
    } catch (error) {
      expect(error).toBeInstanceOf(ElfError);
    }
  };
  fc.assert(
    fc.property(fc.nat(sample.length), (length) => survive(sample.subarray(0, length))),
    { numRuns: 150 },
  );
  // Headers and the dynamic segment's tables are where a wrong value leads somewhere.
  const place = fc.oneof(fc.nat(1024), fc.nat(sample.length - 9));
  const change = fc.tuple(place, fc.uint8Array({ minLength: 1, maxLength: 8 }));
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 6 }), (changes) => {
      const bytes = Buffer.from(sample);
      for (const [at, value] of changes) bytes.set(value, at);
      survive(bytes);
    }),
    { numRuns: 300 },
  );
});

test('versions are compared by number', () => {
  expect(glibcNumber('GLIBC_2.2.5')).toEqual([2, 2, 5]);
  expect(glibcNumber('GLIBC_PRIVATE')).toBeUndefined();
  expect(glibcNumber('GLIBCXX_3.4')).toBeUndefined();
  expect(compareVersions([2, 4], [2, 34])).toBeLessThan(0);
  expect(compareVersions([2, 2, 5], [2, 2])).toBeGreaterThan(0);
  expect(compareVersions([2, 34], [2, 34, 0])).toBe(0);
  const needs = [{ library: 'libc.so.6', versions: ['GLIBC_2.4', 'GLIBC_2.34', 'GLIBC_2.2.5', 'GLIBC_ABI_DT_RELR'] }];
  expect(highestGlibc({ versionNeeds: needs } as unknown as Elf)).toBe('2.34');
  expect(highestGlibc({ versionNeeds: [] } as unknown as Elf)).toBeUndefined();
});
