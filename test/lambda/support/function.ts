// A layer with the fixture bootstrap, and contexts, for the tests of this room.
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { FunctionSettings } from '../../../build/lambda/function-env.ts';
import type { Context } from '../../../build/lib/context.ts';
import type { ReportEvent } from '../../../build/lib/report.ts';

export const fixtures = join(dirname(fileURLToPath(import.meta.url)), '..', 'fixtures');

/** A temporary folder of its own per test file. */
export function scratch(name: string): string {
  return mkdtempSync(join(tmpdir(), `make-runtime-${name}-`));
}

export interface TestContext extends Context {
  readonly events: ReportEvent[];
  readonly abort: () => void;
}

export function testContext(folder: string): TestContext {
  const events: ReportEvent[] = [];
  const controller = new AbortController();
  return {
    report: (event) => events.push(event),
    events,
    signal: controller.signal,
    abort: () => controller.abort(),
    cacheDir: join(folder, 'cache'),
    packageDir: folder,
    env: {},
    offline: true,
  };
}

/** The machine's Python, and the folder to show in the sandbox when it is not below /usr. */
export function machinePython(): { command: string; visible: string[] } {
  const ask = (python: string): string[] =>
    execFileSync(python, ['-I', '-c', 'import sys; print(sys.executable); print(sys.base_prefix)'], {
      encoding: 'utf8',
    })
      .trim()
      .split('\n');
  for (const python of ['/usr/bin/python3', 'python3']) {
    try {
      const [command = '', prefix = ''] = ask(python);
      return { command, visible: prefix.startsWith('/usr') ? [] : [prefix] };
    } catch {}
  }
  throw new Error('These tests need a python3 (3.8 or newer): apt-get install python3');
}

/** An unpacked layer whose bootstrap is the fixture. */
export function fixtureLayer(folder: string, python: string): string {
  const layer = join(folder, 'layer');
  mkdirSync(join(layer, 'bin'), { recursive: true });
  const text = readFileSync(join(fixtures, 'bootstrap.py'), 'utf8');
  writeFileSync(join(layer, 'bootstrap'), `#!${python} -ISB\n${text}`);
  chmodSync(join(layer, 'bootstrap'), 0o755);
  writeFileSync(join(layer, 'bin', 'marker'), 'of the layer\n');
  chmodSync(layer, 0o755);
  return layer;
}

export function settings(handler: string, more: Partial<FunctionSettings> = {}): FunctionSettings {
  return {
    handler,
    functionName: 'tested',
    memoryMb: 128,
    timeoutSeconds: 3,
    region: 'eu-central-1',
    accountId: '123456789012',
    functionVersion: '$LATEST',
    env: {},
    ...more,
  };
}

export function remove(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
}
