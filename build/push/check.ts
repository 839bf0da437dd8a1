// Whether Lambda will take an image: what it refuses in a manifest, a configuration and layers, and what was proven of
// the runtime inside when the image was made. Runs nothing of the image and knows no registry.
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import type { Context } from '../lib/context.ts';
import { MakeRuntimeError, throwIfCancelled } from '../lib/errors.ts';
import { mediaTypes } from '../registry/oci.ts';
import { readImageVerdict } from '../verify/image-verdict.ts';
import { count, type Finding, type Verdict } from '../verify/verdict.ts';
import { type ImageSource, type LayerBlob, platformOf } from './source.ts';

/** Uncompressed, Lambda's quota for images (Lambda Developer Guide, "Lambda quotas"). */
const maxUnpackedImage = 10 * 1024 ** 3;
/** Reported by users as the largest manifest that Lambda takes (docs/images.md). */
const maxManifest = 25_400;
const architectures: Readonly<Record<string, 'x86_64' | 'arm64'>> = { 'linux/amd64': 'x86_64', 'linux/arm64': 'arm64' };

type Asker = Pick<Context, 'signal' | 'report'>;

/**
 * Judges an image. All findings are collected; nothing is thrown for an image that is merely bad.
 * @throws ARTIFACT_CHANGED when a verdict beside it is on another image; CANCELLED
 */
export async function checkImage(image: ImageSource, ctx: Asker): Promise<Verdict> {
  const findings = [
    platform(image),
    manifest(image),
    ...(await layers(image, ctx)),
    history(image),
    entryPoint(image),
    ...(await runtime(image)),
  ];
  const ok = findings.every(({ level }) => level !== 'fail');
  return { artifact: image.path, arch: architectures[platformOf(image.config)], ok, findings };
}

function platform({ config }: ImageSource): Finding {
  const check = 'image.platform';
  const name = platformOf(config);
  if (name in architectures) return { check, level: 'pass', message: `One image, for ${name}.` };
  return {
    check,
    level: 'fail',
    message: `The image is for ${name}, and Lambda has linux/amd64 and linux/arm64.`,
    remedy: 'Make it for one of these.',
    code: 'ARTIFACT_WRONG_ARCH',
  };
}

function manifest({ manifest: { mediaType, bytes } }: ImageSource): Finding {
  const check = 'image.manifest';
  if (mediaType !== mediaTypes.oci.manifest && mediaType !== mediaTypes.docker.manifest) {
    return {
      check,
      level: 'fail',
      message: `Its manifest is of the type ${mediaType}, which Lambda refuses.`,
      remedy: 'Make it with `make-runtime image`, or convert it: skopeo copy --format oci.',
    };
  }
  if (bytes.length < maxManifest)
    return { check, level: 'pass', message: `Manifest of ${count(bytes.length, 'byte')}.` };
  return {
    check,
    level: 'warn',
    message: `Its manifest has ${bytes.length} bytes, and Lambda is said to take less than ${maxManifest}.`,
    remedy: 'Use a base with fewer layers.',
  };
}

async function layers(image: ImageSource, ctx: Asker): Promise<Finding[]> {
  const findings: Finding[] = [];
  const check = 'image.layers';
  const diffIds = image.config.rootfs.diff_ids;
  if (diffIds.length !== image.layers.length) {
    const message = `It has ${count(image.layers.length, 'layer')}, but its configuration says ${diffIds.length}.`;
    findings.push({ check, level: 'fail', message, remedy: 'Make the image again.' });
  }
  let unpacked = 0;
  for (const [at, layer] of image.layers.entries()) {
    throwIfCancelled(ctx.signal);
    ctx.report({ type: 'progress', stage: 'check', text: `layer ${at + 1} of ${image.layers.length}` });
    const wrong = refusedType(layer.mediaType) ?? (await refusedContent(layer));
    if (wrong !== undefined) {
      findings.push({ check, level: 'fail', message: `Layer ${at + 1} ${wrong.why}`, remedy: wrong.remedy });
      continue;
    }
    const content = await unpack(layer, ctx).catch((error) => {
      throwIfCancelled(ctx.signal);
      return { failure: (error as Error).message };
    });
    if ('failure' in content) {
      const message = `Layer ${at + 1} cannot be unpacked: ${content.failure}.`;
      findings.push({ check, level: 'fail', message, remedy: 'Make the image again.' });
      continue;
    }
    unpacked += content.size;
    if (content.digest === diffIds[at] || diffIds[at] === undefined) continue;
    const message = `Layer ${at + 1} is not what the configuration says: ${content.digest} instead of ${diffIds[at]}.`;
    findings.push({ check, level: 'fail', message, remedy: 'Make the image again.' });
  }
  if (unpacked > maxUnpackedImage) {
    const message = `Unpacked it has ${unpacked} bytes; Lambda takes ${maxUnpackedImage}.`;
    findings.push({ check: 'image.size', level: 'fail', message, remedy: 'Leave something out.' });
  }
  if (findings.length > 0) return findings;
  const size = `${(unpacked / 1e6).toFixed(1)} MB unpacked`;
  return [{ check, level: 'pass', message: `${count(image.layers.length, 'layer')}, gzip, ${size}.` }];
}

interface Refused {
  readonly why: string;
  readonly remedy: string;
}

const recompress =
  'Convert it: skopeo copy --dest-compress-format gzip --dest-force-compress-format oci:DIR oci:OTHER.';

function refusedType(mediaType: string): Refused | undefined {
  if (/zstd/.test(mediaType)) return { why: 'is compressed with zstd, which Lambda refuses.', remedy: recompress };
  if (/foreign|nondistributable/.test(mediaType))
    return { why: 'may not be distributed (a foreign layer).', remedy: 'Use another base.' };
  if (mediaType === mediaTypes.oci.layer || mediaType === mediaTypes.docker.layer) return undefined;
  // Bare tars have been refused (bazel-contrib/rules_oci#777).
  return { why: `is of the type ${mediaType}, which Lambda refuses.`, remedy: recompress };
}

/** By the first bytes: media types have been wrong before. */
async function refusedContent({ open: read }: LayerBlob): Promise<Refused | undefined> {
  for await (const chunk of read()) {
    const head = Buffer.from(chunk);
    if (head.length >= 2 && head.readUInt16BE(0) === 0x1f8b) return undefined;
    break;
  }
  return { why: 'calls itself gzip and is not, which Lambda refuses.', remedy: recompress };
}

async function unpack({ open: read }: LayerBlob, { signal }: Asker): Promise<{ size: number; digest: string }> {
  const hash = createHash('sha256');
  let size = 0;
  const source = Readable.from(read());
  const unzipped = createGunzip();
  source.on('error', (error) => unzipped.destroy(error));
  try {
    for await (const chunk of source.pipe(unzipped)) {
      throwIfCancelled(signal);
      hash.update(chunk as Buffer);
      size += (chunk as Buffer).length;
    }
  } finally {
    source.destroy();
  }
  return { size, digest: `sha256:${hash.digest('hex')}` };
}

function history({ config, layers }: ImageSource): Finding {
  const check = 'image.history';
  const rows = (config.history ?? []).filter(({ empty_layer }) => empty_layer !== true).length;
  if (rows === layers.length) return { check, level: 'pass', message: 'History has a row for each layer.' };
  return {
    check,
    level: 'warn',
    message: `History has ${count(rows, 'row')} for ${count(layers.length, 'layer')}, which Lambda has refused (rules_oci#645).`,
    remedy: 'Make the image with something that writes history.',
  };
}

function entryPoint({ config }: ImageSource): Finding {
  const check = 'image.entrypoint';
  const { Entrypoint, Cmd } = config.config ?? {};
  const first = [...(Entrypoint ?? []), ...(Cmd ?? [])][0];
  if (first !== undefined) return { check, level: 'pass', message: `Starts ${first}.` };
  return {
    check,
    level: 'warn',
    message: 'It has neither ENTRYPOINT nor CMD: every function needs one in its ImageConfig.',
  };
}

/** What was proven when the image was made. Of an image FROM ours, nothing is recorded: its functions are not ours. */
async function runtime({ beside, manifest: { digest } }: ImageSource): Promise<Finding[]> {
  const check = 'image.runtime';
  const recorded = await readImageVerdict(beside);
  if (recorded === undefined) {
    return [
      {
        check,
        level: 'note',
        message: 'Nothing is recorded about the runtime inside: there is no image-verdict.json beside it.',
      },
    ];
  }
  if (recorded === 'damaged' || recorded.image !== digest) {
    throw new MakeRuntimeError('ARTIFACT_CHANGED', 'The image is not the one that was verified.', {
      remedy: 'Make it again with `make-runtime image`: nothing was pushed.',
      detail:
        recorded === 'damaged'
          ? 'image-verdict.json beside it is damaged'
          : `image    ${digest}\nverified ${recorded.image}`,
    });
  }
  if (recorded.ok)
    return [{ check, level: 'pass', message: `${recorded.artifact}, which is in it, will run on Lambda.` }];
  return recorded.findings
    .filter(({ level }) => level === 'fail')
    .map(({ check, message }) => ({ check, level: 'fail', message, remedy: 'Build the layer again, then the image.' }));
}
