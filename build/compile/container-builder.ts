// The builder image: found or pulled, given the packages a build needs once, and known by what is in it. An image is
// identified by its file systems, not by a tag: the same one has the same identity in every engine's store.
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Context } from '../lib/context.ts';
import { MakeRuntimeError } from '../lib/errors.ts';
import { shortDigest } from '../recipe/canonical.ts';
import type { Arch, Builder } from '../recipe/model.ts';
import { askContainer, failed, imageAfter, platforms } from './container.ts';
import { type ContainerEngine, engineFault, lastLines } from './container-cli.ts';
import { diagnose } from './diagnose.ts';
import { ownArch } from './engine.ts';
import {
  factsOf,
  type Needs,
  type PackageManager,
  type Probe,
  packageManagers,
  packagesFor,
  probeProgram,
  readProbe,
} from './probe.ts';
import { unobtainableRequirements } from './requirement.ts';
import { quote } from './script.ts';

export interface PreparedBuilder {
  /** What `run` is given: an image with every package. */
  readonly image: string;
  /** Of its programs. */
  readonly arch: Arch;
  readonly probe: Probe;
  readonly builder: Builder;
}

interface Image {
  readonly id: string;
  readonly arch: string;
  /** sha256 over the uncompressed layers, which no registry or store changes. */
  readonly rootfs: string;
}

// One preparation at a time for one image: builds that run side by side share it.
const preparing = new Map<string, Promise<unknown>>();

/**
 * The builder image with everything `needs` asks for.
 * @param reference as the user or the lock file names it; "name@sha256:..." is exact
 * @param target what is built; the image is of the same architecture unless `needs` says that it cross-compiles
 * @throws BUILDER_UNAVAILABLE, BUILDER_WRONG_ARCH, BUILDER_PACKAGES, DISK_FULL, ENGINE_FAILED, CANCELLED
 */
export async function prepareBuilder(
  engine: ContainerEngine,
  reference: string,
  target: Arch,
  needs: Needs,
  ctx: Context,
): Promise<PreparedBuilder> {
  const arch = needs.cross?.from ?? target;
  const base = await findImage(engine, reference, arch, ctx);
  const tag = `make-runtime-builder:${shortDigest([base.rootfs, arch, wanted(needs)])}`;
  const prepared = await inspectImage(engine, tag);
  const at = async (id: string): Promise<PreparedBuilder> => {
    const probe = await probeImage(engine, id, arch, needs, ctx);
    return {
      image: id,
      arch,
      probe,
      builder: {
        engine: 'container',
        image: { reference, rootfs: base.rootfs, packages: probe.packagesDigest },
        ...factsOf(probe, needs),
      },
    };
  };
  if (prepared) return at(prepared.id);
  const bare = await at(base.id);
  const { packageManager, missing, gaps } = bare.probe;
  if (missing.length + gaps.length === 0 || !packageManager) return bare;
  const running = preparing.get(tag) ?? install(engine, base.id, arch, needs, packageManager, tag, reference, ctx);
  preparing.set(tag, running);
  try {
    await running;
  } finally {
    preparing.delete(tag);
  }
  const made = await inspectImage(engine, tag);
  if (!made) throw failed(engine, `find the image ${tag} that it has just made`, '');
  return at(made.id);
}

/**
 * Which architecture's image builds for `target`: the target's own where this machine is one or such an image is there
 * already (emulation then, ten times slower); this machine's where it has apt-get, and so cross compilers; else the
 * target's.
 * @throws ENGINE_FAILED, CANCELLED
 */
export async function builderArch(
  engine: ContainerEngine,
  reference: string,
  target: Arch,
  ctx: Context,
): Promise<Arch> {
  const own = ownArch();
  if (target === own) return target;
  const name = forCli(reference);
  let image = await inspectImage(engine, name);
  if (!image && !ctx.offline) {
    ctx.report({ type: 'progress', stage: 'builder', text: `pulling ${reference}` });
    if ((await engine.call(['pull', '--platform', platforms[own], name])).ok) image = await inspectImage(engine, name);
  }
  if (image?.arch !== own) return target;
  const answer = await askContainer(engine, image.id, own, 'command -v apt-get || :');
  return answer.trim() === '' ? target : own;
}

/** What a builder image is asked to have, whatever its package manager. */
function wanted(needs: Needs): unknown {
  return packageManagers.map((manager) => packagesFor(needs, manager));
}

/** The text that installs packages, for a container and for a Dockerfile alike. */
export function installProgram(needs: Needs, manager: PackageManager): string {
  const commands = [
    ...(manager.refresh ? [manager.refresh] : []),
    [...manager.install, ...packagesFor(needs, manager)],
  ];
  return [
    'set -eu',
    'export DEBIAN_FRONTEND=noninteractive LC_ALL=C',
    ...commands.map((words) => words.map(quote).join(' ')),
  ].join('\n');
}

async function install(
  engine: ContainerEngine,
  base: string,
  arch: Arch,
  needs: Needs,
  manager: PackageManager,
  tag: string,
  reference: string,
  ctx: Context,
): Promise<void> {
  const names = packagesFor(needs, manager);
  const by = `${manager.name === 'apt' ? 'apt-get' : 'dnf'} install ${names.join(' ')}`;
  if (ctx.offline) {
    throw new MakeRuntimeError(
      'BUILDER_PACKAGES',
      `The builder image ${reference} lacks packages, and this run is offline.`,
      {
        remedy: 'Run once without --offline, or give a builder image that has them.',
        detail: by,
      },
    );
  }
  const log = join(ctx.cacheDir, 'logs', `${tag.replace(':', '-')}.log`);
  const tail: string[] = [];
  ctx.report({ type: 'progress', stage: 'builder', text: `installing ${names.length} packages in ${reference}` });
  const onLine = (line: string): void => {
    tail.push(line);
    if (tail.length > 40) tail.shift();
  };
  const { status, stderr } = await imageAfter(engine, base, arch, installProgram(needs, manager), tag, {
    env: ctx.env,
    signal: ctx.signal,
    log,
    onLine,
  });
  if (status === 0) return;
  const fault = engineFault(engine.cli, `${stderr}\n${tail.join('\n')}`);
  if (fault) throw fault;
  const unobtainable = unobtainableRequirements(tail.join('\n'), needs.requires, reference);
  if (unobtainable) throw unobtainable;
  throw diagnose(
    {
      what: `Installing packages in the builder image ${reference}`,
      tail: [...tail, stderr.trim()],
      step: undefined,
      log,
      status,
      fallback: 'BUILDER_PACKAGES',
    },
    needs.libraries,
  );
}

async function findImage(engine: ContainerEngine, reference: string, arch: Arch, ctx: Context): Promise<Image> {
  const name = forCli(reference);
  let image = await inspectImage(engine, name);
  if (image?.arch !== arch) {
    const other = image;
    if (ctx.offline) throw unobtainable(engine, reference, arch, 'It is not on this machine, and this run is offline.');
    ctx.report({ type: 'progress', stage: 'builder', text: `pulling ${reference}` });
    const pull = await engine.call(['pull', '--platform', platforms[arch], name]);
    if (!pull.ok) {
      const fault = engineFault(engine.cli, pull.stderr);
      if (fault) throw fault;
      if (other) throw wrongArch(reference, other.arch, arch, pull.stderr);
      throw unobtainable(engine, reference, arch, lastLines(pull.stderr));
    }
    image = await inspectImage(engine, name);
  }
  if (!image) throw failed(engine, `find ${reference} after pulling it`, '');
  if (image.arch !== arch) throw wrongArch(reference, image.arch, arch, '');
  return image;
}

async function inspectImage(engine: ContainerEngine, name: string): Promise<Image | undefined> {
  const { stdout, ok } = await engine.call(['image', 'inspect', name]);
  if (!ok) return undefined;
  const [image] = JSON.parse(stdout) as { Id: string; Architecture: string; RootFS: { Layers: string[] } }[];
  if (!image) return undefined;
  const arch = { amd64: 'x86_64', arm64: 'arm64' }[image.Architecture] ?? image.Architecture;
  const rootfs = createHash('sha256')
    .update(image.RootFS.Layers.map((layer) => `${layer}\n`).join(''))
    .digest('hex');
  return { id: image.Id, arch, rootfs };
}

async function probeImage(
  engine: ContainerEngine,
  image: string,
  arch: Arch,
  needs: Needs,
  ctx: Context,
): Promise<Probe> {
  const cc = ctx.env['CC'] ?? 'cc';
  return readProbe(await askContainer(engine, image, arch, probeProgram(needs, cc)), needs, cc);
}

/** podman refuses a name with tag and digest; the digest alone says everything. */
function forCli(reference: string): string {
  return reference.replace(/:[^:@/]+@/, '@');
}

function unobtainable(engine: ContainerEngine, reference: string, arch: Arch, detail: string): MakeRuntimeError {
  return new MakeRuntimeError('BUILDER_UNAVAILABLE', `The builder image ${reference} (${arch}) cannot be had.`, {
    remedy: `Try \`${engine.cli.name} pull --platform ${platforms[arch]} ${forCli(reference)}\`, choose another image with --builder, or use \`--engine host\`.`,
    detail,
  });
}

function wrongArch(reference: string, has: string, wants: Arch, detail: string): MakeRuntimeError {
  return new MakeRuntimeError(
    'BUILDER_WRONG_ARCH',
    `The builder image ${reference} is for ${has}, the plan for ${wants}.`,
    {
      remedy: `Give an image for ${wants} with --builder, or plan for ${has} with --arch.`,
      ...(detail === '' ? {} : { detail: lastLines(detail) }),
    },
  );
}
