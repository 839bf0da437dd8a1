// Choosing wheels with the pip of this machine's Python, from a folder of wheels made here: no index is asked. The wheels
// are for targets that this machine is not.
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Choice, chooseWheels, skippedIn } from '../../build/deps/choose.ts';
import type { Context } from '../../build/lib/context.ts';
import { isMakeRuntimeError } from '../../build/lib/errors.ts';
import { zipBytes } from '../../build/package/zip.ts';
import { fileOf, makeTree } from '../../build/tree/tree.ts';
import { samplePlan } from '../verify/sample-plan.ts';

let dir: string;
let ctx: Context;
const hashes = new Map<string, string>();
/** The package pip of python3, or the wheel that ensurepip would install (Debian's python3-venv): both can be imported. */
const find = `import glob, os
try:
    import pip
    print(os.path.dirname(os.path.dirname(pip.__file__)))
except ImportError:
    import ensurepip
    places = [os.path.join(os.path.dirname(ensurepip.__file__), '_bundled'), '/usr/share/python-wheels']
    print([wheel for place in places for wheel in glob.glob(place + '/pip-*.whl')][0])`;
const own = await execa('python3', ['-c', find], { reject: false });
const pip = own.exitCode === 0 ? own.stdout.trim() : undefined;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'make-runtime-choose-'));
  const index = join(dir, 'index');
  await mkdir(index);
  const make = async (name: string, version: string, tags: string, metadata = ''): Promise<void> => {
    const info = `${name}-${version}.dist-info`;
    const bytes = await zipBytes(
      makeTree([
        [`${name}.py`, fileOf('')],
        [`${info}/WHEEL`, fileOf(`Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: ${tags}\n`)],
        [`${info}/METADATA`, fileOf(`Metadata-Version: 2.1\nName: ${name}\nVersion: ${version}\n${metadata}\n`)],
        [`${info}/RECORD`, fileOf('')],
      ]),
    );
    hashes.set(`${name}-${version}`, createHash('sha256').update(bytes).digest('hex'));
    await writeFile(join(index, `${name}-${version}-${tags}.whl`), bytes);
  };
  await make('pure', '1.0', 'py3-none-any');
  await make('needy', '1.0', 'py3-none-any', 'Requires-Dist: pure\nRequires-Dist: gone; python_version < "3.13"\n');
  await make('native', '1.0', 'cp313-cp313t-manylinux_2_28_x86_64');
  await make('native', '2.0', 'cp313-cp313-manylinux_2_28_x86_64');
  await make('withgil', '1.0', 'cp313-cp313-manylinux_2_28_x86_64');
  await make('stable', '1.0', 'cp39-abi3-manylinux_2_28_x86_64');
  await make('newglibc', '1.0', 'cp313-cp313t-manylinux_2_39_x86_64');
  await make('wants_missing', '1.0', 'py3-none-any', 'Requires-Dist: withgil\nRequires-Dist: pure\n');
  await writeFile(join(index, 'source-1.0.tar.gz'), 'not looked into');
  ctx = {
    report: () => {},
    signal: new AbortController().signal,
    cacheDir: join(dir, 'cache'),
    packageDir: dir,
    env: { PATH: process.env['PATH'], PIP_NO_INDEX: '1', PIP_FIND_LINKS: index, PIP_CONFIG_FILE: '/dev/null' },
    offline: false,
  };
});
afterAll(() => rm(dir, { recursive: true, force: true }));

let counter = 0;
async function choose(lines: string, executable = 'python3.13t'): Promise<Choice> {
  counter += 1;
  const folder = join(dir, `choice-${counter}`);
  await mkdir(folder);
  const file = join(folder, 'requirements.txt');
  await writeFile(file, lines);
  const plan = samplePlan({ arch: 'x86_64', python: { version: '3.13.15', minor: '3.13', executable } });
  return chooseWheels({ requirements: [file], folder: join(folder, 'wheels'), plan, pip: pip as string }, ctx);
}
const names = ({ wheels }: Choice): string[] => wheels.map(({ name, version }) => `${name} ${version}`);

describe.skipIf(pip === undefined)('wheels', () => {
  test('are the target’s, also those that others need, with markers as the target has them', async () => {
    const choice = await choose('needy\nnative; python_version == "3.13" and platform_machine == "x86_64"');
    expect(names(choice)).toEqual(['native 1.0', 'needy 1.0', 'pure 1.0']);
    // A newer release without a wheel is told.
    expect(choice.passedOver).toEqual([{ name: 'native', chosen: '1.0', newest: '2.0' }]);
  });

  test('all that is missing is told at once, with what there is instead', async () => {
    const { missing } = await choose('wants-missing\nsource\nnewglibc\nnative');
    expect(missing.map(({ name, version, instead, source }) => [name, version, instead, source?.file])).toEqual([
      ['newglibc', '1.0', ['wheels for a newer glibc than 2.34, or musl'], undefined],
      ['source', '1.0', ['its source'], 'source-1.0.tar.gz'],
      ['withgil', '1.0', ['wheels for 3.13 with the GIL'], undefined],
    ]);
  });

  test('the stable ABI is that of a build with the GIL', async () => {
    const { wheels, missing } = await choose('stable');
    expect(wheels).toEqual([]);
    expect(missing).toMatchObject([{ name: 'stable', instead: ['wheels for the stable ABI with the GIL'] }]);
    expect(names(await choose('stable\nnative', 'python3.13'))).toEqual(['native 2.0', 'stable 1.0']);
  });

  test.each([
    ['no such package', 'nowhere==1.0', 'DEPS_UNAVAILABLE'],
    ['two that exclude each other', 'pure==1.0\npure==2.0', 'DEPS_UNAVAILABLE'],
    ['another file than the one that was pinned', `pure==1.0 --hash=sha256:${'0'.repeat(64)}`, 'DEPS_HASH_MISMATCH'],
  ])('%s', async (_, lines, code) => {
    const error = await choose(lines).catch((caught: unknown) => caught);
    expect(isMakeRuntimeError(error) && [error.code, (error.detail ?? '').length > 0]).toEqual([code, true]);
  });

  test('with hashes, everything has to have one', async () => {
    const pure = `pure==1.0 --hash=sha256:${hashes.get('pure-1.0')}`;
    expect(names(await choose(pure))).toEqual(['pure 1.0']);
    const error = await choose(`needy==1.0 --hash=sha256:${hashes.get('needy-1.0')}`).catch(
      (caught: unknown) => caught,
    );
    expect(error).toMatchObject({
      code: 'DEPS_UNAVAILABLE',
      message: expect.stringContaining('some packages have none'),
    });
  });

  test('without python3', async () => {
    const without = { ...ctx, env: { ...ctx.env, PATH: '/nowhere' } };
    const plan = samplePlan({ arch: 'x86_64' });
    const request = { requirements: ['x.txt'], folder: join(dir, 'none'), plan, pip: pip as string };
    await expect(chooseWheels(request, without)).rejects.toMatchObject({ remedy: 'Install python3: pip runs on it.' });
  });
});
if (pip === undefined)
  test('wheels', ({ skip }) => skip('python3 here has no pip, and no wheel of it (Debian: python3-venv)'));

test('what pip skipped, as its log words it', () => {
  const log = [
    "  Skipping link: none of the wheel's tags (cp313-cp313-win32) are compatible (run pip debug --verbose to show compatible tags): https://files.example/a/My_Pkg-1.2-cp313-cp313-win32.whl#sha256=ab (from https://example/simple/my-pkg/) (requires-python:>=3.9)",
    '  Skipping link: No sources permitted for my-pkg: https://files.example/a/my.pkg-1.2.tar.gz (from https://example/simple/my-pkg/)',
    '  Skipping link: unsupported archive format: .exe: https://files.example/a/my-pkg-1.2.exe (from https://example)',
    '  Skipping link: yanked for reason: broken: https://files.example/a/my_pkg-1.3-py3-none-any.whl (from https://example)',
  ].join('\n');
  expect(skippedIn(log).map(({ name, version, fits }) => [name, version, fits])).toEqual([
    ['my-pkg', '1.2', true],
    ['my-pkg', '1.2', true],
    ['my-pkg', '1.3', false],
  ]);
});
