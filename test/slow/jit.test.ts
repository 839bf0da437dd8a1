// The JIT flavour for real: 3.13 with LLVM 18 in a container of Debian 13, and what the layer does with PYTHON_JIT, seen
// from the kernel's side too: machine code made at run time is executable memory that belongs to no file.
// MAKE_RUNTIME_TEST_CACHE as in build.test.ts.
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, expect } from 'vitest';
import type { Measured } from '../../build/bench/result.ts';
import { exitStatus } from '../../build/lib/errors.ts';
import type { Plan } from '../../build/recipe/model.ts';
import type { Inspection } from '../../build/verify/inspect.ts';
import type { Verdict } from '../../build/verify/verdict.ts';
import { thorough, thoroughTest } from '../support/thorough.ts';
import { debianImage, type Engines, leftover, startEngines } from './engines/engines.ts';

const root = join(import.meta.dirname, '..', '..');
const image = 'make-runtime-test/trixie:minimal';
let dir: string;
let engines: Engines;
let layer: string | undefined;

const run = (args: string[], env: Record<string, string> = {}) =>
  execa(process.execPath, [join(root, 'dist/cli.js'), ...args], {
    cwd: dir,
    reject: false,
    input: '',
    env: {
      MAKE_RUNTIME_CACHE: process.env['MAKE_RUNTIME_TEST_CACHE'] ?? join(dir, 'cache'),
      CI: '1',
      ...engines.env,
      ...env,
    },
  });
const good = (result: Awaited<ReturnType<typeof run>>): string => {
  if (result.exitCode !== 0)
    throw new Error(`${result.escapedCommand} ended with ${result.exitCode}:\n${result.stderr}`);
  return String(result.stdout).trim();
};
const inContainer = (): string[] => ['--engine', engines.names[0] as string, '--builder', image];

beforeAll(async () => {
  if (!thorough) return;
  dir = await mkdtemp(join(tmpdir(), 'make-runtime-jit-'));
  await chmod(dir, 0o755);
  engines = await startEngines(dir);
  for (const refusal of engines.refusals) console.warn(`not tested: ${refusal}`);
  if (engines.names.length > 0) await debianImage(dir, 'trixie', image, engines);
});
afterAll(async () => {
  await engines?.stop();
  if (thorough) await rm(dir, { recursive: true, force: true });
});

thoroughTest(
  'an image whose distribution has no LLVM 18 is refused, by what its own package manager says',
  async ({ skip }) => {
    skip(engines.names.length === 0, 'no container engine runs here');
    const old = 'make-runtime-test/bookworm:minimal';
    await debianImage(dir, 'bookworm', old, engines);
    const options = ['--flavor', 'jit', '--engine', engines.names[0] as string, '--builder', old];
    const { exitCode, stderr } = await run(['build', '3.13', ...options]);
    expect(exitCode).toBe(exitStatus.LLVM_MISSING);
    expect(stderr).toContain(`LLVM 18, not found among the packages of the builder image ${old}`);
    expect(stderr).toContain('apt-get install clang-18 llvm-18 (Debian 13)');
  },
);

thoroughTest('3.13 is built with LLVM 18, and verify proves that PYTHON_JIT=1 turns it on', async ({ skip }) => {
  skip(engines.names.length === 0, 'no container engine runs here');
  const args = ['build', '3.13', '--flavor', 'jit', '--output', join(dir, 'out'), ...inContainer()];
  let result = await run(args);
  if (result.exitCode === exitStatus.SOURCE_OLDER_AVAILABLE) {
    const older = /--python (\S+)/.exec(String(result.stderr))?.[1] as string;
    result = await run([...args, '--python', older]);
  }
  layer = good(result);
  expect(await leftover(engines.names[0] as string, engines)).toEqual([]);
  const plan: Plan = JSON.parse(await readFile(join(layer, '..', 'plan.json'), 'utf8'));
  expect(plan).toMatchObject({ flavor: 'jit', builder: { engine: 'container', image: { reference: image } } });
  const verdict: Verdict = JSON.parse(good(await run(['verify', layer, '--json'])));
  expect(verdict.findings.filter(({ check }) => check === 'run.jit')).toEqual([
    { check: 'run.jit', level: 'pass', message: 'The JIT is off, and on with PYTHON_JIT=1.' },
  ]);
  expect(verdict.ok).toBe(true);
});

thoroughTest('nothing of it needs a newer glibc than Lambda has, or LLVM, says readelf', async ({ skip }) => {
  skip(layer === undefined, 'no layer was built');
  const folder = join(dir, 'unzipped');
  await execa('unzip', ['-q', layer as string, '-d', folder]);
  const program = join(folder, 'lang/bin/python3.13');
  const { stdout: versions } = await execa('readelf', ['-W', '--version-info', program]);
  const needed = [...versions.matchAll(/GLIBC_2\.(\d+)/g)].map(([, minor]) => Number(minor));
  expect(needed.length).toBeGreaterThan(5);
  expect(needed.filter((minor) => minor > 34)).toEqual([]);
  const { stdout: dynamic } = await execa('readelf', ['-W', '--dynamic', program]);
  expect(dynamic).not.toMatch(/NEEDED.*(LLVM|clang|stdc)/);
});

thoroughTest('inspect says it', async ({ skip }) => {
  skip(layer === undefined, 'no layer was built');
  const found: Inspection = JSON.parse(good(await run(['inspect', layer as string, '--json'])));
  expect(found.jit).toEqual({ built: true, byDefault: false, asked: true });
  expect(good(await run(['inspect', layer as string]))).toMatch(/^ {2}JIT +off; on with PYTHON_JIT=1$/m);
});

thoroughTest.each([
  ['off', undefined, false],
  ['off', '0', false],
  ['on', '1', true],
])('in a function the JIT is %s with PYTHON_JIT=%s', async (_, value, expected) => {
  if (layer === undefined) return;
  const code = join(dir, 'function');
  await mkdir(code, { recursive: true });
  await writeFile(
    join(code, 'app.py'),
    `import _opcode


def hot(limit):
    total = 0
    for number in range(limit):
        total += number
    return total


def machine_code():
    for offset in range(0, len(hot.__code__.co_code), 2):
        try:
            executor = _opcode.get_executor(code=hot.__code__, offset=offset)
        except ValueError:
            continue
        if executor is not None:
            return len(executor.get_jit_code())
    return 0


def handler(event, context):
    total = hot(200000)
    with open('/proc/self/maps') as maps:
        # address permissions offset device inode [path]
        unnamed = [line for line in maps if len(line.split()) == 5 and 'x' in line.split()[1]]
    return {
        'total': total,
        'code': machine_code(),
        'maps': len(unnamed),
        'writable': sum('w' in line.split()[1] for line in unnamed),
    }
`,
  );
  const variables = value === undefined ? [] : ['--env', `PYTHON_JIT=${value}`];
  const args = ['invoke', layer, '--code', code, '--handler', 'app.handler', '--event', '{}', ...variables];
  const answer = JSON.parse(good(await run([...args, '--timeout', '20'])));
  // Never writable and executable at once, which a hardened kernel would refuse.
  expect(answer).toMatchObject({ total: 19999900000, writable: 0 });
  expect([answer.code > 0, answer.maps > 0]).toEqual([expected, expected]);
});

thoroughTest('the benchmark has both on the same layer', async ({ skip }) => {
  skip(layer === undefined, 'no layer was built');
  const result = await run(['bench', layer as string, '--only', 'jit', '--runs', '1', '--json']);
  const { scenarios } = JSON.parse(good(result)) as { scenarios: Measured[] };
  expect(scenarios.map(({ scenario }) => scenario)).toEqual(['jit']);
  const [{ subjects, goals }] = scenarios as [Measured];
  expect(subjects).toHaveLength(8);
  for (const { name, samples } of subjects) {
    expect(name).toMatch(/^(primes|floats|objects|text), PYTHON_JIT=[01]$/);
    for (const [figure, values] of Object.entries(samples))
      for (const sample of values) expect(sample, `${name} ${figure}`).toBeGreaterThan(0);
  }
  // Machine code takes room of its own.
  const memory = goals.find(({ what }) => what === 'anonymous, on / off');
  expect(memory?.measured).toBeGreaterThan(1);
});
