// Somebody else's code inside CPython's source release: which, in which version, under which licence. Upstream's own
// SBOM says most of it since 3.12; the rest is read off the source files. It does not know what of it gets built.
import { mkdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { execa } from 'execa';
import { z } from 'zod';
import type { Context } from '../lib/context.ts';
import { MakeRuntimeError, throwIfCancelled } from '../lib/errors.ts';
import { exists, folderOnce } from '../lib/folder.ts';
import { shortDigest } from '../recipe/canonical.ts';
import type { Source } from '../recipe/model.ts';
import { type BundledFacts, bundledFacts } from './catalogue.ts';

/** One part of CPython's source that has an origin of its own. */
export interface BundledPart {
  readonly name: string;
  readonly version?: string;
  readonly source?: { readonly url: string; readonly sha256: string };
  /** As upstream's SBOM has them. */
  readonly purl?: string;
  readonly cpe?: string;
  readonly supplier?: string;
  /** Its files, where they are all Python files below Lib/; undefined for code that is compiled in. */
  readonly libFiles?: readonly string[];
  /** What this project knows of it; undefined for a part that only upstream's SBOM knows. */
  readonly facts?: BundledFacts;
  /** Its licence text; undefined when it is in Doc/license.rst or nowhere. */
  readonly text?: string;
}

export interface Bundled {
  readonly parts: readonly BundledPart[];
  /** `files`: the release has no SBOM that can be read, so versions are the ones its files state. */
  readonly from: 'sbom' | 'files';
}

const sbomFile = 'Misc/sbom.spdx.json';
/** In every release since 1.5: when even this does not come out of the archive, nothing did. */
const landmark = 'LICENSE';

const members = [
  ...new Set([
    sbomFile,
    landmark,
    ...bundledFacts.flatMap(({ text, version }) => [text.file, ...(version ? [version.file] : [])]),
  ]),
].sort();

/**
 * Reads what a CPython source release brings along. The few files it takes are kept in the cache.
 * @param archive path of the verified tarball
 * @throws COMPILER_MISSING when tar or its decompressor is missing, DISK_FULL, CANCELLED
 */
export async function readBundled(
  source: Pick<Source, 'version' | 'sha256' | 'file'>,
  archive: string,
  ctx: Pick<Context, 'cacheDir' | 'env' | 'signal'>,
): Promise<Bundled> {
  const folder = join(ctx.cacheDir, 'bundled', shortDigest([source.sha256, members]));
  await folderOnce(folder, (scratch) => extract(source, archive, scratch, ctx));
  const files = new Map<string, string>();
  for (const member of members) {
    const text = await readFile(join(folder, member), 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
    });
    if (text !== undefined) files.set(member, text);
  }
  return bundledFrom(files);
}

/** The same from the files themselves: paths below the top folder of the release, with their content. */
export function bundledFrom(files: ReadonlyMap<string, string>): Bundled {
  const listed = parseUpstream(files.get(sbomFile));
  const parts = (listed ?? []).map((part) => complete(part, files));
  for (const facts of bundledFacts) {
    if (parts.some(({ name }) => name === facts.name) || !hasPart(facts, files)) continue;
    parts.push(
      complete({ name: facts.name, ...(below(facts.text.file) ? { libFiles: [facts.text.file] } : {}) }, files),
    );
  }
  return { parts: parts.sort((a, b) => (a.name < b.name ? -1 : 1)), from: listed ? 'sbom' : 'files' };
}

async function extract(
  source: Pick<Source, 'version' | 'file'>,
  archive: string,
  scratch: string,
  { env, signal }: Pick<Context, 'env' | 'signal'>,
): Promise<void> {
  const unpacked = join(scratch, 'unpacked');
  await mkdir(unpacked);
  // Members are named in full because GNU tar and bsdtar disagree about patterns. Those a version does not have make
  // tar fail after it has extracted the others.
  const top = `Python-${source.version}`;
  const result = await execa('tar', ['-xf', archive, '-C', unpacked, ...members.map((member) => `${top}/${member}`)], {
    reject: false,
    all: true,
    stdin: 'ignore',
    extendEnv: false,
    env: { LC_ALL: 'C', PATH: env['PATH'] ?? '/usr/local/bin:/usr/bin:/bin' },
    cancelSignal: signal,
  });
  throwIfCancelled(signal);
  if (!(await exists(join(unpacked, top, landmark)))) {
    throw new MakeRuntimeError('COMPILER_MISSING', `${source.file} cannot be read for the SBOM.`, {
      remedy: 'Install tar and xz (apt-get install tar xz-utils, dnf install tar xz).',
      detail: [result.all ?? '', result.shortMessage ?? ''].join('\n').trim().split('\n').slice(-5).join('\n'),
    });
  }
  for (const member of members) {
    await mkdir(dirname(join(scratch, member)), { recursive: true });
    await rename(join(unpacked, top, member), join(scratch, member)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
    });
  }
  await rm(unpacked, { recursive: true });
}

/** The part with what our own facts and the files add to it. */
function complete(part: BundledPart, files: ReadonlyMap<string, string>): BundledPart {
  const facts = bundledFacts.find(({ name }) => name === part.name);
  if (!facts) return part;
  const version = part.version ?? versionIn(facts, files);
  const text = textIn(facts, files);
  return {
    ...part,
    facts,
    ...(version === undefined ? {} : { version }),
    ...(text === undefined ? {} : { text }),
  };
}

/** By its licence file; where the text stands among code of CPython's own, by the text. */
function hasPart(facts: BundledFacts, files: ReadonlyMap<string, string>): boolean {
  return facts.text.comment ? textIn(facts, files) !== undefined : files.has(facts.text.file);
}

function versionIn({ version }: BundledFacts, files: ReadonlyMap<string, string>): string | undefined {
  const match = version?.pattern.exec(files.get(version.file) ?? '');
  return match?.slice(1).join('.');
}

function textIn({ text }: BundledFacts, files: ReadonlyMap<string, string>): string | undefined {
  const content = files.get(text.file);
  if (content === undefined || text.incorporated) return undefined;
  const { comment } = text;
  if (!comment) return content;
  const found = content.match(/\/\*[\s\S]*?\*\//g)?.find((one) => comment.test(one));
  if (found === undefined) return undefined;
  const lines = found.slice(2, -2).split('\n');
  return `${lines
    .map((line) => line.replace(/^ ?\*? ?/, '').trimEnd())
    .join('\n')
    .trim()}\n`;
}

const below = (path: string): boolean => path.startsWith('Lib/');

const upstream = z.object({
  spdxVersion: z.literal('SPDX-2.3'),
  packages: z.array(
    z.object({
      SPDXID: z.string(),
      name: z.string(),
      versionInfo: z.string().optional(),
      downloadLocation: z.string(),
      originator: z.string().optional(),
      checksums: z.array(z.object({ algorithm: z.string(), checksumValue: z.string() })).default([]),
      externalRefs: z.array(z.object({ referenceType: z.string(), referenceLocator: z.string() })).default([]),
    }),
  ),
  files: z.array(z.object({ SPDXID: z.string(), fileName: z.string() })).default([]),
  relationships: z
    .array(z.object({ spdxElementId: z.string(), relationshipType: z.string(), relatedSpdxElement: z.string() }))
    .default([]),
});

/** The packages of CPython's Misc/sbom.spdx.json; undefined when there is none, or none of the kind we can read. */
function parseUpstream(text: string | undefined): BundledPart[] | undefined {
  let value: unknown;
  try {
    value = text === undefined ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
  const parsed = upstream.safeParse(value);
  if (!parsed.success) return undefined;
  const { packages, files, relationships } = parsed.data;
  const names = new Map(files.map(({ SPDXID, fileName }) => [SPDXID, fileName]));
  return packages.map((one) => {
    const contained = relationships
      .filter((relation) => relation.relationshipType === 'CONTAINS' && relation.spdxElementId === one.SPDXID)
      .flatMap(({ relatedSpdxElement }) => names.get(relatedSpdxElement) ?? []);
    const sha256 = one.checksums.find(({ algorithm }) => algorithm === 'SHA256')?.checksumValue;
    const reference = (type: string) =>
      one.externalRefs.find(({ referenceType }) => referenceType === type)?.referenceLocator;
    const [purl, cpe] = [reference('purl'), reference('cpe23Type')];
    const supplier = one.originator?.replace(/^(Organization|Person): /, '').replace(/ \([^)]*@[^)]*\)$/, '');
    return {
      name: one.name,
      ...(one.versionInfo === undefined ? {} : { version: one.versionInfo }),
      ...(sha256 === undefined || !/^https?:/.test(one.downloadLocation)
        ? {}
        : { source: { url: one.downloadLocation, sha256 } }),
      ...(purl === undefined ? {} : { purl }),
      ...(cpe === undefined ? {} : { cpe }),
      ...(supplier === undefined ? {} : { supplier }),
      ...(contained.length > 0 && contained.every(below) ? { libFiles: contained } : {}),
    };
  });
}
