// The layers of ours in an image: the runtime, and pip on top of it, so that an image without pip shares the first.
import { join } from 'node:path';
import type { Context } from '../lib/context.ts';
import { unpackLayer } from '../package/unpack.ts';
import type { Plan } from '../recipe/model.ts';
import { digestFile } from '../source/cache.ts';
import { emptyTree, placeTree, type Tree } from '../tree/tree.ts';
import { bundledPip, installPip } from '../wheels/pip.ts';
import type { ImageLayer } from './image.ts';
import { emptyFolders, imagePrefix, runtimeTree } from './place.ts';

export interface RuntimeLayer {
  /** layer.zip. */
  readonly path: string;
  /** Its content. */
  readonly tree: Tree;
  readonly plan: Plan;
  /** Whether the image is one that packages can be installed in. */
  readonly pip: boolean;
}

export interface RuntimeLayers {
  readonly layers: readonly ImageLayer[];
  /** What the image has beside the layer, with paths below the prefix. */
  readonly added: Tree;
  /** sha256 of each wheel that was added, by the package's normalised name. */
  readonly pins: ReadonlyMap<string, { readonly sha256: string }>;
}

/** @throws what fetching CPython's source throws; DISK_FULL, CANCELLED */
export async function runtimeLayers({ path, tree, plan, pip }: RuntimeLayer, ctx: Context): Promise<RuntimeLayers> {
  const about = `Python ${plan.python.version} (${plan.flavor}) and the Lambda runtime`;
  const runtime: ImageLayer = { about, tree: runtimeTree(tree, plan.python), folders: emptyFolders };
  if (!pip) return { layers: [runtime], added: emptyTree, pins: new Map() };
  const interpreter = await runnable(path, tree, plan, ctx);
  const bundled = await bundledPip(plan, ctx);
  const installed = await installPip(bundled, plan, interpreter, ctx);
  const { sha256 } = await digestFile(bundled.wheel, ctx.signal);
  return {
    layers: [runtime, { about: `pip ${installed.version}`, tree: placeTree(installed.tree, imagePrefix) }],
    added: installed.tree,
    pins: new Map([['pip', { sha256 }]]),
  };
}

/** The layer's interpreter as a path that can be executed here, where the processor is the right one. */
async function runnable(path: string, tree: Tree, plan: Plan, ctx: Context): Promise<string | undefined> {
  const native = process.arch === 'arm64' ? 'arm64' : process.arch === 'x64' ? 'x86_64' : undefined;
  if (process.platform !== 'linux' || native !== plan.arch) {
    ctx.report({ type: 'note', message: `pip comes without bytecode: this machine cannot run ${plan.arch}.` });
    return undefined;
  }
  return join(await unpackLayer(path, tree, ctx), 'lang', 'bin', plan.python.executable);
}
