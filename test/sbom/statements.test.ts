// The documents as values: that they name what the inventory has, hang together, and are the same for the same input.
// Whether they are CycloneDX, SPDX and SLSA at all is judged by those formats' validators in test/slow/sbom.test.ts.
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { canonicalJson } from '../../build/recipe/canonical.ts';
import { cyclonedx, type Described } from '../../build/sbom/cyclonedx.ts';
import { provenance } from '../../build/sbom/provenance.ts';
import { spdx } from '../../build/sbom/spdx.ts';
import { writeStatements } from '../../build/sbom/write.ts';
import { boto3, debian, describedFor, planFor } from './support/described.ts';

const dir = mkdtempSync(join(tmpdir(), 'statements-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

let described: Described;
beforeAll(async () => {
  described = await describedFor(await planFor('3.14', 'free-threaded'), [boto3]);
});

const sha256 = (text: string | Buffer): string => createHash('sha256').update(text).digest('hex');

/** The same value, put together in another order. */
function shuffled<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(shuffled) as T;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, member]) => [key, shuffled(member)]),
  ) as T;
}

describe('CycloneDX', () => {
  interface Bom {
    serialNumber: string;
    metadata: { timestamp: string; component: { 'bom-ref': string } };
    components: { 'bom-ref': string; cpe?: string; purl?: string; version?: string }[];
    dependencies: { ref: string; dependsOn?: string[] }[];
  }
  const bom = (of = described): Bom => cyclonedx(of) as Bom;

  test('everything in it can be reached from the artifact', () => {
    const { components, dependencies, metadata } = bom();
    const edges = new Map(dependencies.map(({ ref, dependsOn = [] }) => [ref, dependsOn]));
    const reached = new Set<string>();
    const visit = (ref: string): void => {
      if (reached.has(ref)) return;
      reached.add(ref);
      expect(edges.has(ref), ref).toBe(true);
      for (const next of edges.get(ref) ?? []) visit(next);
    };
    visit(metadata.component['bom-ref']);
    expect([...reached].sort()).toEqual(['artifact', ...components.map((one) => one['bom-ref'])].sort());
    expect(edges.get('program')).toContain('zstd');
    expect(edges.get('cpython')).toContain('cpython/expat');
  });

  test('the serial number is of everything else, the date is the plan’s', () => {
    expect(bom().metadata.timestamp).toBe('2026-01-01T00:00:00Z');
    expect(bom(shuffled(described)).serialNumber).toBe(bom().serialNumber);
    const other = { ...described, artifact: { ...described.artifact, sha256: '3'.repeat(64) } };
    expect(bom(other).serialNumber).not.toBe(bom().serialNumber);
  });
});

describe('SPDX', () => {
  interface Document {
    documentNamespace: string;
    creationInfo: { created: string };
    packages: { SPDXID: string; name: string; licenseDeclared: string }[];
    relationships: { spdxElementId: string; relationshipType: string; relatedSpdxElement: string }[];
  }
  const document = (of = described): Document => spdx(of) as Document;
  const relations = (of = described): string[] =>
    document(of).relationships.map(({ spdxElementId, relationshipType, relatedSpdxElement }) =>
      [spdxElementId, relationshipType, relatedSpdxElement].map((word) => word.replace('SPDXRef-', '')).join(' '),
    );

  test('relations say how each component got in', () => {
    expect(relations()).toEqual(
      expect.arrayContaining([
        'DOCUMENT DESCRIBES artifact',
        'artifact CONTAINS program',
        'artifact CONTAINS cpython',
        'program GENERATED_FROM cpython',
        'program GENERATED_FROM make-runtime-bootstrap',
        'program STATIC_LINK openssl',
        'cpython CONTAINS cpython-expat',
        'artifact CONTAINS wheel-boto3-1.40.1',
      ]),
    );
    const ids = document().packages.map(({ SPDXID }) => SPDXID.replace('SPDXRef-', ''));
    const named = new Set(relations().flatMap((relation) => [relation.split(' ')[0]!, relation.split(' ')[2]!]));
    expect([...named].sort()).toEqual(['DOCUMENT', ...ids].sort());
  });

  test("the artifact's licence is all of them together, or unknown", () => {
    const [artifact] = document().packages;
    expect(artifact?.licenseDeclared.split(' AND ')).toEqual(
      expect.arrayContaining(['Apache-2.0', 'PSF-2.0', 'BSD-2-Clause', 'blessing']),
    );
    const unknown = { ref: 'x', role: 'bundled', name: 'x', purl: 'pkg:generic/x', texts: [] } as const;
    const more = { ...described, components: [...described.components, unknown] };
    expect(document(more).packages[0]?.licenseDeclared).toBe('NOASSERTION');
  });

  test('the namespace is of everything else', () => {
    expect(document(shuffled(described)).documentNamespace).toBe(document().documentNamespace);
    const other = { ...described, version: '9.9.9' };
    expect(document(other).documentNamespace).not.toBe(document().documentNamespace);
  });
});

describe('provenance', () => {
  interface Statement {
    subject: unknown;
    predicate: {
      buildDefinition: { externalParameters: unknown; resolvedDependencies: { name: string; uri: string }[] };
      runDetails: { metadata?: unknown; byproducts: unknown };
    };
  }
  const statement = (of = described): Statement =>
    provenance(of, [{ name: 'x.json', sha256: '4'.repeat(64) }]) as Statement;

  test('subject, plan and everything that went in', () => {
    const { subject, predicate } = statement();
    expect(subject).toEqual([{ name: 'layer.zip', digest: { sha256: '1'.repeat(64) } }]);
    expect(predicate.buildDefinition.externalParameters).toEqual({ plan: described.plan });
    expect(predicate.runDetails.byproducts).toEqual([{ name: 'x.json', digest: { sha256: '4'.repeat(64) } }]);
    const { source } = described.plan;
    expect(predicate.buildDefinition.resolvedDependencies).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ name: source.file, digest: { sha256: source.sha256 } }),
        { name: 'boto3', uri: 'pkg:pypi/boto3@1.40.1', digest: { sha256: boto3.sha256 } },
        {
          name: 'compiler',
          uri: 'pkg:generic/gcc@12.2.0',
          annotations: { version: 'cc (Debian 12.2.0-14+deb12u1) 12.2.0' },
        },
        {
          name: 'libssl-dev',
          uri: 'pkg:deb/debian/libssl-dev@3.0.19-1~deb12u2?arch=amd64&distro=debian-12',
        },
      ]),
    );
  });

  test('no clock', () => {
    expect(statement().predicate.runDetails).not.toHaveProperty('metadata');
    expect(canonicalJson(statement(shuffled(described)))).toBe(canonicalJson(statement()));
  });

  test('a builder image by its digest, another compiler, and none', async () => {
    const dependencies = async (change: object) =>
      statement(await describedFor(await planFor('3.13', 'default', { ...debian, ...change }))).predicate
        .buildDefinition.resolvedDependencies;
    const reference = `public.ecr.aws/lambda/provided@sha256:${'5'.repeat(64)}`;
    const named = { name: 'builder image', annotations: { rootfs: 'r', packages: 'p' } };
    expect(await dependencies({ image: { reference, rootfs: 'r', packages: 'p' } })).toContainEqual({
      ...named,
      uri: reference,
      digest: { sha256: '5'.repeat(64) },
    });
    expect(await dependencies({ image: { reference: 'mine:latest', rootfs: 'r', packages: 'p' } })).toContainEqual({
      ...named,
      uri: 'mine:latest',
    });
    expect(await dependencies({ compiler: 'Debian clang version 19.1.7 (3)' })).toContainEqual(
      expect.objectContaining({ name: 'compiler', uri: 'pkg:generic/clang@19.1.7' }),
    );
    expect((await dependencies({ compiler: null })).map(({ name }) => name)).not.toContain('compiler');
  });
});

test('three files beside the artifact, the same bytes each time; the provenance has the digests of the other two', async () => {
  const [one, two] = [join(dir, 'one'), join(dir, 'two')];
  const paths = await writeStatements(described, one);
  await writeStatements(shuffled(described), two);
  const names = ['provenance.json', 'sbom.cdx.json', 'sbom.spdx.json'];
  expect(readdirSync(one).sort()).toEqual(names);
  for (const name of names) expect(readFileSync(join(two, name), 'utf8')).toBe(readFileSync(join(one, name), 'utf8'));
  const { byproducts } = JSON.parse(readFileSync(paths.provenance, 'utf8')).predicate.runDetails;
  expect(byproducts).toEqual([
    { name: 'sbom.cdx.json', digest: { sha256: sha256(readFileSync(paths.cyclonedx)) } },
    { name: 'sbom.spdx.json', digest: { sha256: sha256(readFileSync(paths.spdx)) } },
  ]);
});
