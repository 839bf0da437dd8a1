// The benchmark as users run it, with so few runs that no figure means anything: every kind of figure is there, every
// entrant takes part, and what it writes can be read again. MAKE_RUNTIME_TEST_LAYERS as in judges/layer.ts.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Comparison } from '../../build/bench/compare.ts';
import { labelOf, type Measured, type Result } from '../../build/bench/result.ts';
import { exitStatus } from '../../build/lib/errors.ts';
import { debianImage, type Engines, startEngines } from './engines/engines.ts';
import { build, cli } from './judges/layer.ts';

let dir: string;
let layer: string;
let engines: Engines;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'make-runtime-bench-'));
  layer = process.env['MAKE_RUNTIME_TEST_LAYERS']?.split(':')[0] || (await build('3.13t', join(dir, 'out')));
  engines = await startEngines(dir);
});
afterAll(async () => {
  await engines?.stop();
  await rm(dir, { recursive: true, force: true });
});

const run = (args: string[], env: Record<string, string> = {}) =>
  execa(process.execPath, [cli, ...args], { cwd: dir, reject: false, env: { CI: '1', ...env } });

async function bench(args: string[], env: Record<string, string> = {}): Promise<Result> {
  const result = await run(['bench', layer, '--runs', '1', '--json', ...args], env);
  if (result.exitCode !== 0)
    throw new Error(`${result.escapedCommand} ended with ${result.exitCode}:\n${result.stderr}`);
  return JSON.parse(result.stdout) as Result;
}

function complete(scenarios: readonly Measured[]): void {
  for (const measured of scenarios) {
    const { runs, figures, subjects, goals } = measured;
    const name = labelOf(measured);
    expect(runs, name).toBe(1);
    for (const { name: subject, samples } of subjects) {
      expect(Object.keys(samples), `${name}: ${subject}`).not.toHaveLength(0);
      for (const [key, values] of Object.entries(samples)) {
        expect(figures.map((figure) => figure.key)).toContain(key);
        expect(values, `${name}: ${subject}: ${key}`).toEqual([expect.any(Number)]);
      }
    }
    for (const { what, measured: ratio } of goals) expect(ratio, `${name}: ${what}`).toEqual(expect.any(Number));
  }
}

const named = (result: Result, scenario: string): Measured =>
  result.scenarios.find((one) => one.scenario === scenario) as Measured;

test('every kind of figure, and the promises that do not depend on how busy the machine is', async () => {
  const only = [
    'init',
    'bytecode',
    'round-trip',
    'echo-text',
    'memory-fastapi',
    'throughput-trivial',
    'concurrent',
    'streaming',
    'counts-trivial',
  ];
  const out = join(dir, 'result.json');
  const page = join(dir, 'report.html');
  const result = await bench([...only.flatMap((name) => ['--only', name]), '--out', out, '--html', page]);
  complete(result.scenarios);
  expect(new Set(result.scenarios.map(({ group }) => group))).toEqual(
    new Set(['cold', 'warm', 'memory', 'throughput', 'special', 'counts']),
  );
  expect(result.runtimes.map(({ name }) => name)).toEqual(['make-runtime', expect.stringMatching(/^awslambdaric \d/)]);
  const goal = (scenario: string, what: RegExp): number =>
    named(result, scenario).goals.find((one) => what.test(one.what))?.measured as number;
  expect(goal('concurrent', /memory .* threads/)).toBeLessThan(1 / 9);
  expect(goal('concurrent', /memory .* processes/)).toBeLessThan(1 / 3);
  expect(goal('streaming', /grown/)).toBeLessThan(1);
  // Compiling boto3 takes longer than importing it.
  for (const kind of ['stale', 'none'])
    expect(goal('bytecode', new RegExp(`^processor, ${kind} `))).toBeGreaterThan(1.5);
  const counts = named(result, 'counts-trivial');
  if (counts.figures.some(({ key }) => key === 'calls'))
    expect(goal('counts-trivial', /^calls of a start/)).toBeLessThan(1);
  else expect(counts.left.join()).toContain('strace');

  // The same data, shown again and compared with itself.
  expect(JSON.parse(await readFile(out, 'utf8'))).toEqual(result);
  expect((await readFile(page, 'utf8')).match(/<svg /g)?.length).toBeGreaterThan(10);
  const shown = await run(['bench', '--from', out]);
  expect(shown.stdout).toContain('### Targets');
  const compared = await run(['bench', '--compare', out, out, '--json']);
  expect(compared.exitCode).toBe(0);
  const { changes } = JSON.parse(compared.stdout) as Comparison;
  expect(changes.length).toBeGreaterThan(10);
  expect(changes.filter(({ verdict }) => verdict === 'worse' || verdict === 'better')).toEqual([]);
  // Twice the system calls: the one kind of figure of which a single run is enough.
  const worse = structuredClone(result) as unknown as {
    scenarios: { figures: unknown; subjects: { samples: Record<string, number[]> }[] }[];
  };
  for (const { samples } of worse.scenarios.flatMap(({ subjects }) => subjects))
    if (samples['calls']) samples['calls'] = samples['calls'].map((value) => 2 * value);
  await writeFile(join(dir, 'worse.json'), JSON.stringify(worse));
  const regressed = await run(['bench', '--compare', out, join(dir, 'worse.json')]);
  expect(regressed.exitCode).toBe(counts.figures.some(({ key }) => key === 'calls') ? exitStatus.BENCH_REGRESSED : 0);
});

test('an image, a cold page cache and a share of a processor', async ({ skip }) => {
  skip(!engines.names.includes('podman'), engines.refusals.join('; '));
  const base = 'make-runtime-test/bookworm:minimal';
  await debianImage(dir, 'bookworm', base, { ...engines, names: ['podman'] });
  const podman = (args: string[]) => execa('podman', args, { env: engines.env });
  await podman(['save', '--format', 'oci-dir', '-o', join(dir, 'base'), base]);
  const made = await run([
    'image',
    layer,
    '--base',
    `layout:${join(dir, 'base')}`,
    '--without-pip',
    '--tar',
    '--name',
    'bench/test:1',
    '-o',
    join(dir, 'image'),
    '--json',
  ]);
  expect(made.stderr, made.stderr).toBe(made.exitCode === 0 ? made.stderr : '');
  await podman(['load', '-q', '-i', (JSON.parse(made.stdout) as { path: string }).path]);
  const args = ['--image', 'bench/test:1', '--engine', 'podman', '--only', 'init', '--only', 'echo-1k', '--cold'];
  const limited = await bench([...args, '--client', 'none', '--memory', '512'], engines.env).catch((error: Error) => {
    if (!error.message.includes('SANDBOX_UNAVAILABLE')) throw error;
    console.warn('not tested: control groups');
    return bench([...args, '--client', 'none'], engines.env);
  });
  complete(limited.scenarios);
  expect(limited.runtimes.map(({ kind, python }) => [kind, python])).toEqual([
    ['artifact', limited.runtimes[0]?.python],
    ['image', limited.runtimes[0]?.python],
  ]);
  for (const { subjects } of limited.scenarios) {
    const image = subjects.find(({ name }) => name === 'image test:1');
    expect(image?.evicted?.size).toBeGreaterThan(10);
    expect(image?.evicted?.left).toBeLessThan(1);
  }
  const { goals } = named(limited, 'init');
  expect(goals.map(({ what }) => what)).toContain('time / image test:1');
});

test('a benchmark that there is not, and a layer of somebody else', async () => {
  const unknown = await run(['bench', layer, '--only', 'round-tripp']);
  expect(unknown.exitCode).toBe(exitStatus.USAGE);
  expect(unknown.stderr).toContain('Did you mean round-trip?');
  await writeFile(join(dir, 'text.json'), '{}');
  expect((await run(['bench', '--from', join(dir, 'text.json')])).exitCode).toBe(exitStatus.BENCH_RESULT_INVALID);
  expect((await run(['bench', '--compare', join(dir, 'text.json')])).exitCode).toBe(exitStatus.USAGE);
});
