// `make-runtime lock`: the pins of every source, kept in order and checked against their mirrors.
import { readFile } from 'node:fs/promises';
import { defaultBuilder } from '../compile/container-engine.ts';
import { recipeNames } from '../recipe/load.ts';
import { addPin, checkLock, lockError, lockPath, pinBuilder, readLock, verifyPins, writeLock } from '../source/lock.ts';
import type { Edge } from './edge.ts';

export interface LockOptions {
  readonly check?: boolean;
  /** CPython versions to pin. */
  readonly add: readonly string[];
  readonly mirror: readonly string[];
  /** Pin the builder image: true for the default one, or a reference. */
  readonly builder?: string | true;
}

export async function lock(options: LockOptions, edge: Edge): Promise<void> {
  const { ctx } = edge;
  if (!options.check) {
    let pins = await readLock(ctx.packageDir);
    for (const version of options.add) pins = await addPin(pins, version, ctx, options.mirror);
    if (options.builder)
      pins = await pinBuilder(pins, options.builder === true ? defaultBuilder : options.builder, ctx);
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
