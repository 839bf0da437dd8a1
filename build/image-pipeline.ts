// The second story, of an image: layer -> base -> verdict -> layout -> statements -> archive. It begins where pipeline.ts
// ends, so that a layer that was built long ago, or on another machine, becomes the same image.
import { join, resolve } from 'node:path';
import { archiveImage } from './image/archive.ts';
import { openBase } from './image/base.ts';
import { type Image, packageImage } from './image/image.ts';
import { runtimeLayers } from './image/layers.ts';
import { imagePrefix } from './image/place.ts';
import type { Context } from './lib/context.ts';
import { MakeRuntimeError } from './lib/errors.ts';
import { readBuildRecord } from './package/build-json.ts';
import { langFolder } from './package/layout.ts';
import { readZip } from './package/unzip.ts';
import type { Plan } from './recipe/model.ts';
import type { ImageFormat } from './registry/formats.ts';
import { toolVersion, withWheels } from './sbom/inventory.ts';
import type { Program } from './sbom/model.ts';
import { findWheels } from './sbom/wheels.ts';
import { type Statements, writeStatements } from './sbom/write.ts';
import { stages } from './stages.ts';
import type { Tree } from './tree/tree.ts';
import { verifyArtifact } from './verify/artifact.ts';
import { writeImageVerdict } from './verify/image-verdict.ts';
import { sha256Of } from './verify/subject.ts';
import { type Verdict, verdictError } from './verify/verdict.ts';

export interface ImageRequest {
  /** A layer.zip of make-runtime. */
  readonly layer: string;
  /** An image reference, "layout:DIR" or "scratch". */
  readonly base: string;
  readonly format: ImageFormat;
  readonly pip: boolean;
  /** "name:tag", make-runtime/<plan name>:latest when absent: what `docker load` and `podman load` will call it. */
  readonly name?: string;
  /** Write an archive as well. */
  readonly tar: boolean;
}

export interface ImageBuilt extends Image {
  readonly plan: Plan;
  /** Undefined for a layer of an older make-runtime, which does not say what it is made of. */
  readonly statements: Statements | undefined;
}

/**
 * A layer -> an image with the same runtime: `<output>/<plan name>/image` gets the OCI layout, and image.tar beside it
 * the archive where one is asked for. Makes nothing of a layer whose verdict is not good.
 */
export async function buildImage(
  { layer, base, format, pip, name, tar }: ImageRequest,
  output: string,
  ctx: Context,
  verdict?: Verdict,
): Promise<ImageBuilt> {
  const stage = stages(ctx);
  const tree = await readZip(layer);
  const record = await readBuildRecord(tree);
  if (!record) {
    throw new MakeRuntimeError('ARTIFACT_NOT_A_LAYER', `${layer} is not a layer that make-runtime built.`, {
      remedy: 'Give the layer.zip that `make-runtime build` writes, or a recipe.',
    });
  }
  const { plan } = record;
  const found = await stage('base', `base image ${base}`, () => openBase(base, plan.arch, ctx));
  const proven = verdict ?? (await stage('verify', 'verify', () => verifyArtifact(layer, {}, ctx)));
  const failure = verdictError(proven);
  if (failure) throw failure;
  const outDir = join(resolve(output), plan.name);
  const called = name ?? `make-runtime/${plan.name}:latest`;
  const { image, wheels } = await stage('image', 'package the image', async () => {
    const { layers, added, pins } = await runtimeLayers({ path: layer, tree, plan, pip }, ctx);
    const folder = join(outDir, 'image');
    return {
      image: await packageImage({ plan, layers, base: found, format, name: called, folder }, ctx),
      wheels: await findWheels(added, pins),
    };
  });
  await writeImageVerdict(outDir, { ...proven, image: image.digest });
  // Beside the image and never in it: attestations make an index of a tag, which Lambda refuses.
  const statements =
    record.components &&
    (await stage('sbom', 'write SBOM and provenance', async () => {
      const sha256 = image.digest.replace(/^sha256:/, '');
      const artifact = { kind: 'image', file: 'image', sha256, home: imagePrefix } as const;
      const program = await programOf(tree, plan);
      const components = withWheels(record.components ?? [], wheels);
      const version = await toolVersion(ctx.packageDir);
      const described = { artifact, program, components, plan, version, ...(image.base && { base: image.base }) };
      return writeStatements(described, join(outDir, 'image-statements'));
    }));
  if (!tar) return { ...image, plan, statements };
  const path = join(outDir, 'image.tar');
  await stage('archive', 'write image.tar', () => archiveImage(image, path, { name: called, epoch: plan.epoch }, ctx));
  return { ...image, path, plan, statements };
}

/** The executable of a layer, as statements name it. */
async function programOf(layer: Tree, { python }: Plan): Promise<Program> {
  const path = `bin/${python.executable}`;
  const entry = layer.entries.get(`${langFolder}/${path}`);
  if (entry?.kind !== 'file') throw new Error(`A layer that passed has no ${path}.`);
  return { path, sha256: await sha256Of(await entry.read()) };
}
