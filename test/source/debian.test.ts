import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { aptConf, deb822Archive, oneLineArchive } from '../../build/source/debian.ts';
import { fetchSource, isObtainable } from '../../build/source/download.ts';
import { rejection } from '../recipe/support/failure.ts';
import { type TestContext, testContext } from './support/context.ts';
import { pin } from './support/pins.ts';

const bytes = randomBytes(5000);
const file = 'python3.13_3.13.5.orig.tar.xz';
const exact = pin(bytes, [`debian:trixie/python3.13=3.13.5-2/${file}`]);
const anyRevision = pin(bytes, [`debian:trixie/python3.13=3.13.5-*/${file}`]);

// An apt that keeps its "index" and "pool" in a folder. What the index holds appears with `apt-get update` only.
const aptGet = `#!/bin/sh
echo "apt-get $*" >> "$FAKE/log"
case " $* " in
  *" update "*)
    if [ -e "$FAKE/locked" ]; then rm "$FAKE/locked"; echo "E: Could not get lock /x/lists/lock. It is held by process 1" >&2; exit 100; fi
    if [ -e "$FAKE/unreachable" ]; then echo "E: Failed to fetch http://deb.example/InRelease  Could not resolve 'deb.example'" >&2; exit 100; fi
    cp "$FAKE/upstream-index" "$FAKE/index" ;;
  *" source "*) cp "$FAKE"/pool/* . 2>/dev/null || { echo "E: Failed to fetch x  404  Not Found" >&2; exit 100; } ;;
esac
`;
const aptCache = `#!/bin/sh
echo "apt-cache $*" >> "$FAKE/log"
[ -e "$FAKE/index" ] && cat "$FAKE/index" || { echo "E: Unable to locate package" >&2; exit 100; }
`;

const index = (...versions: string[]) =>
  versions
    .map((version) => `Package: python3.13\nBinary: python3.13\nVersion: ${version}\nFiles:\n abc 1 x\n`)
    .join('\n');

let fake: string;
let ctx: TestContext;

beforeEach(async () => {
  fake = await mkdtemp(join(tmpdir(), 'apt-'));
  for (const [name, text] of [
    ['apt-get', aptGet],
    ['apt-cache', aptCache],
  ] as const) {
    await writeFile(join(fake, name), text);
    await chmod(join(fake, name), 0o755);
  }
  await mkdir(join(fake, 'pool'));
  await writeFile(join(fake, 'pool', file), bytes);
  await writeFile(join(fake, 'upstream-index'), index('3.13.5-2'));
  ctx = await testContext({ env: { PATH: `${fake}:${process.env.PATH}`, FAKE: fake } });
});
afterEach(async () => {
  await ctx[Symbol.asyncDispose]();
  await rm(fake, { recursive: true });
});

const log = async () =>
  (await readFile(join(fake, 'log'), 'utf8'))
    .trim()
    .split('\n')
    .map((line) => line.replace(/ -c \S+/, ''));

describe('a source package', () => {
  test('is looked up, then fetched, in a root of its own', async () => {
    const path = await fetchSource(exact, ctx);
    expect((await readFile(path)).equals(bytes)).toBe(true);
    expect(await log()).toEqual([
      'apt-cache showsrc --only-source python3.13',
      'apt-get update -q --error-on=any',
      'apt-cache showsrc --only-source python3.13',
      'apt-get source --download-only --tar-only --only-source python3.13=3.13.5-2',
    ]);
    const list = await readFile(join(ctx.cacheDir, 'apt/trixie/sources.list'), 'utf8');
    expect(list).toMatch(/^deb-src \[signed-by=\/\S+\] https?:\/\/\S+ trixie main\n$/);
  });

  test('needs no update when the index at hand has it', async () => {
    await writeFile(join(fake, 'index'), index('3.13.5-1', '3.13.5-2'));
    await fetchSource(exact, ctx);
    expect((await log()).filter((line) => line.includes('update'))).toEqual([]);
  });

  test('at any revision takes the one that is there', async () => {
    await writeFile(join(fake, 'upstream-index'), index('3.13.50-1', '3.13.5-2+deb13u5'));
    await fetchSource(anyRevision, ctx);
    expect((await log()).at(-1)).toMatch(/python3\.13=3\.13\.5-2\+deb13u5$/);
  });

  test('whose exact version is gone is said in a sentence', async () => {
    await writeFile(join(fake, 'upstream-index'), index('3.13.6-1'));
    const error = await rejection(fetchSource(exact, ctx));
    expect(error.code).toBe('SOURCE_UNREACHABLE');
    expect(error.detail).toBe(`${exact.mirrors[0]}: Debian trixie no longer has python3.13 3.13.5-2, but 3.13.6-1`);
  });

  test('that the suite does not have', async () => {
    await writeFile(join(fake, 'upstream-index'), '');
    const error = await rejection(fetchSource(exact, ctx));
    expect(error.detail).toContain('Debian trixie has no source package python3.13');
  });

  test('with other bytes is refused like any other', async () => {
    await writeFile(join(fake, 'pool', file), randomBytes(5000));
    expect((await rejection(fetchSource(exact, ctx))).code).toBe('SOURCE_HASH_MISMATCH');
  });

  test('without the file', async () => {
    await rm(join(fake, 'pool', file));
    await writeFile(join(fake, 'pool', 'other.tar.gz'), 'x');
    const error = await rejection(fetchSource(exact, ctx));
    expect(error.detail).toContain(`python3.13 3.13.5-2 has no file ${file}, only other.tar.gz`);
  });

  test('that vanished from the pool', async () => {
    await rm(join(fake, 'pool', file));
    const error = await rejection(fetchSource(exact, ctx));
    expect(error.detail).toContain('apt says: Failed to fetch x  404  Not Found');
  });
});

test('an archive out of reach, in apt’s words', async () => {
  await writeFile(join(fake, 'unreachable'), '');
  const error = await rejection(fetchSource(exact, ctx));
  expect(error.code).toBe('SOURCE_UNREACHABLE');
  expect(error.detail).toContain(
    "apt says: Failed to fetch http://deb.example/InRelease  Could not resolve 'deb.example'",
  );
});

test('an update that another run holds is waited for', async () => {
  await writeFile(join(fake, 'locked'), '');
  await fetchSource(exact, ctx);
  expect((await log()).filter((line) => line.includes('update'))).toHaveLength(2);
});

test('a machine without apt', async () => {
  const empty = await mkdtemp(join(tmpdir(), 'empty-'));
  const error = await rejection(fetchSource(exact, { ...ctx, env: { PATH: empty } }));
  expect(error.detail).toBe(`${exact.mirrors[0]}: needs apt-cache, which this machine does not have`);
  await rm(empty, { recursive: true });
});

test('whether a package is obtainable asks the index only', async () => {
  expect(await isObtainable(anyRevision, ctx)).toBe(true);
  expect((await log()).filter((line) => line.includes(' source '))).toEqual([]);
  await writeFile(join(fake, 'index'), '');
  await writeFile(join(fake, 'unreachable'), '');
  expect(await isObtainable(anyRevision, ctx)).toBe(false);
});

describe('the archive the machine itself uses', () => {
  test('in a deb822 file', () => {
    const text = `# comment
Types: deb
URIs: http://security.example/debian-security
Suites: bookworm-security
Signed-By: /usr/share/keyrings/other.gpg

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: bookworm

Types: deb
URIs: http://local.example/debian/
Suites: bookworm bookworm-updates
Signed-By: /usr/share/keyrings/debian.gpg
`;
    expect(deb822Archive(text)).toEqual({
      uri: 'http://local.example/debian/',
      signedBy: '/usr/share/keyrings/debian.gpg',
    });
  });

  test('in a classic sources.list', () => {
    const text = `# deb http://no.example/debian bookworm main
deb http://security.example/debian-security bookworm-security main
deb [arch=amd64 signed-by=/k.gpg] https://local.example/debian bookworm main
`;
    expect(oneLineArchive(text)).toEqual({ uri: 'https://local.example/debian', signedBy: '/k.gpg' });
    expect(oneLineArchive('deb http://archive.ubuntu.com/ubuntu noble main')).toBeUndefined();
  });

  test('with a key inside the file is used with Debian’s own keyring', () => {
    const text = 'Types: deb\nURIs: http://local.example/debian\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n';
    expect(deb822Archive(text)).toEqual({ uri: 'http://local.example/debian', signedBy: undefined });
  });
});

const aptConfig = '/usr/bin/apt-config';

test.skipIf(!existsSync(aptConfig))(
  'apt itself, given our configuration, stays inside the folder and runs no hooks',
  async () => {
    const conf = join(fake, 'apt.conf');
    await writeFile(conf, aptConf('/private'));
    const dump = execFileSync(aptConfig, ['-c', conf, 'dump'], { encoding: 'utf8' });
    const at = (name: string) => new RegExp(`^${name} "(.*)";$`, 'm').exec(dump)?.[1];
    expect(at('Dir::State')).toBe('/private/state');
    expect(at('Dir::State::lists')).toBe('/private/lists');
    expect(at('Dir::Cache')).toBe('/private');
    expect(at('Dir::Etc::sourcelist')).toBe('/private/sources.list');
    expect(at('Dir::Etc::sourceparts')).toBe('/private/empty');
    expect(dump).not.toMatch(/^(APT::Update|DPkg)::\S+-Invoke\S*::/m);
  },
);
