// A context with a cache of its own, thrown away after the test file.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Context } from '../../../build/lib/context.ts';
import type { ReportEvent } from '../../../build/lib/report.ts';

export interface TestContext extends Context, AsyncDisposable {
  readonly events: ReportEvent[];
}

export async function testContext(more: Partial<Context> = {}): Promise<TestContext> {
  const cacheDir = await mkdtemp(join(tmpdir(), 'cache-'));
  const events: ReportEvent[] = [];
  return {
    report: (event) => events.push(event),
    signal: new AbortController().signal,
    cacheDir,
    packageDir: '/nowhere',
    env: { PATH: process.env.PATH },
    offline: false,
    events,
    ...more,
    [Symbol.asyncDispose]: () => rm(cacheDir, { recursive: true, force: true }),
  };
}
