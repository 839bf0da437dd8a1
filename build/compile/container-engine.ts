// The engine that a request means, and the container engine as an Engine: opened when first needed, so that a build
// whose results are all cached asks nobody.
import type { Context } from '../lib/context.ts';
import { MakeRuntimeError } from '../lib/errors.ts';
import { canonicalJson } from '../recipe/canonical.ts';
import { crossFor } from '../recipe/cross.ts';
import type { Arch, Builder, Lock, Plan } from '../recipe/model.ts';
import { removeAbandoned, runInContainer } from './container.ts';
import { builderArch, type PreparedBuilder, prepareBuilder } from './container-builder.ts';
import {
  type ContainerEngine,
  containerClis,
  firstContainerEngine,
  noneAnswered,
  openContainerEngine,
} from './container-cli.ts';
import { type Engine, type EngineName, engineNamed, hostEngine, requireOwnArch } from './engine.ts';
import { type Needs, needsOf, requireComplete } from './probe.ts';

export interface EngineChoice {
  /** As a user types it; `auto` when absent. */
  readonly engine?: string | undefined;
  /** A builder image of the user's own. */
  readonly builder?: string | undefined;
}

/** The builder image of the lock file: the system Lambda runs. */
export const defaultBuilder = 'public.ecr.aws/lambda/provided:al2023';

/**
 * The engine a request means on this machine.
 * @throws ENGINE_UNKNOWN, ENGINE_UNAVAILABLE, ENGINE_DENIED, BUILDER_UNPINNED
 */
export async function chooseEngine(choice: EngineChoice, arch: Arch, lock: Lock, ctx: Context): Promise<Engine> {
  const name = engineNamed(choice.engine ?? 'auto');
  if (name === 'host') {
    if (choice.builder === undefined) return hostEngine(ctx);
    throw new MakeRuntimeError('USAGE', 'The host engine has no builder image.', {
      remedy: 'Leave out --builder, or choose a container engine with --engine.',
    });
  }
  const builder = choice.builder ?? pinnedBuilder(lock);
  if (name === 'auto') {
    if (builder === undefined) return hostEngine(ctx);
    const { engine, refusals } = await firstContainerEngine(ctx);
    if (engine) return containerEngine(() => Promise.resolve(engine), builder, arch, ctx);
    // An image that was asked for by name is not silently left unused.
    if (choice.builder !== undefined) throw noneAnswered(refusals);
    return hostEngine(ctx);
  }
  if (builder === undefined) throw unpinned();
  const engine = await openNamed(name, ctx);
  return containerEngine(() => Promise.resolve(engine), builder, arch, ctx);
}

/** The engine that can obey a plan. Nothing is asked of it until something has to run. */
export function engineFor(plan: Plan, choice: EngineChoice, ctx: Context): Engine {
  if (plan.builder.engine === 'host') {
    requireOwnArch(plan);
    return hostEngine(ctx);
  }
  const name = engineNamed(choice.engine ?? 'auto');
  return containerEngine(() => openNamed(name, ctx), plan.builder.image.reference, plan.arch, ctx);
}

/** "name:tag@sha256:..." of the default builder, when the lock file pins it. */
export function pinnedBuilder(lock: Lock): string | undefined {
  const pin = lock.builders?.find(({ reference }) => reference === defaultBuilder);
  return pin && `${pin.reference}@${pin.digest}`;
}

async function openNamed(name: EngineName, ctx: Context): Promise<ContainerEngine> {
  const cli = containerClis.find((one) => one.name === name);
  if (cli) return openContainerEngine(cli, ctx);
  const { engine, refusals } = await firstContainerEngine(ctx);
  if (!engine) throw noneAnswered(refusals);
  return engine;
}

function containerEngine(open: () => Promise<ContainerEngine>, reference: string, arch: Arch, ctx: Context): Engine {
  let opened: Promise<ContainerEngine> | undefined;
  let prepared: { readonly needs: string; readonly builder: Promise<PreparedBuilder> } | undefined;
  const engine = (): Promise<ContainerEngine> => {
    opened ??= open().then(async (one) => {
      const abandoned = await removeAbandoned(one);
      if (abandoned.length > 0)
        ctx.report({ type: 'note', message: `Removed what a killed run left behind: ${abandoned.join(', ')}.` });
      return one;
    });
    return opened;
  };
  const prepare = (needs: Needs): Promise<PreparedBuilder> => {
    const key = canonicalJson([needs.libraries, needs.requires, needs.cross ?? null]);
    if (prepared?.needs !== key)
      prepared = { needs: key, builder: engine().then((one) => prepareBuilder(one, reference, arch, needs, ctx)) };
    return prepared.builder;
  };
  let obeyed: Promise<PreparedBuilder> | undefined;
  const obey = (plan: Plan): Promise<PreparedBuilder> => {
    obeyed ??= prepare(needsOf(plan)).then((one) => {
      requireComplete(one.probe, `in the builder image ${reference}`, incomplete(reference));
      requireSame(plan.builder, one.builder);
      return one;
    });
    return obeyed;
  };
  return {
    cross: async (target) => crossFor(await builderArch(await engine(), reference, target, ctx), target),
    look: async (needs) => {
      const { probe, builder } = await prepare(needs);
      return { ...probe, builder };
    },
    require: async (plan) => void (await obey(plan)),
    run: async (run) => {
      if (!obeyed) throw new TypeError('require() comes before run()');
      return runInContainer(await engine(), await obeyed, run, ctx);
    },
  };
}

function incomplete(reference: string): string {
  return `Packages for it were installed and did not help: use another image with --builder, or libraries from source, than ${reference}.`;
}

/** Same plan, same bytes: a builder that has changed since the plan was made is refused. */
function requireSame(planned: Builder, found: Builder): void {
  if (canonicalJson(planned) === canonicalJson(found)) return;
  const show = (builder: Builder): string =>
    [
      builder.compiler ?? 'no compiler',
      ...(builder.engine === 'container'
        ? [`file system ${builder.image.rootfs.slice(0, 16)}`, `packages ${builder.image.packages.slice(0, 16)}`]
        : []),
    ].join(', ');
  throw new MakeRuntimeError('BUILDER_CHANGED', 'The builder image is not the one the plan was made with.', {
    remedy: 'Plan again, or bring back the image; packages of a distribution change unless its snapshot is pinned.',
    detail: `planned: ${show(planned)}\nfound:   ${show(found)}`,
  });
}

function unpinned(): MakeRuntimeError {
  return new MakeRuntimeError('BUILDER_UNPINNED', `The lock file does not pin the builder image ${defaultBuilder}.`, {
    remedy:
      'Pin it with `make-runtime lock --builder` (needs the registry), or name an image yourself: --builder <image>.',
  });
}
