// CPython's source -> an interpreter of that version that runs on the builder, for builds whose result does not:
// it freezes modules, compiles bytecode and knows the build's own tools. Small and quick, because nothing of it is
// shipped; one serves every flavour and profile of a version.
import { join } from 'node:path';
import type { Context } from '../lib/context.ts';
import { shortDigest } from '../recipe/canonical.ts';
import type { Plan } from '../recipe/model.ts';
import { runProgram } from './compile.ts';
import { contentOnce } from './content.ts';
import type { Engine } from './engine.ts';
import { pinnedEnvironment, step } from './script.ts';

/**
 * The program, for any engine. It expects SOURCE, WORK, OUT and JOBS and leaves OUT/python, a tree that can be moved.
 * No C library of the builder's is asked for: what the build runs needs none, and its headers may not be there.
 */
export function buildPythonScript(plan: Plan): string {
  return `${[
    [
      '#!/bin/sh',
      `# CPython ${plan.python.version} for the builder itself; generated from the plan, do not edit.`,
      'set -eu',
      ...pinnedEnvironment(plan.epoch),
    ].join('\n'),
    step('unpack', [
      'mkdir -p "$WORK/src" "$WORK/build" "$OUT/python"',
      'tar -xf "$SOURCE" -C "$WORK/src" --strip-components=1',
      'ln -s "$OUT/python" "$WORK/python"',
    ]),
    step('configure', [
      'cd "$WORK/build"',
      '../src/configure -q --prefix=/python --disable-shared --disable-test-modules --without-ensurepip OPT="-DNDEBUG -O1"',
    ]),
    step('compile', ['make -j"$JOBS"']),
    step('install', [
      '# Without its own bytecode, which would be three quarters of the work of installing.',
      'make install DESTDIR=../destination PYTHON_FOR_BUILD=: > /dev/null',
      'cp -R ../destination/python/bin ../destination/python/lib "$OUT/python/"',
    ]),
  ].join('\n\n')}\n`;
}

/**
 * Compiles it once per version and builder.
 * @returns its folder, with bin/ and lib/ in it
 * @throws COMPILER_MISSING, COMPILE_FAILED, DISK_FULL, CANCELLED
 */
export async function compileBuildPython(
  plan: Plan,
  source: string,
  ctx: Context,
  engine: Engine,
): Promise<{ readonly path: string; readonly cached: boolean }> {
  const program = buildPythonScript(plan);
  // The builder's C library is what it is linked with, so it is part of the key by the system's name.
  const { system, engine: place } = plan.builder;
  const image = plan.builder.engine === 'container' ? plan.builder.image.rootfs : null;
  const key = shortDigest([program, plan.source.sha256, system, place, image, plan.builder.cross?.from ?? null]);
  const folder = join(ctx.cacheDir, 'build-python', key);
  const { cached } = await contentOnce(folder, ctx, async (scratch) => {
    await engine.require(plan);
    await runProgram(
      {
        what: `Compiling CPython ${plan.python.version} for the builder`,
        stage: 'build-python',
        program,
        inputs: { SOURCE: source },
        scratch,
        keep: ['python'],
        log: join(ctx.cacheDir, 'logs', `build-python-${plan.python.version}-${key}.log`),
      },
      plan,
      engine,
      ctx,
    );
  });
  return { path: join(folder, 'python'), cached };
}
