// CPython judges what we made of it: a stated part of its own test suite (cpython-suite/subset.ts), run by the layer's
// interpreter inside the sandbox, with Lib/test of the very source it was compiled from laid beside it as a second layer.
import { mkdir, mkdtemp, readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import envPaths from 'env-paths';
import { execa } from 'execa';
import { afterAll, describe, expect, test } from 'vitest';
import { Sandbox } from '../../build/lambda/sandbox.ts';
import { readBuildRecord } from '../../build/package/build-json.ts';
import { readZip } from '../../build/package/unzip.ts';
import { fetchSource } from '../../build/source/download.ts';
import { remove, testContext } from '../lambda/support/function.ts';
import { expected, modules } from './cpython-suite/subset.ts';
import { judgedLayers, unpacked } from './judges/layer.ts';

const folder = await mkdtemp(join(tmpdir(), 'make-runtime-suite-'));
afterAll(() => remove(folder));
const layers = (await judgedLayers(folder)).filter(({ machine }) => !machine);

describe.each(layers)("CPython's own tests on $version", (layer) => {
  test('the subset passes', async () => {
    // The user's cache, where building the layer has left its source.
    const cacheDir = process.env['MAKE_RUNTIME_CACHE'] ?? envPaths('make-runtime', { suffix: '' }).cache;
    const ctx = { ...testContext(folder), cacheDir, env: process.env, offline: false };
    const record = await readBuildRecord(await readZip(layer.path));
    const source = await fetchSource(record!.plan.source, ctx);
    const tests = join(folder, layer.version);
    const library = join(tests, 'lang', 'lib', record!.plan.python.executable);
    await mkdir(library, { recursive: true });
    await execa('tar', ['-xf', source, '-C', library, '--strip-components=2', '--wildcards', '*/Lib/test']);
    const files = await readdir(join(library, 'test'), { recursive: true });
    const there = new Set(files.map((path) => path.replace(/\.py$/, '').replaceAll('/', '.')));
    const wanted = modules.filter((name) => there.has(name));
    expect(wanted.length).toBeGreaterThan(120);

    const sandbox = await Sandbox.open({ layerDirs: [await unpacked(layer, ctx), tests] }, ctx);
    try {
      const ignored = expected.flatMap(({ pattern }) => ['--ignore', pattern]);
      const result = await sandbox.run(
        [
          `${sandbox.places.layerRoot}/bin/python3`,
          '-m',
          'test',
          '-W',
          '-j2',
          '--timeout',
          '600',
          ...ignored,
          ...wanted,
        ],
        { cwd: '/tmp', env: { LANG: 'C.UTF-8', HOME: '/tmp', TMPDIR: '/tmp' } },
      );
      // Its summary, which names what failed, is the message worth reading.
      const summary = result.stdout.slice(result.stdout.lastIndexOf('== Tests result'));
      const why = result.stdout.match(/^(ERROR|FAIL): .*$|^test \S+ (failed|crashed).*$/gm) ?? [];
      expect([result.exitCode, ...why], summary).toEqual([0]);
      expect(summary).toMatch(/SUCCESS/);
      const ran = Number(/run=([\d,]+)/.exec(summary)?.[1]?.replaceAll(',', '') ?? 0);
      if (layer.version !== '3.11') expect(ran).toBeGreaterThan(15_000);
    } finally {
      await sandbox.close();
    }
  });
});
