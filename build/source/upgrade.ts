// `lock --upgrade`: newer releases than the pinned ones, each proven by its Sigstore bundle before it becomes a pin.
// Decides and proves; writes nothing. Existing pins stay as they are, whatever upstream says now.
import { readFile, rm } from 'node:fs/promises';
import type { Context } from '../lib/context.ts';
import { isMakeRuntimeError, MakeRuntimeError } from '../lib/errors.ts';
import type { Lock, Source } from '../recipe/model.ts';
import { pinsOf } from '../recipe/plan.ts';
import { compareVersions, parseVersion } from '../recipe/version.ts';
import { cachePath, inspectCached } from './cache.ts';
import { debianUpstreamVersions } from './debian.ts';
import { fetchUnpinned } from './download.ts';
import { MirrorFailure, type Patience, patience, TooLarge } from './http.ts';
import { pythonOrg } from './lock.ts';
import type { Signature } from './sigstore.ts';
import { releaseManager } from './sigstore-identity.ts';
import type { TrustRoot } from './sigstore-root.ts';
import { fetchSmall } from './small-file.ts';
import { newestReleases, pythonOrgIndex, type Release } from './upstream.ts';

/** Bytes of a bundle: CPython's are 5 to 10 kB. */
const bundleLimit = 256 << 10;

/** The suite that gets new upstream releases first. */
const newestSuite = 'sid';

export interface UpgradeOptions {
  /** A mirror of upstream's tree, with a slash at its end. */
  readonly upstream?: string;
  /** A trusted_root.json instead of Sigstore's own. */
  readonly trustRoot?: string;
  readonly patience?: Patience;
}

/** One series, and what would change. */
export interface UpgradeRow {
  readonly series: string;
  /** The newest pinned release; undefined when there is none. */
  readonly from: string | undefined;
  /** Upstream's newest; undefined when it has none. */
  readonly to: string | undefined;
  /** What would be added; undefined when nothing is newer, or when it could not be proven. */
  readonly pin?: Source;
  readonly signature?: Signature;
  readonly failure?: MakeRuntimeError;
}

/**
 * Looks for newer releases and proves each: the tarball is downloaded and its bundle verified against the identity of
 * the series' release manager.
 * @param series the CPython series that recipes build
 * @returns a row for each series; one that could not be proven carries its failure
 * @throws SOURCE_UNREACHABLE when upstream's list cannot be read, with what Debian has seen in `detail`;
 *   TRUST_ROOT_INVALID; DISK_FULL; CANCELLED
 */
export async function findUpgrades(
  lock: Lock,
  series: readonly string[],
  ctx: Context,
  options: UpgradeOptions = {},
): Promise<readonly UpgradeRow[]> {
  const how = options.patience ?? patience;
  let releases: ReadonlyMap<string, Release>;
  try {
    releases = await newestReleases(series, ctx, options.upstream ?? pythonOrgIndex, how);
  } catch (error) {
    if (!isMakeRuntimeError(error) || error.code !== 'SOURCE_UNREACHABLE' || ctx.offline) throw error;
    throw await withDebian(error, lock, series, ctx);
  }
  let root: Promise<TrustRoot> | undefined;
  const rows: UpgradeRow[] = [];
  for (const one of series) {
    const release = releases.get(one);
    const row = { series: one, from: pinsOf(lock, one)[0]?.version, to: release?.version };
    if (!release || !isNewer(release.version, row.from)) {
      rows.push(row);
      continue;
    }
    try {
      root ??= openRoot(options, ctx);
      rows.push({ ...row, ...(await prove(release, one, await root, ctx, how)) });
    } catch (error) {
      if (!isMakeRuntimeError(error) || !ofOneRelease.has(error.code)) throw error;
      rows.push({ ...row, failure: error });
    }
  }
  return rows;
}

/** The lock with what was found: new pins beside the old ones. */
export function applyUpgrades(lock: Lock, rows: readonly UpgradeRow[]): Lock {
  const known = new Set(lock.sources.map(({ name, version }) => `${name} ${version}`));
  const added = rows.flatMap(({ pin }) => (pin && !known.has(`${pin.name} ${pin.version}`) ? [pin] : []));
  return { ...lock, sources: [...lock.sources, ...added] };
}

/** One error for everything that could not be proven; undefined when all is well. */
export function upgradeError(rows: readonly UpgradeRow[]): MakeRuntimeError | undefined {
  const [first, ...others] = rows.flatMap(({ failure }) => failure ?? []);
  if (!first || others.length === 0) return first;
  const detail = [first.detail, ...others.flatMap(({ message, detail }) => [message, detail])];
  return new MakeRuntimeError(first.code, first.message, {
    ...(first.remedy === undefined ? {} : { remedy: first.remedy }),
    detail: detail.filter((line) => line !== undefined).join('\n'),
    cause: first,
  });
}

/** What is wrong with one release and says nothing about the others. */
const ofOneRelease: ReadonlySet<string> = new Set([
  'SIGNATURE_INVALID',
  'SIGNATURE_MISSING',
  'TRUST_ROOT_STALE',
  'SOURCE_UNREACHABLE',
]);

async function openRoot({ trustRoot }: UpgradeOptions, ctx: Context): Promise<TrustRoot> {
  const { openTrustRoot, readTrustRoot } = await import('./sigstore-root.ts');
  return trustRoot === undefined ? openTrustRoot(ctx) : readTrustRoot(trustRoot);
}

async function prove(
  release: Release,
  series: string,
  root: TrustRoot,
  ctx: Context,
  how: Patience,
): Promise<{ pin: Source; signature: Signature }> {
  const { version, file, url } = release;
  const expected = releaseManager(series);
  if (!expected) {
    throw new MakeRuntimeError('SIGNATURE_MISSING', `Who releases CPython ${series} is not known here.`, {
      remedy: 'Update make-runtime: a newer one knows the release manager.',
    });
  }
  const { readBundle, verifyBundle } = await import('./sigstore.ts');
  const read = readBundle(await fetchBundle(release, ctx, how), file);

  // A run that was only shown, or an earlier pin of the same bytes, has it in the cache already.
  let sha256 = read.sha256;
  if ((await inspectCached(ctx.cacheDir, sha256, ctx.signal)) !== 'right') {
    ({ sha256 } = await fetchUnpinned({ file, mirrors: [url] }, ctx, how));
  }
  const path = cachePath(ctx.cacheDir, sha256);
  const bytes = await readFile(path);
  // Something else than what was signed: of no use to anybody, so it does not stay in the cache.
  if (sha256 !== read.sha256) await rm(path, { force: true });
  const signature = verifyBundle(read, bytes, expected, root);
  const official = pythonOrg(version).url;
  const day = signature.loggedOn === undefined ? '' : `, ${signature.loggedOn}`;
  return {
    signature,
    pin: {
      name: 'cpython',
      version,
      file,
      size: bytes.length,
      sha256,
      mirrors: url === official ? [official] : [official, url],
      licence: 'PSF-2.0',
      purl: `pkg:generic/python@${version}`,
      verifiedBy: `Sigstore: signed by ${signature.email} (${signature.issuer}), ${signature.log} index ${signature.logIndex}${day}; checked with ${root.origin}`,
    },
  };
}

async function fetchBundle({ version, file, bundleUrl }: Release, ctx: Context, how: Patience): Promise<string> {
  const missing = (detail: string, cause?: unknown) =>
    new MakeRuntimeError(
      'SIGNATURE_MISSING',
      `CPython ${version} is there, but the Sigstore bundle of ${file} is not.`,
      {
        remedy: `Wait a day: signatures may be uploaded after the files. \`make-runtime lock --add ${version}\` pins it unproven.`,
        detail,
        cause,
      },
    );
  if (bundleUrl === undefined) throw missing('not in the listing of its folder');
  try {
    return (await fetchSmall(bundleUrl, bundleLimit, ctx, how)).toString('utf8');
  } catch (error) {
    if (error instanceof TooLarge) {
      throw new MakeRuntimeError('SIGNATURE_INVALID', `The Sigstore bundle of ${file} is not a Sigstore bundle.`, {
        remedy: 'Run again, from another network if need be: something between here and upstream answers in its place.',
        detail: `${bundleUrl}: ${error.message}`,
        cause: error,
      });
    }
    if (!(error instanceof MirrorFailure)) throw error;
    if (error.status === 404) throw missing(`${bundleUrl}: ${error.message}`, error);
    throw new MakeRuntimeError('SOURCE_UNREACHABLE', `The Sigstore bundle of ${file} could not be fetched.`, {
      remedy: 'Check the network and the proxy settings.',
      detail: `${bundleUrl}: ${error.message}`,
      cause: error,
    });
  }
}

/**
 * What Debian has packaged, where upstream does not answer: news, but no proof, since Debian keeps no Sigstore bundles.
 * So it is told and never pinned from here.
 */
async function withDebian(
  error: MakeRuntimeError,
  lock: Lock,
  series: readonly string[],
  ctx: Context,
): Promise<MakeRuntimeError> {
  const lines: string[] = [];
  try {
    for (const one of series) {
      const from = pinsOf(lock, one)[0]?.version;
      const versions = await debianUpstreamVersions(newestSuite, `python${one}`, ctx);
      const newest = versions.filter(parseVersion).toSorted(compareVersions).at(-1);
      if (newest === undefined || !isNewer(newest, from)) continue;
      lines.push(
        `Debian ${newestSuite} has CPython ${newest} (pinned: ${from ?? 'none'}); unproven, it can be pinned with`,
        `  make-runtime lock --add ${newest} --mirror 'debian:${newestSuite}/python${one}=${newest}-*/python${one}_${newest}.orig.tar.xz'`,
      );
    }
    if (lines.length === 0) lines.push(`Debian ${newestSuite} has nothing newer than the pins either`);
  } catch (cause) {
    if (!(cause instanceof MirrorFailure)) throw cause;
    lines.push(`Debian ${newestSuite} could not be asked: ${cause.message}`);
  }
  return new MakeRuntimeError(error.code, error.message, {
    ...(error.remedy === undefined ? {} : { remedy: error.remedy }),
    detail: [error.detail, ...lines].filter((line) => line !== undefined).join('\n'),
    cause: error,
  });
}

/** A final release is newer than any pre-release of its series, which compareVersions() says of the same patch only. */
function isNewer(version: string, than: string | undefined): boolean {
  if (than === undefined) return true;
  const final = parseVersion(version)?.pre === '';
  const thanFinal = parseVersion(than)?.pre === '';
  return final === thanFinal ? compareVersions(version, than) > 0 : final;
}
