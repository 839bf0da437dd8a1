// The inventory as CycloneDX 1.6 (https://cyclonedx.org/docs/1.6/json/). Pure and deterministic: no clock, no chance.
//
// Plain JSON and not the official library: what is written is one object literal, the library fills in random
// references and dates that would have to be undone, and it would add 7 MB to the package. The official schema and the
// official Python library judge the result in the tests.
import { canonicalJson } from '../recipe/canonical.ts';
import type { Plan } from '../recipe/model.ts';
import { packageUrl, uuidOf } from './identifiers.ts';
import type { Artifact, Component, Program } from './model.ts';

export interface Described {
  readonly artifact: Artifact;
  readonly program: Program;
  readonly components: readonly Component[];
  readonly plan: Plan;
  /** The image below an image, "sha256:...": what is in it is for its own maker to say. */
  readonly base?: string;
  /** Of make-runtime. */
  readonly version: string;
}

/** What an artifact's own version says: which Python, and which plan. */
export const artifactVersion = ({ python, id }: Plan): string => `${python.version}+${id}`;

export const artifactPurl = ({ artifact, plan }: Pick<Described, 'artifact' | 'plan'>): string =>
  artifact.kind === 'image'
    ? packageUrl(['oci', plan.name], `sha256:${artifact.sha256}`)
    : packageUrl(['generic', plan.name], artifactVersion(plan), { checksum: `sha256:${artifact.sha256}` });

export const dateOf = (epoch: number): string => new Date(epoch * 1000).toISOString().replace('.000Z', 'Z');

/** The BOM as a value; its serial number is derived from everything else in it. */
export function cyclonedx(described: Described): object {
  const { artifact, program, components, plan, base, version } = described;
  const wheels = refs(components, 'wheel');
  const bom = {
    $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    metadata: {
      timestamp: dateOf(plan.epoch),
      lifecycles: [{ phase: 'build' }],
      tools: { components: [{ type: 'application', name: 'make-runtime', version }] },
      component: {
        'bom-ref': 'artifact',
        type: artifact.kind === 'image' ? 'container' : 'platform',
        name: plan.name,
        version: artifactVersion(plan),
        description: `CPython ${plan.python.version} (${plan.flavor}) for AWS Lambda, ${plan.arch}, ${plan.profile}`,
        purl: artifactPurl(described),
        hashes: [{ alg: 'SHA-256', content: artifact.sha256 }],
      },
      properties: [
        { name: 'make-runtime:plan', value: plan.id },
        { name: 'make-runtime:flavor', value: plan.flavor },
        { name: 'make-runtime:profile', value: plan.profile },
        { name: 'make-runtime:arch', value: plan.arch },
        ...(base === undefined ? [] : [{ name: 'make-runtime:base', value: base }]),
      ],
    },
    components: [
      {
        'bom-ref': 'program',
        type: 'application',
        name: plan.python.executable,
        version: plan.python.version,
        hashes: [{ alg: 'SHA-256', content: program.sha256 }],
        description: 'The one executable: interpreter, extension modules, libraries and Runtime API client',
        properties: [{ name: 'make-runtime:path', value: `${artifact.home}/${program.path}` }],
      },
      ...components.map((component) => element(component, described)),
    ],
    dependencies: [
      // The standard library beside the executable is CPython's too.
      { ref: 'artifact', dependsOn: ['program', 'cpython', ...wheels] },
      { ref: 'program', dependsOn: [...refs(components, 'interpreter', 'bootstrap', 'linked')] },
      ...components.map(({ ref, role }) =>
        role === 'interpreter' ? { ref, dependsOn: refs(components, 'bundled') } : { ref },
      ),
    ],
  };
  return { ...bom, serialNumber: `urn:uuid:${uuidOf(canonicalJson(bom))}` };
}

function refs(components: readonly Component[], ...roles: readonly Component['role'][]): string[] {
  return components.filter(({ role }) => roles.includes(role)).map(({ ref }) => ref);
}

function element(component: Component, { artifact: { home }, program }: Described): object {
  const { ref, role, name, version, purl, cpe, supplier, source, texts, note } = component;
  const hashes = source && [{ alg: 'SHA-256', content: source.sha256 }];
  return {
    'bom-ref': ref,
    type: role === 'interpreter' ? 'application' : 'library',
    name,
    ...(version !== undefined && { version }),
    ...(supplier !== undefined && { supplier: { name: supplier } }),
    ...(note !== undefined && { description: note }),
    ...licences(component),
    purl,
    ...(cpe !== undefined && { cpe }),
    // The hash is the source file's, not one of anything in the artifact, so it stands with the address if there is one.
    ...(source?.url !== undefined
      ? {
          externalReferences: [
            { type: role === 'wheel' ? 'distribution' : 'source-distribution', url: source.url, hashes },
          ],
        }
      : hashes && { hashes }),
    ...(role !== 'wheel' &&
      role !== 'bundled' && { evidence: { occurrences: [{ location: `${home}/${program.path}` }] } }),
    properties: [
      { name: 'make-runtime:role', value: role },
      ...texts.map((path) => ({ name: 'make-runtime:licence-text', value: `${home}/${path}` })),
    ],
  };
}

function licences({ role, licence, licenceWords }: Component): object {
  if (licence === undefined)
    return licenceWords === undefined ? {} : { licenses: [{ license: { name: licenceWords } }] };
  // The schema has a list of the identifiers of its day; what wheels state may be newer than that.
  const simple = role !== 'wheel' && /^[\w.+-]+$/.test(licence);
  return { licenses: [simple ? { license: { id: licence } } : { expression: licence }] };
}
