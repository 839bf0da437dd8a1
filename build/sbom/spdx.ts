// The inventory as SPDX 2.3 JSON (https://spdx.github.io/spdx-spec/v2.3/). Pure and deterministic.
//
// Files are not listed (filesAnalyzed false): nobody looked for licences file by file, which is what an analysis would
// claim, and the artifact's sha256 fixes every byte already. The executable is a package of its own, so that what is
// linked into it can be told from what merely lies beside it.
import { canonicalJson } from '../recipe/canonical.ts';
import { artifactPurl, artifactVersion, type Described, dateOf } from './cyclonedx.ts';
import { uuidOf } from './identifiers.ts';
import type { Component, Role } from './model.ts';

interface Relationship {
  readonly spdxElementId: string;
  readonly relationshipType: 'DESCRIBES' | 'CONTAINS' | 'STATIC_LINK' | 'GENERATED_FROM';
  readonly relatedSpdxElement: string;
}

const document = 'SPDXRef-DOCUMENT';
const artifactId = 'SPDXRef-artifact';
const programId = 'SPDXRef-program';

/** The document as a value; its namespace is derived from everything else in it. */
export function spdx(described: Described): object {
  const { artifact, program, components, plan, version } = described;
  const content = {
    spdxVersion: 'SPDX-2.3',
    dataLicense: 'CC0-1.0',
    SPDXID: document,
    name: plan.name,
    creationInfo: {
      created: dateOf(plan.epoch),
      creators: [`Tool: make-runtime-${version}`],
      comment: 'The date is the SOURCE_DATE_EPOCH of the build: the same plan has the same document.',
    },
    packages: [
      {
        SPDXID: artifactId,
        name: plan.name,
        versionInfo: artifactVersion(plan),
        ...(artifact.kind === 'layer' && { packageFileName: artifact.file }),
        primaryPackagePurpose: artifact.kind === 'image' ? 'CONTAINER' : 'ARCHIVE',
        downloadLocation: 'NOASSERTION',
        filesAnalyzed: false,
        checksums: [{ algorithm: 'SHA256', checksumValue: artifact.sha256 }],
        licenseConcluded: 'NOASSERTION',
        licenseDeclared: together(components),
        externalRefs: [purlRef(artifactPurl(described))],
      },
      {
        SPDXID: programId,
        name: plan.python.executable,
        versionInfo: plan.python.version,
        packageFileName: `${artifact.home}/${program.path}`,
        primaryPackagePurpose: 'APPLICATION',
        downloadLocation: 'NOASSERTION',
        filesAnalyzed: false,
        checksums: [{ algorithm: 'SHA256', checksumValue: program.sha256 }],
        licenseConcluded: 'NOASSERTION',
        licenseDeclared: together(components.filter(({ role }) => role !== 'wheel')),
      },
      ...components.map((component) => element(component, artifact.home)),
    ],
    relationships: relationships(components),
  };
  const namespace = `https://spdx.org/spdxdocs/${plan.name}-${uuidOf(canonicalJson(content))}`;
  return { ...content, documentNamespace: namespace };
}

const cpythonId = 'SPDXRef-cpython';

/** How each kind of component got in. */
const placed: Readonly<Record<Role, readonly (readonly [from: string, type: Relationship['relationshipType']])[]>> = {
  // Executable and standard library: the one is made from it, the other is part of it.
  interpreter: [
    [programId, 'GENERATED_FROM'],
    [artifactId, 'CONTAINS'],
  ],
  bootstrap: [[programId, 'GENERATED_FROM']],
  linked: [[programId, 'STATIC_LINK']],
  bundled: [[cpythonId, 'CONTAINS']],
  wheel: [[artifactId, 'CONTAINS']],
};

function relationships(components: readonly Component[]): Relationship[] {
  const relation = (from: string, type: Relationship['relationshipType'], to: string): Relationship => ({
    spdxElementId: from,
    relationshipType: type,
    relatedSpdxElement: to,
  });
  return [
    relation(document, 'DESCRIBES', artifactId),
    relation(artifactId, 'CONTAINS', programId),
    ...components.flatMap((component) =>
      placed[component.role].map(([from, type]) => relation(from, type, idOf(component))),
    ),
  ];
}

function element(component: Component, home: string): object {
  const { role, name, version, licence = 'NOASSERTION', licenceWords, cpe, supplier, source, texts, note } = component;
  return {
    SPDXID: idOf(component),
    name,
    ...(version !== undefined && { versionInfo: version }),
    ...(supplier !== undefined && { supplier: `Organization: ${supplier}` }),
    primaryPackagePurpose:
      role === 'bundled' || role === 'bootstrap' ? 'SOURCE' : role === 'interpreter' ? 'APPLICATION' : 'LIBRARY',
    downloadLocation: source?.url ?? 'NOASSERTION',
    filesAnalyzed: false,
    ...(source && { checksums: [{ algorithm: 'SHA256', checksumValue: source.sha256 }] }),
    ...(note !== undefined && { sourceInfo: note }),
    licenseConcluded: 'NOASSERTION',
    licenseDeclared: licence,
    ...(licenceWords !== undefined && { licenseComments: `Its metadata says: ${licenceWords}` }),
    ...(texts.length > 0 && { comment: `Licence text: ${texts.map((path) => `${home}/${path}`).join(', ')}` }),
    externalRefs: [
      purlRef(component.purl),
      ...(cpe === undefined
        ? []
        : [{ referenceCategory: 'SECURITY', referenceType: 'cpe23Type', referenceLocator: cpe }]),
    ],
  };
}

const purlRef = (purl: string): object => ({
  referenceCategory: 'PACKAGE-MANAGER',
  referenceType: 'purl',
  referenceLocator: purl,
});

const idOf = ({ ref }: Component): string => `SPDXRef-${ref.replace(/[^A-Za-z0-9.-]/g, '-')}`;

/** All licences at once; NOASSERTION as soon as one of them is not known. */
function together(components: readonly Component[]): string {
  const known = components.map(({ licence }) => licence);
  if (!known.every((licence) => licence !== undefined)) return 'NOASSERTION';
  const terms = [...new Set(known)].sort();
  return terms.map((term) => (/ (OR|WITH) /.test(term) ? `(${term})` : term)).join(' AND ');
}
