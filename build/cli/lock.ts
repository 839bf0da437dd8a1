// `make-runtime lock`: the pins of every source, kept in order and checked against their mirrors.
import { readFile } from 'node:fs/promises';
import { defaultBuilder } from '../compile/container-engine.ts';
import { MakeRuntimeError } from '../lib/errors.ts';
import { recipeNames } from '../recipe/load.ts';
import { builderPin } from '../registry/pin.ts';
import {
  addPin,
  checkLock,
  lockError,
  lockPath,
  readLock,
  verifyPins,
  withBuilder,
  writeLock,
} from '../source/lock.ts';
import type { Edge } from './edge.ts';

export interface LockOptions {
  readonly check?: boolean;
  /** CPython versions to pin. */
  readonly add: readonly string[];
  readonly mirror: readonly string[];
  /** Pin the builder image: true for the default one, or a reference. */
  readonly builder?: string | true;
  readonly upgrade?: boolean;
  readonly write?: boolean;
  readonly upstream?: string;
  readonly trustedRoot?: string;
}

export async function lock(options: LockOptions, edge: Edge): Promise<void> {
  const { ctx } = edge;
  refuseNonsense(options);
  if (options.upgrade) {
    await (await import('./lock-upgrade.ts')).upgrade(options, edge);
    return;
  }
  if (!options.check) {
    let pins = await readLock(ctx.packageDir);
    for (const version of options.add) pins = await addPin(pins, version, ctx, options.mirror);
    if (options.builder)
      pins = withBuilder(pins, await builderPin(options.builder === true ? defaultBuilder : options.builder, ctx));
    await writeLock(ctx.packageDir, pins);
    edge.print(edge.json ? JSON.stringify(pins) : `${lockPath(ctx.packageDir)}: ${pins.sources.length} pins`);
    return;
  }
  const problems = checkLock(await readFile(lockPath(ctx.packageDir), 'utf8'), await recipeNames(ctx.packageDir));
  const checks = await verifyPins(await readLock(ctx.packageDir), ctx);
  if (edge.json) edge.print(JSON.stringify({ problems, pins: checks }));
  else {
    const marks = { verified: '✓', unreachable: '·', wrong: '✗' } as const;
    edge.print(
      checks
        .map(({ source, state }) => `${marks[state]} ${source.name} ${source.version.padEnd(10)} ${state}`)
        .join('\n'),
    );
  }
  const failure = lockError(problems, checks);
  if (failure) throw failure;
}

/** Options that contradict each other, or that would have no effect. */
function refuseNonsense({ check, add, upgrade, write, upstream, trustedRoot, mirror }: LockOptions): void {
  const refuse = (message: string, remedy: string): never => {
    throw new MakeRuntimeError('USAGE', message, { remedy });
  };
  if (!upgrade && (write || upstream !== undefined || trustedRoot !== undefined))
    refuse('--write, --upstream and --trusted-root belong to --upgrade.', 'Add --upgrade, or leave them out.');
  if (upgrade && (add.length > 0 || mirror.length > 0))
    refuse('--upgrade finds releases itself; --add and --mirror name one.', 'Run the two one after the other.');
  if (upgrade && check && write) refuse('--check writes nothing, --write does.', 'Leave one of them out.');
}
