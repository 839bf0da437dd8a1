// What upstream has released, from the folder index of https://www.python.org/ftp/python/. Only reads listings.
// The index and not the site's JSON API: it is the tree that the tarballs and their signatures lie in, so a release
// counts when its files are there, and any mirror of that tree serves as well. The API is the website's own database,
// which is filled in by hand some time before or after.
import type { Context } from '../lib/context.ts';
import { MakeRuntimeError } from '../lib/errors.ts';
import { compareVersions, parseVersion, seriesOf } from '../recipe/version.ts';
import { MirrorFailure, type Patience, patience, TooLarge } from './http.ts';
import { fetchSmall } from './small-file.ts';

export const pythonOrgIndex = 'https://www.python.org/ftp/python/';

/** Bytes of a listing: python.org's was 30 kB for some 250 releases. */
const listingLimit = 4 << 20;

/** A release whose tarball lies in upstream's tree. */
export interface Release {
  readonly version: string;
  readonly file: string;
  readonly url: string;
  /** Its Sigstore bundle; undefined when there is none. */
  readonly bundleUrl: string | undefined;
}

/**
 * The newest release of each series: the newest final one, or the newest pre-release where a series has no final yet.
 * @param index address of the tree, with a slash at its end
 * @returns by series; one that has nothing is not in it
 * @throws SOURCE_UNREACHABLE, CANCELLED
 */
export async function newestReleases(
  series: readonly string[],
  ctx: Context,
  index: string = pythonOrgIndex,
  how: Patience = patience,
): Promise<ReadonlyMap<string, Release>> {
  if (ctx.offline) {
    throw new MakeRuntimeError('SOURCE_UNREACHABLE', 'New releases cannot be looked for with --offline.', {
      remedy: 'Run again without --offline.',
    });
  }
  const folders = (await list(index, ctx, how)).filter((name) => parseVersion(name)?.pre === '');
  const found = new Map<string, Release>();
  for (const one of series) {
    const candidates = folders.filter((name) => seriesOf(name) === one).toSorted((a, b) => compareVersions(b, a));
    const release = await newestIn(candidates, ctx, index, how);
    if (release) found.set(one, release);
  }
  return found;
}

/** @param folders of one series, newest first; each also holds the pre-releases that led to it */
async function newestIn(
  folders: readonly string[],
  ctx: Context,
  index: string,
  how: Patience,
): Promise<Release | undefined> {
  let preRelease: Release | undefined;
  for (const folder of folders) {
    const url = `${index}${folder}/`;
    const files = await list(url, ctx, how);
    const versions = files
      .flatMap((name) => /^Python-(.+)\.tar\.xz$/.exec(name)?.[1] ?? [])
      .filter((version) => parseVersion(version) && version.replace(/(a|b|rc)\d+$/, '') === folder)
      .toSorted((a, b) => compareVersions(b, a));
    const newest = versions[0];
    if (newest === undefined) continue;
    const file = `Python-${newest}.tar.xz`;
    const bundleUrl = files.includes(`${file}.sigstore`) ? `${url}${file}.sigstore` : undefined;
    const release: Release = { version: newest, file, url: `${url}${file}`, bundleUrl };
    if (newest === folder) return release;
    preRelease ??= release;
  }
  return preRelease;
}

async function list(url: string, ctx: Context, how: Patience): Promise<readonly string[]> {
  ctx.report({ type: 'progress', stage: 'sources', text: `reading ${url}` });
  try {
    const names = parseListing((await fetchSmall(url, listingLimit, ctx, how)).toString('utf8'), url);
    if (names.length > 0) return names;
    throw new MirrorFailure('answered, but not with the listing of a folder');
  } catch (error) {
    if (!(error instanceof MirrorFailure) && !(error instanceof TooLarge)) throw error;
    throw new MakeRuntimeError('SOURCE_UNREACHABLE', `Upstream's list of releases could not be read.`, {
      remedy: 'Check the network and the proxy settings, or name a mirror of that tree with --upstream.',
      detail: `${url}: ${error.message}`,
      cause: error,
    });
  }
}

/**
 * The names of what lies directly in a folder, from the HTML a web server makes of it. Servers differ in everything
 * but this: an entry is a link to a child of the folder.
 */
export function parseListing(html: string, url: string): readonly string[] {
  const base = new URL(url);
  const names = new Set<string>();
  for (const [, double, single, bare] of html.matchAll(
    /<a\b[^>]*?\shref\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))/gi,
  )) {
    const href = (double ?? single ?? bare ?? '').trim().replaceAll('&amp;', '&');
    let link: URL;
    let name: string;
    try {
      link = new URL(href, base);
      if (link.origin !== base.origin || link.search !== '' || !link.pathname.startsWith(base.pathname)) continue;
      name = decodeURIComponent(link.pathname.slice(base.pathname.length)).replace(/\/$/, '');
    } catch {
      continue;
    }
    if (/^[\w.+~-]+$/.test(name) && !/^\.+$/.test(name)) names.add(name);
  }
  return [...names];
}
