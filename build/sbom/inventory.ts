// Plan, source release and files -> the list of everything an artifact is made of, and the licence texts that the build
// did not collect. One list for both SBOM formats, for build.json and for `inspect --licenses`.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Context } from '../lib/context.ts';
import type { Library, Plan, Source } from '../recipe/model.ts';
import { type Entry, fileOf, makeTree, type Tree } from '../tree/tree.ts';
import { type Bundled, type BundledPart, readBundled } from './bundled.ts';
import { cpythonCpe, incorporatedNotice, libraryFacts } from './catalogue.ts';
import { cpe, genericPurl, packageUrl, pypiPurl, systemPurl, upstreamVersion } from './identifiers.ts';
import { type Component, noticesFolder } from './model.ts';
import { findWheels, normalised, type Wheel } from './wheels.ts';

export interface Inventory {
  /** Sorted: interpreter, bootstrap, then the others by role and name. */
  readonly components: readonly Component[];
  /** Licence texts for share/licenses, beside those that the build collected. */
  readonly notices: Tree;
}

/** The text of make-runtime's own licence, which is also the full text that Debian's notice for OpenSSL refers to. */
const apacheText = 'Apache-2.0.txt';

/**
 * What a tree, built as the plan says, is made of.
 * @param source path of CPython's verified tarball
 * @param tree the files that will be shipped, with paths below the interpreter's folder
 * @param wheels what is known of installed wheels beside their own metadata; by default the tree is searched
 * @throws COMPILER_MISSING when the tarball cannot be read, DISK_FULL, CANCELLED
 */
export async function takeInventory(
  input: { readonly plan: Plan; readonly source: string; readonly tree: Tree; readonly wheels?: readonly Wheel[] },
  ctx: Context,
): Promise<Inventory> {
  const { plan, source, tree } = input;
  const bundled = await readBundled(plan.source, source, ctx);
  const wheels = input.wheels ?? (await findWheels(tree));
  const version = await toolVersion(ctx.packageDir);
  const components = componentsOf({ plan, bundled, tree, wheels, version });
  for (const { role, name, version: known } of components) {
    if (known !== undefined || role === 'bundled') continue;
    ctx.report({
      type: 'warn',
      message: `The SBOM cannot say which version of ${name} is linked in.`,
      remedy: "Link the distribution's own package, whose version its package manager knows, or a pinned source.",
    });
  }
  return { components, notices: await noticesOf(bundled, components, ctx.packageDir) };
}

/** The version in make-runtime's own package.json. */
export async function toolVersion(packageDir: string): Promise<string> {
  return JSON.parse(await readFile(join(packageDir, 'package.json'), 'utf8')).version;
}

/** The list itself; pure. */
export function componentsOf(input: {
  readonly plan: Plan;
  readonly bundled: Bundled;
  readonly tree: Tree;
  readonly wheels: readonly Wheel[];
  /** Of make-runtime. */
  readonly version: string;
}): readonly Component[] {
  const { plan, bundled, tree, wheels, version } = input;
  const byName = (a: Component, b: Component): number => (a.name < b.name ? -1 : 1);
  const components = [
    interpreter(plan),
    bootstrap(plan, version),
    ...plan.libraries.map((library) => linked(library, plan)).sort(byName),
    ...bundled.parts
      .filter((part) => isIn(part, plan, tree))
      .map((part) => bundledComponent(part, plan))
      .sort(byName),
  ];
  return withWheels(components, wheels);
}

/**
 * A list with Python distributions that were found since: an image is made from a layer and may have more of them.
 * Each is in it once, though pip may be installed and also lie in ensurepip.
 */
export function withWheels(components: readonly Component[], wheels: readonly Wheel[]): readonly Component[] {
  const all = [...components, ...wheels.map(wheelComponent)];
  return [...new Map(all.map((component) => [component.ref, component])).values()];
}

const notice = (file: string): string => `${noticesFolder}/${file}`;

function interpreter({ source, python }: Plan): Component {
  return {
    ref: 'cpython',
    role: 'interpreter',
    name: 'CPython',
    version: source.version,
    licence: source.licence,
    purl: source.purl,
    cpe: cpe(cpythonCpe, source.version),
    supplier: 'Python Software Foundation',
    ...sourceOf(source),
    texts: [`lib/${python.executable}/LICENSE.txt`, notice(incorporatedNotice)],
  };
}

function bootstrap(plan: Plan, version: string): Component {
  return {
    ref: 'make-runtime-bootstrap',
    role: 'bootstrap',
    name: 'make-runtime bootstrap',
    version,
    licence: 'Apache-2.0',
    // The subpath of a purl: the part of the package that is linked in.
    purl: `${packageUrl(['npm', 'make-runtime'], version)}#bootstrap-src`,
    supplier: 'make-runtime',
    texts: [notice(apacheText)],
    note: `sha256 over names and contents of bootstrap-src: ${plan.bootstrap}`,
  };
}

/** A pinned library has its Source from the lock; without one it is the build machine's own archive. */
export type LinkedLibrary = Pick<Library, 'name' | 'archives' | 'packages' | 'licence'> & {
  readonly source?: Source & { readonly cpe?: string };
};

function linked(library: LinkedLibrary, { builder, arch }: Plan): Component {
  const { name, archives, packages, licence, source } = library;
  const facts = libraryFacts[name];
  const texts = [notice(`${name}.txt`)];
  const component = { ref: name, role: 'linked', name, ...(facts && { supplier: facts.supplier }) } as const;
  if (source) {
    const named = source.cpe ?? (facts && cpe(facts.cpe, source.version));
    return {
      ...component,
      version: source.version,
      licence: source.licence,
      purl: source.purl,
      ...(named !== undefined && { cpe: named }),
      ...sourceOf(source),
      texts,
    };
  }
  // The package manager that listed versions is the one whose names count.
  const packageName = [packages.apt, packages.dnf].find((one) => builder.packages[one] !== undefined);
  const version = packageName === undefined ? undefined : builder.packages[packageName];
  const machine = { system: builder.system, arch };
  const from = `Static archive ${archives.join(', ')} of the build machine (${builder.system})`;
  return {
    ...component,
    licence,
    purl:
      packageName === undefined
        ? genericPurl(name, undefined)
        : systemPurl(packageName, version, machine, facts?.sourcePackage ?? name),
    ...(version !== undefined && { version }),
    ...(facts && version !== undefined && { cpe: cpe(facts.cpe, upstreamVersion(version)) }),
    // Distributions point to a text of the Apache licence that an artifact does not have.
    texts: /\bApache-2\.0\b/.test(licence) ? [...texts, notice(apacheText)] : texts,
    note:
      packageName === undefined ? `${from}; no package manager knows its version` : `${from}, package ${packageName}`,
  };
}

/** Whether a part of CPython's source got into this artifact. */
function isIn({ name, facts, libFiles }: BundledPart, plan: Plan, tree: Tree): boolean {
  if (libFiles) {
    return libFiles.some((path) => tree.entries.has(path.replace(/^Lib\//, `lib/${plan.python.executable}/`)));
  }
  if (plan.libraries.some((library) => library.name === name)) return false; // A library of ours takes its place.
  if (facts?.without !== undefined && plan.configure.some(({ value }) => value === facts.without)) return false;
  const left = plan.withoutModules.map(({ value }) => value);
  return facts?.modules === undefined || facts.modules.some((module) => !left.includes(module));
}

function bundledComponent(part: BundledPart, { source: release }: Plan): Component {
  const { name, version, source, facts } = part;
  const named = part.cpe ?? (facts?.cpe && version !== undefined ? cpe(facts.cpe, version) : undefined);
  const supplier = part.supplier ?? facts?.supplier;
  return {
    ref: `cpython/${name}`,
    role: 'bundled',
    name,
    purl: part.purl ?? genericPurl(name, version, source),
    ...(version !== undefined && { version }),
    ...(facts?.licence !== undefined && { licence: facts.licence }),
    ...(named !== undefined && { cpe: named }),
    ...(supplier !== undefined && { supplier }),
    ...(source && { source }),
    texts: textsOf(part),
    note: `Copy in the source of CPython ${release.version}`,
  };
}

function textsOf({ name, facts, text }: BundledPart): string[] {
  if (text !== undefined) return [notice(`${name}.txt`)];
  return facts?.text.incorporated ? [notice(incorporatedNotice)] : [];
}

function wheelComponent({ name, version, sha256, url, purl, licence, licenceWords, texts = [] }: Wheel): Component {
  return {
    ref: `wheel/${normalised(name)}@${version}`,
    role: 'wheel',
    name,
    version,
    purl: purl ?? pypiPurl(name, version),
    ...(licence !== undefined && { licence }),
    ...(licenceWords !== undefined && { licenceWords }),
    ...(sha256 !== undefined && { source: { sha256, ...(url !== undefined && { url }) } }),
    texts,
  };
}

/** Where a pinned file is: upstream's own address, which stands first in the lock. */
function sourceOf({ mirrors, sha256 }: Source): Pick<Component, 'source'> {
  const url = firstAddress(mirrors);
  return { source: { sha256, ...(url !== undefined && { url }) } };
}

/** The first mirror that is a web address. */
export function firstAddress(mirrors: readonly (string | { readonly url: string })[]): string | undefined {
  return mirrors
    .map((mirror) => (typeof mirror === 'string' ? mirror : mirror.url))
    .find((address) => /^https?:/.test(address));
}

async function noticesOf({ parts }: Bundled, components: readonly Component[], packageDir: string): Promise<Tree> {
  const shipped = new Set(components.map(({ ref }) => ref));
  const texts = parts.flatMap(({ name, text }): [string, Entry][] =>
    text === undefined || !shipped.has(`cpython/${name}`) ? [] : [[`${name}.txt`, fileOf(text)]],
  );
  return makeTree([...texts, [apacheText, fileOf(await readFile(join(packageDir, 'LICENSE')))]]);
}
