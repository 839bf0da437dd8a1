// Whose work a layer is: every component that its build.json lists, with its licence and the licence's text, which is
// looked for in the layer. Judges nothing and reads no statement that lies beside the artifact.
import { columns } from '../lib/columns.ts';
import { langFolder } from '../package/layout.ts';
import type { Component } from '../sbom/model.ts';
import { findWheels, type Wheel } from '../sbom/wheels.ts';
import type { Subject } from './subject.ts';
import { count } from './verdict.ts';

interface LicensedComponent extends Component {
  /** Where the texts are in the artifact. */
  readonly texts: readonly string[];
  /** Texts that should be there and are not. */
  readonly missing: readonly string[];
}

export interface Licences {
  readonly artifact: string;
  /** Undefined when the artifact does not say what it is made of. */
  readonly components: readonly LicensedComponent[] | undefined;
  /** Python distributions in the artifact that the list does not have: added after the build, or no build of ours. */
  readonly unlisted: readonly string[];
}

/** What a layer is made of, by its own record. */
export async function licencesOf({ name: artifact, record, tree }: Subject): Promise<Licences> {
  const components = record?.components?.map((component) => {
    const paths = component.texts.map((path) => `${langFolder}/${path}`);
    const [texts, missing] = [true, false].map((there) => paths.filter((path) => tree.entries.has(path) === there));
    return { ...component, texts: texts!, missing: missing! };
  });
  const listed = (wheel: Wheel): boolean =>
    components?.some(
      ({ role, name, version }) => role === 'wheel' && name === wheel.name && version === wheel.version,
    ) ?? false;
  const unlisted = (await findWheels(tree)).filter((wheel) => !listed(wheel));
  return { artifact, components, unlisted: unlisted.map(({ name, version }) => `${name} ${version}`) };
}

/** The same for a person: one row per component. */
export function describeLicences({ artifact, components, unlisted }: Licences): string {
  const others = unlisted.map((one) => `  ${one}: in the artifact, but not in a list of components`);
  if (!components) {
    const why = 'It has no list of components: it was not built by make-runtime, or by an older one.';
    return [artifact, `  ${why}`, ...others].join('\n');
  }
  const rows = components.map(({ name, version, licence, licenceWords, texts, missing }) => [
    name,
    version ?? 'version unknown',
    licence ?? (licenceWords === undefined ? 'not stated' : `"${licenceWords}"`),
    [...texts, ...missing.map((path) => `${path} (missing)`)].join(', ') || 'no text in the artifact',
  ]);
  return [
    `${artifact}: ${count(components.length, 'component')}`,
    ...columns(rows).map((line) => `  ${line}`),
    ...others,
  ].join('\n');
}
