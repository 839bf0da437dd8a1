// Source tarball -> install tree and the parts an executable is linked from. Runs the plan's script once per distinct
// script, source and builder; everything after it (bootstrap, prune rules, packaging) can change without compiling.
import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Context } from '../lib/context.ts';
import { shortDigest } from '../recipe/canonical.ts';
import { prefix } from '../recipe/cpython.ts';
import type { Plan } from '../recipe/model.ts';
import { contentOnce } from './content.ts';
import { diagnose } from './diagnose.ts';
import { type Engine, hostEngine, jobs } from './engine.ts';
import { compileScript, scriptSteps } from './script.ts';

export interface Build {
  readonly key: string;
  /** The installed tree: bin/, lib/, include/, share/ */
  readonly prefix: string;
  /** libpython, static archives, headers, licences: what link.ts needs. */
  readonly embed: string;
  readonly log: string;
  readonly cached: boolean;
}

/** What the compiled result depends on, and nothing else. */
export function compileKey(plan: Plan): string {
  return shortDigest([compileScript(plan), plan.source.sha256, plan.builder]);
}

/**
 * @param source path of the verified tarball
 * @throws COMPILER_MISSING, HEADER_MISSING, COMPILE_FAILED, DISK_FULL, CANCELLED
 */
export async function compile(
  plan: Plan,
  source: string,
  ctx: Context,
  engine: Engine = hostEngine(ctx),
): Promise<Build> {
  const key = compileKey(plan);
  const folder = join(ctx.cacheDir, 'compile', key);
  const log = join(ctx.cacheDir, 'logs', `${plan.name}-${key}.log`);
  const { cached } = await contentOnce(folder, ctx, async (scratch) => {
    await engine.require(plan);
    const work = join(scratch, 'work');
    const out = join(scratch, 'out');
    await mkdir(work);
    await mkdir(out);
    let step: string | undefined;
    let units = 0;
    const tail: string[] = [];
    const status = await engine.run({
      program: compileScript(plan),
      folders: { SOURCE: { path: source }, WORK: { path: work, writable: true }, OUT: { path: out, writable: true } },
      environment: { JOBS: ctx.env['MAKE_RUNTIME_JOBS'] ?? String(jobs()) },
      log,
      signal: ctx.signal,
      onLine: (line) => {
        tail.push(line);
        if (tail.length > 60) tail.shift();
        if (line.startsWith('::step ')) {
          step = line.slice('::step '.length);
          units = 0;
          ctx.report({ type: 'progress', stage: 'compile', text: scriptSteps[step] ?? step });
        } else if (/ -c /.test(line)) {
          units += 1;
          ctx.report({ type: 'progress', stage: 'compile', text: `${scriptSteps[step ?? '']}: ${units} files` });
        }
      },
    });
    if (status !== 0) {
      throw diagnose(
        { what: `Compiling CPython ${plan.python.version}`, tail, step, log, status, fallback: 'COMPILE_FAILED' },
        plan.libraries,
      );
    }
    // The scratch tree (source and objects) is ten times the result; only the result is kept.
    await rm(work, { recursive: true });
    for (const part of ['root', 'embed']) await rename(join(out, part), join(scratch, part));
    await rm(out, { recursive: true });
  });
  return { key, prefix: join(folder, 'root', prefix), embed: join(folder, 'embed'), log, cached };
}
