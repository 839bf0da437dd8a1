// SBOMs and provenance before the formats' own validators: those of a layer that was really built, those of every plan
// that the shipped recipes have, and broken ones, which the validators must refuse or nothing is proven.
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Flavor } from '../../build/recipe/model.ts';
import type { Component } from '../../build/sbom/model.ts';
import { writeStatements } from '../../build/sbom/write.ts';
import { shipped } from '../recipe/support/plans.ts';
import { boto3, debian, describedFor, planFor } from '../sbom/support/described.ts';
import { build, cli } from './judges/layer.ts';

const judges = join(import.meta.dirname, 'judges', 'sbom');

interface Judgement {
  readonly errors: readonly string[];
  /** name, version, CPE, purl */
  readonly components: readonly (readonly [string, string | null, string | null, string | null])[];
}

let dir: string;
let python: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'make-runtime-sbom-'));
  await execa('python3', ['-m', 'venv', join(dir, 'venv')]);
  python = join(dir, 'venv', 'bin', 'python');
  const pins = join(judges, 'requirements.txt');
  const options = ['--quiet', '--disable-pip-version-check', '--no-deps', '--require-hashes'];
  await execa(python, ['-m', 'pip', 'install', ...options, '--requirement', pins]);
});
afterAll(() => rm(dir, { recursive: true, force: true }));

async function judge(paths: readonly string[]): Promise<Record<string, Judgement>> {
  const { stdout } = await execa(python, [join(judges, 'judge.py'), ...paths]);
  return JSON.parse(stdout);
}

/** What a scanner must find: every CPE and purl of the inventory. */
function identities(components: readonly Component[]): (readonly [string, string | null, string])[] {
  return components.map(({ name, cpe, purl }) => [name, cpe ?? null, purl] as const);
}

const found = ({ components }: Judgement) => components.map(([name, , cpe, purl]) => [name, cpe, purl]);

test('a layer that was built', async () => {
  const layer = await build('3.13t', join(dir, 'out'));
  const beside = ['sbom.cdx.json', 'sbom.spdx.json', 'provenance.json'].map((name) => join(dirname(layer), name));
  const [cdx, spdx, provenance] = Object.values(await judge(beside));
  expect([cdx?.errors, spdx?.errors, provenance?.errors]).toEqual([[], [], []]);

  const { stdout } = await execa(process.execPath, [cli, 'inspect', layer, '--licenses', '--json']);
  const { components, unlisted } = JSON.parse(stdout) as {
    components: (Component & { missing: string[] })[];
    unlisted: string[];
  };
  expect(components.length).toBeGreaterThan(10);
  expect(unlisted).toEqual([]);
  // Its own record, both SBOMs and the files of the artifact tell one story.
  expect(found(cdx!)).toEqual(expect.arrayContaining(identities(components)));
  expect(found(spdx!)).toEqual(expect.arrayContaining(identities(components)));
  expect(components.filter(({ texts, missing }) => texts.length === 0 || missing.length > 0)).toEqual([]);
  expect(components.filter(({ licence, version }) => licence === undefined || version === undefined)).toEqual([]);

  const plan = JSON.parse(await readFile(join(dirname(layer), 'plan.json'), 'utf8'));
  expect(found(cdx!)).toContainEqual([
    'CPython',
    `cpe:2.3:a:python:python:${plan.python.version}:*:*:*:*:*:*:*`,
    plan.source.purl,
  ]);
  for (const { name } of plan.libraries) expect(found(cdx!).map(([one]) => one)).toContain(name);
  const [zipSum] = (await execa('sha256sum', [layer])).stdout.split(' ');
  const { subject } = JSON.parse(await readFile(beside[2]!, 'utf8'));
  expect(subject).toEqual([{ name: basename(layer), digest: { sha256: zipSum } }]);
});

test('every plan is told in valid documents from which each CPE and purl can be read back', async () => {
  const expected = new Map<string, readonly (readonly [string, string | null, string])[]>();
  const paths: string[] = [];
  for (const recipe of ['3.10', '3.11', '3.12', '3.13', '3.14', '3.15']) {
    for (const flavor of Object.keys((await shipped(recipe)).flavors) as Flavor[]) {
      for (const builder of [debian, { ...debian, packages: {} }, { ...debian, system: 'Amazon Linux 2023.9' }]) {
        const described = await describedFor(await planFor(recipe, flavor, builder), [boto3]);
        const folder = join(dir, 'plans', described.plan.id);
        await mkdir(folder, { recursive: true });
        const written = await writeStatements(described, folder);
        paths.push(...Object.values(written));
        expected.set(written.cyclonedx, identities(described.components));
        expected.set(written.spdx, identities(described.components));
      }
    }
  }
  const judged = await judge(paths);
  expect(Object.entries(judged).filter(([, { errors }]) => errors.length > 0)).toEqual([]);
  for (const [path, list] of expected) expect(found(judged[path]!)).toEqual(expect.arrayContaining([...list]));
  expect(expected.size).toBeGreaterThan(60);
});

test('the validators refuse what is wrong, and for that reason', async () => {
  // biome-ignore lint/suspicious/noExplicitAny: documents of three formats, broken on purpose
  type Spoil = (value: any) => void;
  const cases: readonly (readonly ['cyclonedx' | 'spdx' | 'provenance', reason: RegExp, Spoil])[] = [
    [
      'cyclonedx',
      /'Mine'/,
      ({ components }) => Object.assign(components[1], { licenses: [{ license: { id: 'Mine' } }] }),
    ],
    ['cyclonedx', /urn:uuid:1/, (bom) => Object.assign(bom, { serialNumber: 'urn:uuid:1' })],
    ['cyclonedx', /colour/, ({ components }) => Object.assign(components[0], { colour: 'red' })],
    ['cyclonedx', /canonically/, ({ components }) => Object.assign(components[1], { purl: 'pkg:generic/x@1+1' })],
    ['cyclonedx', /nowhere/, ({ dependencies }) => dependencies[0].dependsOn.push('nowhere')],
    ['spdx', /created/, ({ creationInfo }) => delete creationInfo.created],
    ['spdx', /SPDXRef-x/, ({ relationships }) => Object.assign(relationships[1], { relatedSpdxElement: 'SPDXRef-x' })],
    ['spdx', /PSF-2.0 AN MIT/, ({ packages }) => Object.assign(packages[2], { licenseDeclared: 'PSF-2.0 AN MIT' })],
    [
      'spdx',
      /cpe23Type/,
      ({ packages }) => Object.assign(packages[2].externalRefs[1], { referenceLocator: 'cpe:2.3:a' }),
    ],
    ['provenance', /digest/i, ({ subject }) => Object.assign(subject[0], { digest: {} })],
    ['provenance', /"x"/, ({ predicate }) => Object.assign(predicate.buildDefinition, { x: 1 })],
    ['provenance', /buildType/, ({ predicate }) => delete predicate.buildDefinition.buildType],
    ['provenance', /At least one/, ({ predicate }) => predicate.buildDefinition.resolvedDependencies.push({})],
  ];
  const described = await describedFor(await planFor('3.13'));
  const paths: string[] = [];
  for (const [format, , spoil] of cases) {
    const written = await writeStatements(described, await mkdtemp(join(dir, 'broken-')));
    const value = JSON.parse(await readFile(written[format], 'utf8'));
    spoil(value);
    await writeFile(written[format], JSON.stringify(value));
    paths.push(written[format]);
  }
  const judged = await judge(paths);
  for (const [index, [format, reason]] of cases.entries()) {
    expect(judged[paths[index]!]?.errors.join('\n'), `${format} ${reason}`).toMatch(reason);
  }
});
