// Extras from a folder of wheels that this test makes, through the real pip of this machine's Python in place of the one
// in CPython's source.
import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Context } from '../../build/lib/context.ts';
import { readZip } from '../../build/package/unzip.ts';
import { zipBytes } from '../../build/package/zip.ts';
import type { Plan } from '../../build/recipe/model.ts';
import type { PinnedPackage } from '../../build/recipe/requirements.ts';
import { fileOf, makeTree, writeTree } from '../../build/tree/tree.ts';
import { installExtras } from '../../build/wheels/extras.ts';
import { samplePlan } from '../verify/sample-plan.ts';

const root = join(import.meta.dirname, '../..');
let dir: string;
let wheels: string;
let ctx: Context;
const hashes = new Map<string, string>();

/** Where Debian's python3-venv, and any other Python, keep the wheel that ensurepip installs. */
const pip = await (async () => {
  const { stdout } = await execa('python3', ['-c', 'import ensurepip, os; print(os.path.dirname(ensurepip.__file__))']);
  const folders = [join(stdout, '_bundled'), '/usr/share/python-wheels'];
  const files = folders.flatMap((folder) => {
    try {
      return readdirSync(folder).map((name) => join(folder, name));
    } catch {
      return [];
    }
  });
  return files.find((path) => /\/pip-[^/]+\.whl$/.test(path));
})();

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'make-runtime-extras-'));
  wheels = join(dir, 'wheels');
  await mkdir(wheels);
  const make = async (name: string, tags: string, metadata = '') => {
    const info = `${name}-1.0.dist-info`;
    const bytes = await zipBytes(
      makeTree([
        [`${name}.py`, fileOf(`tags = ${JSON.stringify(tags)}\n`)],
        [`${info}/WHEEL`, fileOf(`Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: ${tags}\n`)],
        [`${info}/METADATA`, fileOf(`Metadata-Version: 2.1\nName: ${name}\nVersion: 1.0\n${metadata}\n`)],
        [`${info}/RECORD`, fileOf('')],
      ]),
    );
    await writeFile(join(wheels, `${name}-1.0-${tags}.whl`), bytes);
    hashes.set(`${name}-${tags}`, createHash('sha256').update(bytes).digest('hex'));
  };
  await make('pure', 'py3-none-any');
  await make('needy', 'py3-none-any', 'Requires-Dist: pure>=1\nRequires-Dist: native; extra == "fast"\n');
  await make('old', 'py3-none-any', 'Requires-Dist: pure<1\nRequires-Dist: gone; python_version < "3.13"\n');
  for (const tags of [
    'cp313-cp313-manylinux_2_17_x86_64.manylinux2014_x86_64',
    'cp313-cp313t-manylinux_2_34_x86_64',
    'cp313-cp313t-manylinux_2_28_aarch64',
  ])
    await make('native', tags);
  await make('toonew', 'cp313-cp313t-manylinux_2_39_x86_64');
  ctx = {
    report: () => {},
    signal: new AbortController().signal,
    cacheDir: join(dir, 'cache'),
    packageDir: root,
    env: { PATH: process.env.PATH, PIP_NO_INDEX: '1', PIP_FIND_LINKS: wheels, PIP_CONFIG_FILE: '/dev/null' },
    offline: false,
  };
  if (pip === undefined) return;
  const folder = join(ctx.cacheDir, 'ensurepip', samplePlan().source.sha256);
  await mkdir(folder, { recursive: true });
  await copyFile(pip, join(folder, basename(pip)));
  await writeTree(await readZip(pip), join(folder, 'unpacked'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const package_ = (name: string, more: Partial<PinnedPackage> = {}): PinnedPackage => ({
  name,
  version: '1.0',
  sha256: [...hashes].filter(([key]) => key.startsWith(`${name}-`)).map(([, hash]) => hash),
  ...more,
});
const install = async (packages: PinnedPackage[], more: Partial<Plan> = {}, context = ctx): Promise<string[]> => {
  const python = { version: '3.13.15', minor: '3.13', executable: 'python3.13t' };
  const extras = [{ id: 'test', reason: 'these tests want them', packages }];
  const plan = samplePlan({ arch: 'x86_64', python, extras, ...more });
  const { tree } = await installExtras(plan, undefined, context);
  const read = async (path: string): Promise<string> => {
    const entry = tree.entries.get(path);
    return entry?.kind === 'file'
      ? Buffer.from(await entry.read())
          .toString()
          .trim()
      : '';
  };
  const modules = [...tree.entries.keys()].filter((path) => /site-packages\/\w+\.py$/.test(path));
  return Promise.all(modules.map(async (path) => `${path.split('/').at(-1)} ${await read(path)}`));
};

describe.skipIf(pip === undefined)('extras', () => {
  test('are chosen for the target, not for this machine', async () => {
    const native = package_('native');
    expect(await install([native])).toEqual(['native.py tags = "cp313-cp313t-manylinux_2_34_x86_64"']);
    expect(await install([native], { arch: 'arm64' })).toEqual([
      'native.py tags = "cp313-cp313t-manylinux_2_28_aarch64"',
    ]);
    const python = { version: '3.13.15', minor: '3.13', executable: 'python3.13' };
    expect(await install([native], { python })).toEqual([
      'native.py tags = "cp313-cp313-manylinux_2_17_x86_64.manylinux2014_x86_64"',
    ]);
  });

  test('markers are those of the target', async () => {
    const marked = (marker: string) => install([package_('pure'), package_('native', { marker })], { arch: 'arm64' });
    expect(await marked('platform_machine == "aarch64" and python_version >= "3.13"')).toHaveLength(2);
    expect(await marked('platform_machine == "x86_64" or sys_platform == "win32"')).toHaveLength(1);
    await expect(marked('no_such_thing == "1"')).rejects.toMatchObject({ code: 'EXTRAS_UNAVAILABLE' });
  });

  test('what a package needs has to be there, in the right version', async () => {
    await expect(install([package_('needy')])).rejects.toMatchObject({
      code: 'EXTRAS_INCOMPLETE',
      detail: 'needy needs pure>=1',
    });
    await expect(install([package_('old'), package_('pure')])).rejects.toMatchObject({
      code: 'EXTRAS_INCOMPLETE',
      detail: 'old needs pure<1, not 1.0',
    });
    expect(await install([package_('needy'), package_('pure')])).toHaveLength(2);
    await expect(install([package_('needy', { parts: ['fast'] }), package_('pure')])).rejects.toMatchObject({
      detail: 'needy needs native',
    });
  });

  test('another file than the pinned one', async () => {
    await expect(install([package_('pure', { sha256: ['0'.repeat(64)] })])).rejects.toMatchObject({
      code: 'EXTRAS_HASH_MISMATCH',
      detail: expect.stringContaining('0'.repeat(64)),
    });
  });

  test('a cache that was poisoned is not believed', async () => {
    const context = { ...ctx, cacheDir: join(dir, 'poisoned') };
    await execa('cp', ['-R', ctx.cacheDir, context.cacheDir]);
    await rm(join(context.cacheDir, 'wheels'), { recursive: true, force: true });
    await install([package_('pure')], {}, context);
    const [key = ''] = await readdir(join(context.cacheDir, 'wheels'));
    await writeFile(join(context.cacheDir, 'wheels', key, 'pure-1.0-py3-none-any.whl'), 'poison');
    await expect(install([package_('pure')], {}, context)).rejects.toMatchObject({ code: 'EXTRAS_HASH_MISMATCH' });
  });

  test.each([
    ['no such version', () => package_('pure', { version: '9.9' })],
    ['no wheel that Lambda’s glibc can load', () => package_('toonew')],
  ])('%s', async (_, one) => {
    await expect(install([one()])).rejects.toMatchObject({
      code: 'EXTRAS_UNAVAILABLE',
      remedy: expect.any(String),
      detail: expect.stringContaining('ERROR'),
    });
  });

  test('offline: from the cache, or not at all', async () => {
    const offline = { ...ctx, offline: true };
    await install([package_('pure')]);
    expect(await install([package_('pure')], {}, offline)).toHaveLength(1);
    await expect(install([package_('pure'), package_('native')], {}, offline)).rejects.toMatchObject({
      code: 'EXTRAS_UNAVAILABLE',
      remedy: 'Run once without --offline.',
    });
  });

  test('without python3', async () => {
    const context = { ...ctx, env: { ...ctx.env, PATH: '/nowhere' } };
    await expect(install([package_('needy'), package_('toonew')], {}, context)).rejects.toMatchObject({
      code: 'EXTRAS_UNAVAILABLE',
      remedy: 'Install python3: pip runs on it.',
    });
  });
});

if (pip === undefined)
  test('extras', ({ skip }) => skip('this machine’s Python has no pip wheel (Debian: python3-venv)'));
