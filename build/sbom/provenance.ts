// How an artifact came to be, as an in-toto Statement with a SLSA v1 provenance predicate (https://slsa.dev/spec/v1.0/
// provenance). Pure and deterministic, unsigned: whoever publishes it signs it with an identity of their own.
//
// No invocation id and no times (both optional): they would make two builds of one plan differ, and nothing that a
// build of one's own says about its clock can be relied on anyway.
import type { Plan } from '../recipe/model.ts';
import type { Described } from './cyclonedx.ts';
import { packageUrl, systemPurl } from './identifiers.ts';
import { firstAddress, type LinkedLibrary } from './inventory.ts';

interface Resource {
  readonly name?: string;
  readonly uri?: string;
  readonly digest?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** A file that a build left beside the artifact. */
export interface Byproduct {
  readonly name: string;
  readonly sha256: string;
}

/**
 * What the parameters of a build mean. purls are URIs that need no domain, and this one leads to the text that explains
 * it: docs/sbom.md of the package.
 */
export const buildType = 'pkg:npm/make-runtime#docs/sbom.md/provenance/v1';

/** The statement as a value. */
export function provenance(described: Described, byproducts: readonly Byproduct[]): object {
  const { artifact, plan, version } = described;
  return {
    _type: 'https://in-toto.io/Statement/v1',
    subject: [{ name: artifact.file, digest: { sha256: artifact.sha256 } }],
    predicateType: 'https://slsa.dev/provenance/v1',
    predicate: {
      buildDefinition: {
        buildType,
        // The whole plan: a recipe resolved to sources, flags and machine. Nothing else reaches the artifact.
        externalParameters: { plan },
        resolvedDependencies: dependencies(described),
      },
      runDetails: {
        builder: {
          // Whose machine it was is for the signer to say; this names the program and the kind of place it ran in.
          id: `${packageUrl(['npm', 'make-runtime'], version)}#engine/${plan.builder.engine}`,
          version: { 'make-runtime': version },
        },
        byproducts: byproducts.map(({ name, sha256 }) => ({ name, digest: { sha256 } })),
      },
    },
  };
}

function dependencies({ plan, components, base }: Described): Resource[] {
  const { builder, source, libraries, arch } = plan;
  const image = builderImage(builder);
  return [
    pinned(source),
    ...libraries.flatMap((library: LinkedLibrary) => (library.source ? [pinned(library.source)] : [])),
    ...components
      .filter(({ role }) => role === 'wheel')
      .map(({ name, purl, source: file }) => ({
        name,
        uri: purl,
        ...(file && { digest: { sha256: file.sha256 } }),
      })),
    ...components
      .filter(({ role }) => role === 'bootstrap')
      .map(({ name, purl }) => ({ name, uri: purl, annotations: { digest: plan.bootstrap } })),
    ...(image ? [image] : []),
    ...(base === undefined ? [] : [{ name: 'base image', digest: { sha256: base.replace(/^sha256:/, '') } }]),
    ...(builder.compiler === null ? [] : [compiler(builder.compiler)]),
    // Sorted: a plan is the same plan in whatever order the package manager listed them.
    ...Object.entries(builder.packages)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, version]) => ({
        name,
        uri: systemPurl(name, version, { system: builder.system, arch }),
      })),
  ];
}

function pinned({ file, mirrors, sha256, purl }: Plan['source']): Resource {
  const address = firstAddress(mirrors);
  return { name: file, uri: address ?? purl, digest: { sha256 }, annotations: { purl } };
}

/**
 * What a container engine records of the image that the commands ran in. Only a digest of its registry is one that
 * others can ask for; the ones of its content stand beside it.
 */
interface BuilderImage {
  readonly reference: string;
  readonly rootfs: string;
  readonly packages: string;
}

function builderImage({ image }: Plan['builder'] & { readonly image?: BuilderImage }): Resource | undefined {
  if (!image) return undefined;
  const { reference, rootfs, packages } = image;
  const sha256 = /@sha256:([0-9a-f]{64})$/.exec(reference)?.[1];
  return {
    name: 'builder image',
    uri: reference,
    ...(sha256 !== undefined && { digest: { sha256 } }),
    annotations: { rootfs, packages },
  };
}

/** @param line what `cc --version` says first: "cc (Debian 12.2.0-14+deb12u1) 12.2.0", "Debian clang version 19.1.7" */
function compiler(line: string): Resource {
  const clang = /clang version ([\w.]+)/.exec(line)?.[1];
  const gcc = /\) (\d[\w.]*)/.exec(line)?.[1];
  const name = clang === undefined ? (gcc === undefined ? 'cc' : 'gcc') : 'clang';
  return { name: 'compiler', uri: packageUrl(['generic', name], clang ?? gcc), annotations: { version: line } };
}
