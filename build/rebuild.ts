// Proof that an artifact is what its plan says: everything is made again from the sources, in another folder and with
// nothing compiled before, and compared byte by byte. Knows the flow and what it leaves; not how anything is made.
import { mkdir, mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import type { EngineChoice } from './compile/container-engine.ts';
import { defaultBase } from './image/base.ts';
import { buildImage } from './image-pipeline.ts';
import type { Context } from './lib/context.ts';
import { MakeRuntimeError } from './lib/errors.ts';
import { exists } from './lib/folder.ts';
import { readZip } from './package/unzip.ts';
import { type Built, buildRuntime, resolvePlan } from './pipeline.ts';
import type { ImageConfig, Index, Manifest } from './registry/oci.ts';
import { digestFile } from './source/cache.ts';
import type { Entry, Tree } from './tree/tree.ts';

export interface Compared {
  readonly file: string;
  readonly sha256: string;
  /** Of the one that was made again. */
  readonly again: string;
}

export interface Rebuilt {
  readonly plan: string;
  /** The layer and what is stated about it, as far as it lies beside the layer. */
  readonly files: readonly Compared[];
  /** Where the layers differ: one line a file of theirs. Empty when they are the same. */
  readonly differences: readonly string[];
  /** The plan of the image beside the layer, when it is not the layer's: it was not made again then. */
  readonly otherImage?: string;
  readonly same: boolean;
}

/** What a build leaves beside layer.zip that the same plan gives again; the verdict is about a machine. */
const stated = ['sbom.cdx.json', 'sbom.spdx.json', 'provenance.json', 'ledger.json', 'plan.json'] as const;

const imageStated = ['sbom.cdx.json', 'sbom.spdx.json', 'provenance.json'] as const;

/** Downloads, named and checked by their hashes: fetching them again would prove nothing about the build. */
const inputs = ['sha256', 'wheels'] as const;

export interface RebuildChoice extends EngineChoice {
  /** The base of the image beside the layer, where its name is not the default. */
  readonly base?: string | undefined;
}

/**
 * Builds the plan beside a layer again, and the image, where one lies there too.
 * @param layer a layer.zip with its plan.json; a profile.tar beside it takes the place of the training, which would count
 *   differently
 * @throws PLAN_INVALID; ARTIFACT_NOT_FOUND; what a build throws
 */
export async function rebuild(layer: string, choice: RebuildChoice, ctx: Context): Promise<Rebuilt> {
  const folder = dirname(resolve(layer));
  if (!(await exists(layer))) {
    throw new MakeRuntimeError('ARTIFACT_NOT_FOUND', `There is no layer ${layer}.`, {
      remedy: 'Name the layer.zip of a build, with the plan.json beside it.',
    });
  }
  const plan = await resolvePlan({ recipe: join(folder, 'plan.json') }, ctx);
  const counters = join(folder, 'profile.tar');
  const scratch = await mkdtemp(join(tmpdir(), 'make-runtime-rebuild-'));
  try {
    const cacheDir = join(scratch, 'cache');
    await mkdir(cacheDir);
    for (const name of inputs) {
      const shared = join(ctx.cacheDir, name);
      await mkdir(shared, { recursive: true });
      await symlink(shared, join(cacheDir, name));
    }
    const again = { ...ctx, cacheDir };
    const has = plan.profiling !== undefined && (await exists(counters));
    const given = has ? (plan.profiling?.data === undefined ? { counters } : { profileData: counters }) : {};
    const built = await buildRuntime(plan, join(scratch, 'out'), again, { ...choice, ...given });
    const files: Compared[] = [];
    const pairs = [[layer, built.layer.path], ...stated.map((name) => [join(folder, name), undefined])] as const;
    for (const [path, other] of pairs) {
      if (path === undefined || !(await exists(path))) continue;
      const made = other ?? join(dirname(built.layer.path), basename(path));
      files.push({ file: basename(path), sha256: await sha256(path, ctx), again: await sha256(made, ctx) });
    }
    const image = await rebuildImage(folder, built, choice.base, join(scratch, 'out'), again);
    files.push(...image.files);
    const same = files.every((one) => one.sha256 === one.again);
    const differences = await treeDifferences(await readZip(layer), await readZip(built.layer.path));
    return { plan: plan.id, files, differences, ...(image.of === plan.id ? {} : { otherImage: image.of }), same };
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** The image's manifest, which names everything in it by digest, and its statements. */
async function rebuildImage(
  folder: string,
  { plan, layer, verdict }: Built,
  base: string | undefined,
  output: string,
  ctx: Context,
): Promise<{ readonly of: string; readonly files: readonly Compared[] }> {
  const layout = join(folder, 'image');
  if (!(await exists(join(layout, 'index.json')))) return { of: plan.id, files: [] };
  const blob = async (digest: string): Promise<Manifest & ImageConfig> =>
    JSON.parse(await readFile(join(layout, 'blobs', digest.replace(':', '/')), 'utf8'));
  const index: Index = JSON.parse(await readFile(join(layout, 'index.json'), 'utf8'));
  const digest = index.manifests[0]?.digest ?? '';
  const { mediaType, config } = await blob(digest);
  const { config: settings, history } = await blob(config.digest);
  // A layer that was built again since leaves an image of the one before beside it.
  const of = settings?.Labels?.['make-runtime.plan'] ?? '';
  if (of !== plan.id) return { of, files: [] };
  const baseDigest = settings?.Labels?.['org.opencontainers.image.base.digest'];
  const request = {
    layer: layer.path,
    base: baseDigest === undefined ? 'scratch' : pinned(base ?? defaultBase, baseDigest),
    format: mediaType?.includes('docker') ? 'docker' : 'oci',
    pip: (history ?? []).some(({ created_by }) => created_by?.startsWith('make-runtime image: pip ')),
    tar: false,
  } as const;
  const image = await buildImage(request, output, ctx, verdict);
  const bare = (text: string): string => text.replace(/^sha256:/, '');
  const files: Compared[] = [{ file: 'image', sha256: bare(digest), again: bare(image.digest) }];
  for (const name of imageStated) {
    const path = join(folder, 'image-statements', name);
    if (!(await exists(path))) continue;
    const made = join(output, plan.name, 'image-statements', name);
    files.push({ file: `image-statements/${name}`, sha256: await sha256(path, ctx), again: await sha256(made, ctx) });
  }
  return { of, files };
}

/** A tag moves; a folder is what it is. */
function pinned(base: string, digest: string): string {
  return base.startsWith('layout:') || base.includes('@') ? base : `${base}@${digest}`;
}

/** Paths that only one of two trees has, or that differ in kind, mode or content; one line each, sorted. */
export async function treeDifferences(one: Tree, again: Tree): Promise<string[]> {
  const lines: string[] = [];
  for (const path of [...new Set([...one.entries.keys(), ...again.entries.keys()])].sort()) {
    const [a, b] = [one.entries.get(path), again.entries.get(path)];
    const what = a === undefined ? 'only in the new one' : b === undefined ? 'not in the new one' : await between(a, b);
    if (what !== undefined) lines.push(`${path}: ${what}`);
  }
  return lines;
}

async function between(a: Entry, b: Entry): Promise<string | undefined> {
  if (a.kind === 'link' && b.kind === 'link')
    return a.target === b.target ? undefined : `links to ${a.target}, and to ${b.target} in the new one`;
  if (a.kind !== 'file' || b.kind !== 'file') return `a ${a.kind}, and a ${b.kind} in the new one`;
  if (a.mode !== b.mode) return `mode ${a.mode.toString(8)}, and ${b.mode.toString(8)} in the new one`;
  const [first, second] = [Buffer.from(await a.read()), Buffer.from(await b.read())];
  if (first.equals(second)) return undefined;
  const at = first.findIndex((byte, index) => byte !== second[index]);
  return `${first.length} bytes, ${second.length} in the new one, the first difference at ${at === -1 ? first.length : at}`;
}

async function sha256(path: string, ctx: Context): Promise<string> {
  return (await digestFile(path, ctx.signal)).sha256;
}

/** The result for a person; ends without a newline. */
export function describeRebuild({ plan, files, differences, otherImage, same }: Rebuilt): string {
  return [
    ...files.map(({ file, sha256, again }) =>
      sha256 === again ? `✓ ${file}  ${sha256}` : `✗ ${file}  ${sha256}, and made again ${again}`,
    ),
    ...differences.map((line) => `  ${line}`),
    ...(otherImage === undefined ? [] : [`· image  is of plan ${otherImage || '(none)'}, and was not made again`]),
    '',
    same ? `✓ plan ${plan} gives these bytes` : `✗ plan ${plan} gives other bytes`,
  ].join('\n');
}

/** The error to end with, or undefined when it gave the same bytes. */
export function rebuildError({ files, differences, same }: Rebuilt): MakeRuntimeError | undefined {
  if (same) return undefined;
  const other = files.filter((one) => one.sha256 !== one.again).map(({ file }) => file);
  return new MakeRuntimeError('REBUILD_DIFFERS', `Made again from its plan, ${other.join(', ')} has other bytes.`, {
    remedy: 'The plan names everything that should decide them: look for what the files below have that it does not.',
    ...(differences.length > 0 ? { detail: differences.slice(0, 40).join('\n') } : {}),
  });
}
