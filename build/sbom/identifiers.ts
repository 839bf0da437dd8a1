// Names that scanners match: package URLs, CPEs, UUIDs. Pure text; knows nothing of plans or artifacts.
//
// Sources: purl-spec (PURL-SPECIFICATION.rst, PURL-TYPES.rst: generic, deb, rpm, pypi); NIST IR 7695 (CPE naming),
// section 6.2 for the formatted string; RFC 9562 for UUID version 8; Debian Policy 5.6.12 for version numbers.
import { createHash } from 'node:crypto';

/** One component of a purl, percent-encoded as the specification wants it: the colon stays, the plus does not. */
function encode(text: string): string {
  return encodeURIComponent(text).replaceAll('%3A', ':');
}

/**
 * A package URL.
 * @param path type, namespace and name: ["deb", "debian", "libssl-dev"]
 * @param qualifiers undefined ones are left out, the others sorted by name
 */
export function packageUrl(
  path: readonly string[],
  version: string | undefined,
  qualifiers: Readonly<Record<string, string | undefined>> = {},
): string {
  const pairs = Object.entries(qualifiers)
    .filter((pair): pair is [string, string] => pair[1] !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    // A slash needs no encoding inside a qualifier, and addresses are easier to read with it.
    .map(([name, value]) => `${name}=${encode(value).replaceAll('%2F', '/')}`);
  const query = pairs.length > 0 ? `?${pairs.join('&')}` : '';
  return `pkg:${path.map(encode).join('/')}${version === undefined ? '' : `@${encode(version)}`}${query}`;
}

/** The purl of something known by its source file only. */
export function genericPurl(
  name: string,
  version: string | undefined,
  source?: { readonly url: string; readonly sha256: string },
): string {
  return packageUrl(['generic', name], version, {
    checksum: source && `sha256:${source.sha256}`,
    download_url: source?.url,
  });
}

/** The purl of a Python distribution; names are normalised as PyPI does (PEP 503). */
export function pypiPurl(name: string, version: string): string {
  return packageUrl(['pypi', name.toLowerCase().replace(/[-_.]+/g, '-')], version);
}

/**
 * A CPE 2.3 formatted string of an application.
 * A pre-release ("3.15.0rc1") goes into the update field, where the dictionary of the NVD has it.
 */
export function cpe([vendor, product]: readonly [vendor: string, product: string], version: string): string {
  const [, release = version, update = '*'] = /^(\d[\d.]*)((?:a|b|rc)\d+)$/.exec(version) ?? [];
  return ['cpe:2.3:a', ...[vendor, product, release, update].map(quote), '*:*:*:*:*:*'].join(':');
}

/** Everything but letters, digits and `_ . -` is quoted; a lone asterisk means "any" and stays. */
function quote(value: string): string {
  return value === '*' ? value : value.toLowerCase().replace(/[^\w.-]/g, (character) => `\\${character}`);
}

/** A distribution that a build machine runs, as purls name it. */
interface Distribution {
  readonly type: 'deb' | 'rpm';
  readonly namespace: string;
  /** "debian-12"; absent when the system does not say its number (Debian testing). */
  readonly distro: string | undefined;
}

const distributions: readonly { readonly name: RegExp; readonly type: 'deb' | 'rpm'; readonly namespace: string }[] = [
  { name: /^Debian GNU\/Linux\s*([\d.]+)?/, type: 'deb', namespace: 'debian' },
  { name: /^Ubuntu (\d+\.\d+)?/, type: 'deb', namespace: 'ubuntu' },
  { name: /^Amazon Linux (\d+)?/, type: 'rpm', namespace: 'amzn' },
  { name: /^Fedora Linux (\d+)?/, type: 'rpm', namespace: 'fedora' },
];

/** @param system PRETTY_NAME of os-release: "Debian GNU/Linux 12 (bookworm)" */
function distributionOf(system: string): Distribution | undefined {
  for (const { name, type, namespace } of distributions) {
    const match = name.exec(system);
    if (match) return { type, namespace, distro: match[1] === undefined ? undefined : `${namespace}-${match[1]}` };
  }
  return undefined;
}

const debianArch: Readonly<Record<string, string>> = { x86_64: 'amd64', arm64: 'arm64' };
const rpmArch: Readonly<Record<string, string>> = { x86_64: 'x86_64', arm64: 'aarch64' };

/**
 * The purl of a package of the build machine's distribution. `upstream` is Anchore's qualifier for the source package,
 * by which distributions publish their advisories.
 */
export function systemPurl(
  name: string,
  version: string | undefined,
  machine: { readonly system: string; readonly arch: string },
  sourcePackage?: string,
): string {
  const distribution = distributionOf(machine.system);
  if (!distribution) return packageUrl(['generic', name], version);
  const { type, namespace, distro } = distribution;
  const deb = type === 'deb';
  return packageUrl([type, namespace, name], version, {
    arch: (deb ? debianArch : rpmArch)[machine.arch],
    distro,
    upstream: deb && sourcePackage !== undefined ? upstreamOf(sourcePackage, version) : undefined,
  });
}

/** A binary-only rebuild ("1.0.8-5+b1") has a number that its source package does not. */
function upstreamOf(sourcePackage: string, version: string | undefined): string {
  const source = version?.replace(/\+b\d+$/, '');
  return source === version ? sourcePackage : `${sourcePackage}@${source}`;
}

/** The upstream version in a distribution's: "1:1.2.13.dfsg-1" -> "1.2.13", "5.6.1+really5.4.5-1" -> "5.4.5". */
export function upstreamVersion(packaged: string): string {
  const bare = packaged.replace(/^\d+:/, '').replace(/-[^-]*$/, '');
  const really = /\+really(.+)$/.exec(bare)?.[1] ?? bare;
  return really.replace(/[.+~](dfsg|ds|repack)[\w.+~]*$/, '');
}

/** A UUID that is the same for the same text: version 8 (RFC 9562), filled from the text's sha256. */
export function uuidOf(text: string): string {
  const bytes = createHash('sha256').update(text).digest().subarray(0, 16);
  bytes[6] = (bytes[6]! & 0x0f) | 0x80;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = bytes.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
