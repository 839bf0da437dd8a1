import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import type { ReportEvent } from '../../build/lib/report.ts';
import { librariesFor } from '../../build/recipe/libraries.ts';
import type { Builder, Library, Plan, Source } from '../../build/recipe/model.ts';
import { libraryFacts } from '../../build/sbom/catalogue.ts';
import { componentsOf, takeInventory, withWheels } from '../../build/sbom/inventory.ts';
import type { Component } from '../../build/sbom/model.ts';
import { findWheels, type Wheel } from '../../build/sbom/wheels.ts';
import { fileOf, makeTree, type Tree } from '../../build/tree/tree.ts';
import { tinySource } from '../compile/support/tiny-source.ts';
import { boto3, bundled, debian, describedFor, planFor, tree } from './support/described.ts';

const dir = mkdtempSync(join(tmpdir(), 'inventory-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

async function inventory(
  plan: Plan,
  more: { tree?: Tree; wheels?: readonly Wheel[] } = {},
): Promise<Record<string, Component>> {
  const files = more.tree ?? tree(plan.python.executable);
  const components = componentsOf({
    plan,
    bundled: await bundled(),
    tree: files,
    wheels: more.wheels ?? [],
    version: '0.1.0',
  });
  expect(new Set(components.map(({ ref }) => ref)).size).toBe(components.length);
  return Object.fromEntries(components.map((component) => [component.ref, component]));
}

test('every library that may be linked has a CPE', () => {
  expect(librariesFor('3.15', []).filter(({ name }) => libraryFacts[name] === undefined)).toEqual([]);
});

test("interpreter and bootstrap, the machine's libraries, the bundled parts", async () => {
  const plan = await planFor('3.13');
  const found = await inventory(plan);
  expect(Object.keys(found)).toEqual([
    ...['cpython', 'make-runtime-bootstrap'],
    ...['bzip2', 'libffi', 'openssl', 'sqlite', 'util-linux', 'xz', 'zlib'],
    ...['cpython/expat', 'cpython/hacl-star', 'cpython/libb2', 'cpython/mimalloc', 'cpython/mpdecimal'],
  ]);
  expect(found['cpython']).toMatchObject({
    version: plan.source.version,
    licence: 'PSF-2.0',
    purl: `pkg:generic/python@${plan.source.version}`,
    cpe: `cpe:2.3:a:python:python:${plan.source.version}:*:*:*:*:*:*:*`,
    source: { url: expect.stringMatching(/^https:\/\/www\.python\.org\/.*xz$/), sha256: plan.source.sha256 },
  });
  expect(found['make-runtime-bootstrap']?.note).toContain(plan.bootstrap);
  expect(found['openssl']).toMatchObject({
    version: '3.0.19-1~deb12u2',
    cpe: 'cpe:2.3:a:openssl:openssl:3.0.19:*:*:*:*:*:*:*',
    purl: 'pkg:deb/debian/libssl-dev@3.0.19-1~deb12u2?arch=amd64&distro=debian-12&upstream=openssl',
    texts: ['share/licenses/openssl.txt', 'share/licenses/Apache-2.0.txt'],
  });
  expect(found['cpython/mimalloc']).toMatchObject({
    version: '2.1.2',
    texts: ['share/licenses/cpython-incorporated.rst'],
  });
});

test('a library from pinned source is what the lock says', async () => {
  const plan = await planFor('3.13');
  const source: Source = {
    ...plan.source,
    name: 'openssl',
    version: '3.5.7',
    file: 'openssl-3.5.7.tar.gz',
    sha256: 'c'.repeat(64),
    mirrors: ['debian:sid/openssl=3.5.7-*/openssl_3.5.7.orig.tar.gz', 'https://example.org/openssl-3.5.7.tar.gz'],
    licence: 'Apache-2.0',
    purl: 'pkg:generic/openssl@3.5.7',
  };
  const libraries = plan.libraries.map(
    (library) => (library.name === 'openssl' ? { ...library, origin: 'source', source } : library) as Library,
  );
  const { openssl } = await inventory({ ...plan, libraries });
  expect(openssl).toEqual({
    ref: 'openssl',
    role: 'linked',
    name: 'openssl',
    supplier: 'OpenSSL',
    version: '3.5.7',
    licence: 'Apache-2.0',
    purl: 'pkg:generic/openssl@3.5.7',
    cpe: 'cpe:2.3:a:openssl:openssl:3.5.7:*:*:*:*:*:*:*',
    source: { url: 'https://example.org/openssl-3.5.7.tar.gz', sha256: 'c'.repeat(64) },
    texts: ['share/licenses/openssl.txt'],
  });
});

describe('what is not in the artifact is not in the list', () => {
  const left = async (change: (plan: Plan) => Plan): Promise<string[]> =>
    Object.keys(await inventory(change(await planFor('3.13'))));

  test('a module that is not built', async () => {
    const value = { value: '_decimal', reason: 'test' };
    const refs = await left((plan) => ({ ...plan, withoutModules: [...plan.withoutModules, value] }));
    expect(refs).not.toContain('cpython/mpdecimal');
    expect(refs).toContain('cpython/expat');
  });

  test('a configure argument', async () => {
    const value = { value: '--without-mimalloc', reason: 'test' };
    expect(await left((plan) => ({ ...plan, configure: [...plan.configure, value] }))).not.toContain(
      'cpython/mimalloc',
    );
  });

  test('a bundled copy whose place a library of ours takes', async () => {
    const mpdecimal = { ...(await planFor('3.13')).libraries[0]!, name: 'mpdecimal' };
    const refs = await left((plan) => ({ ...plan, libraries: [...plan.libraries, mpdecimal] }));
    expect(refs).toContain('mpdecimal');
    expect(refs).not.toContain('cpython/mpdecimal');
  });

  test('Python files that were pruned', async () => {
    const plan = await planFor('3.13');
    const file = 'lib/python3.13/ctypes/macholib/dyld.py';
    expect(await inventory(plan)).not.toHaveProperty('cpython/macholib');
    expect(await inventory(plan, { tree: makeTree([[file, fileOf('')]]) })).toHaveProperty(['cpython/macholib']);
  });
});

test('a library whose version nobody knows: no CPE that would match every version, and a warning', async () => {
  const unmanaged: Builder = { ...debian, packages: {} };
  const { zlib } = await inventory(await planFor('3.13', 'default', unmanaged));
  expect(zlib).toEqual({
    ref: 'zlib',
    role: 'linked',
    name: 'zlib',
    supplier: 'Jean-loup Gailly and Mark Adler',
    licence: 'Zlib',
    purl: 'pkg:generic/zlib',
    texts: ['share/licenses/zlib.txt'],
    note: 'Static archive libz.a of the build machine (Debian GNU/Linux 12 (bookworm)); no package manager knows its version',
  });
});

test('taking it from a tarball brings the texts along, and warns of what is not known', async () => {
  const tiny = await tinySource(dir);
  const plan = {
    ...tiny.plan,
    // The folder in the tarball is named after the version.
    source: { ...tiny.plan.source, version: '3.13.0' },
    libraries: (await planFor('3.13')).libraries.slice(0, 1),
    builder: { ...debian, packages: {} },
  };
  const events: ReportEvent[] = [];
  const ctx = { ...tiny.ctx, report: (event: ReportEvent) => void events.push(event) };
  const { components, notices } = await takeInventory({ plan, source: tiny.source, tree: tree('python3.13') }, ctx);
  expect(components.map(({ ref }) => ref)).toEqual(['cpython', 'make-runtime-bootstrap', 'openssl']);
  expect([...notices.entries.keys()]).toEqual(['Apache-2.0.txt']);
  expect(events).toEqual([
    expect.objectContaining({ type: 'warn', message: 'The SBOM cannot say which version of openssl is linked in.' }),
  ]);
});

describe('wheels', () => {
  const site = 'lib/python3.13/site-packages';
  const metadata = (lines: string[]) => fileOf(`Metadata-Version: 2.4\n${lines.join('\n')}\n\nLicense: not a header\n`);
  const installed = makeTree([
    [
      `${site}/boto3-1.40.1.dist-info/METADATA`,
      metadata(['Name: boto3', 'Version: 1.40.1', 'License-Expression: Apache-2.0']),
    ],
    [`${site}/boto3-1.40.1.dist-info/licenses/LICENSE`, fileOf('Apache')],
    [`${site}/Old_One-2.dist-info/METADATA`, metadata(['Name: Old_One', 'Version: 2', 'License: BSD-like'])],
    [`${site}/Old_One-2.dist-info/LICENSE.txt`, fileOf('BSD')],
    [
      `${site}/bare-3.dist-info/METADATA`,
      metadata(['Name: bare', 'Version: 3', 'Classifier: License :: OSI Approved :: MIT License']),
    ],
    [`${site}/broken-4.dist-info/METADATA`, fileOf('nothing')],
    ['lib/python3.13/ensurepip/_bundled/pip-26.2.1-py3-none-any.whl', fileOf('zip')],
  ]);

  test('are found where they were installed, and where they only lie', async () => {
    const pins = new Map([['boto3', { sha256: 'a'.repeat(64), url: 'https://example.org/boto3.whl' }]]);
    expect(await findWheels(installed, pins)).toEqual([
      { name: 'bare', version: '3', licenceWords: 'MIT License', texts: [] },
      {
        name: 'boto3',
        version: '1.40.1',
        licence: 'Apache-2.0',
        texts: [`${site}/boto3-1.40.1.dist-info/licenses/LICENSE`],
        sha256: 'a'.repeat(64),
        url: 'https://example.org/boto3.whl',
      },
      { name: 'Old_One', version: '2', licenceWords: 'BSD-like', texts: [`${site}/Old_One-2.dist-info/LICENSE.txt`] },
      // sha256 of "zip"
      { name: 'pip', version: '26.2.1', sha256: '4a70fe9aa6436e02c2dea340fbd1e352e4ef2d8ce6ca52ad25d4b95471fc8bf2' },
    ]);
  });

  test('that came later join a list, and those that it has do not', async () => {
    const { plan, components } = await describedFor(await planFor('3.13'), [boto3]);
    const pip = { name: 'pip', version: '26.2.1' };
    const refs = withWheels(components, [pip, boto3]).map(({ ref }) => ref);
    expect(refs).toEqual([...components.map(({ ref }) => ref), 'wheel/pip@26.2.1']);
    expect(plan.libraries.every(({ name }) => refs.includes(name))).toBe(true);
  });

  test('are components with a purl of PyPI, once each', async () => {
    const found = await inventory(await planFor('3.13'), { wheels: [boto3, { ...boto3 }] });
    expect(found['wheel/boto3@1.40.1']).toMatchObject({
      purl: 'pkg:pypi/boto3@1.40.1',
      licence: 'Apache-2.0',
      source: { url: boto3.url, sha256: boto3.sha256 },
    });
  });
});
