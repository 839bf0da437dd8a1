// The program as a user runs it: what it prints where, and the exit status of everything that can go wrong early.
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bootstrapDigest } from '../../build/compile/link.ts';
import { exitStatus } from '../../build/lib/errors.ts';
import { plan as makePlan } from '../../build/recipe/plan.ts';
import { lock, shipped } from '../recipe/support/plans.ts';

const root = join(import.meta.dirname, '..', '..');
let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'make-runtime-cli-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const run = (args: string[], options: { env?: Record<string, string>; input?: string } = {}) =>
  execa(process.execPath, [join(root, 'dist/cli.js'), ...args], {
    cwd: dir,
    reject: false,
    input: options.input ?? '',
    env: { MAKE_RUNTIME_CACHE: join(dir, 'cache'), CI: '1', ...options.env },
  });

describe('help and usage', () => {
  test('--help teaches and goes to stdout', async () => {
    const { stdout, stderr, exitCode } = await run(['--help']);
    expect(exitCode).toBe(0);
    expect(stderr).toBe('');
    for (const word of [
      'list',
      'plan',
      'build',
      'verify',
      'inspect',
      'invoke',
      'doctor',
      'Examples:',
      'MAKE_RUNTIME_CACHE',
    ])
      expect(stdout).toContain(word);
  });

  test('--version is the package version', async () => {
    const { version } = await import('../../package.json', { with: { type: 'json' } }).then((module) => module.default);
    expect((await run(['--version'])).stdout).toBe(version);
  });

  test.each([
    [['biuld', '3.13'], 'Did you mean build?'],
    [['build', '3.13', '--arc', 'arm64'], 'Did you mean --arch?'],
    [['plan'], "missing required argument 'recipe'"],
    [['build'], 'Which recipe?'],
    [['bake'], 'Which recipe?'],
    [['plan', '3.13', '--arch', 'mips'], 'Allowed choices are x86_64, arm64'],
    [['invoke', 'x.zip', '--code', '.'], "required option '--handler"],
    [['invoke', 'x.zip', '--code', '.', '--handler', 'a.b', '--timeout', 'soon'], 'is not a positive number'],
  ])('%j is wrong usage', async (args, message) => {
    const { stdout, stderr, exitCode } = await run(args);
    expect(exitCode).toBe(exitStatus.USAGE);
    expect(stdout).toBe('');
    expect(stderr).toContain(message);
  });

  test.each(['bash', 'zsh', 'fish', 'powershell'])('completion for %s', async (shell) => {
    const { stdout, exitCode } = await run(['complete', shell]);
    expect(exitCode).toBe(0);
    expect(stdout).toContain('make-runtime');
    if (shell === 'bash') await execa('bash', ['-n'], { input: stdout });
  });

  test('completion knows commands and choices', async () => {
    expect((await run(['complete', '--', 'in'])).stdout).toMatch(/^inspect\b.*\ninvoke\b/m);
    expect((await run(['complete', '--', 'plan', '3.13', '--arch', ''])).stdout).toContain('arm64');
  });
});

describe('list and plan', () => {
  test('list --json', async () => {
    const { stdout } = await run(['list', '--json']);
    const rows = JSON.parse(stdout);
    expect(rows.map(({ name }: { name: string }) => name)).toEqual(['3.10', '3.11', '3.12', '3.13', '3.14', '3.15']);
    expect(rows[3]).toMatchObject({ flavors: ['default', 'free-threaded', 'jit'], endOfLife: '2029-10-31' });
  });

  test('3.13t and python3.13t are the same plan, and printing it changes nothing', async () => {
    const [short, long] = await Promise.all([run(['plan', '3.13t', '--json']), run(['plan', 'python3.13t', '--json'])]);
    expect(long.stdout).toBe(short.stdout);
    const plan = JSON.parse(short.stdout);
    expect(plan).toMatchObject({ flavor: 'free-threaded', python: { executable: 'python3.13t', minor: '3.13' } });
    expect(plan.id).toMatch(/^[0-9a-f]{16}$/);
    expect(plan.configure.every(({ reason }: { reason: string }) => reason.length > 10)).toBe(true);
  });

  test('a plan for people has hashes, reasons and no colours in a pipe', async () => {
    const { stdout } = await run(['plan', '3.13', '--python', '3.13.5']);
    expect(stdout).toContain('93e583f243454e6e9e4588ca2c2662206ad961659863277afcdb96801647d640');
    expect(stdout).toContain('--disable-shared');
    expect(stdout).not.toContain('\x1b');
  });
});

test('doctor says what the machine can do, and how to close each gap', async () => {
  const { stdout } = await run(['doctor', '--json']);
  const findings: { topic: string; state: string; message: string; fix?: string }[] = JSON.parse(stdout);
  const topics = findings.map(({ topic }) => topic);
  for (const topic of [
    'node',
    'system',
    'compiler',
    'libraries',
    'cache',
    'sandbox',
    'engine',
    'jit 3.13',
    'jit 3.14',
    'jit 3.15',
  ])
    expect(topics).toContain(topic);
  for (const { state, message, fix } of findings) {
    expect(message).not.toBe('');
    if (state === 'missing') expect(fix).toMatch(/\S/);
  }
});

test("the JIT's tools: doctor and plan say what this machine lacks, and the plan is made all the same", async () => {
  // A machine with nothing but the shell and Node.
  const bin = await mkdtemp(join(dir, 'bin-'));
  await symlink(process.execPath, join(bin, 'node'));
  const env = { PATH: bin };
  const doctor = await run(['doctor', '--json'], { env });
  const findings: { topic: string; message: string; fix?: string }[] = JSON.parse(doctor.stdout);
  expect(findings.find(({ topic }) => topic === 'jit 3.14')).toMatchObject({
    state: 'optional',
    message: 'not found: LLVM 19 (there is no clang, there is no llvm-readobj) and Python 3.11 or newer',
    fix: expect.stringContaining('dnf install clang19 llvm19 python3.12 (Amazon Linux 2023)'),
  });
  const { stdout, stderr, exitCode } = await run(['plan', '3.15', '--flavor', 'jit', '--engine', 'host'], { env });
  expect(exitCode).toBe(0);
  expect(stderr).toMatch(/needs LLVM 21 \(there is no clang, .* not found on this machine/);
  expect(stderr).toContain('https://apt.llvm.org');
  expect(stdout.replaceAll(/\s+/g, ' ')).toMatch(/LLVM 21 .*apt-get install clang-21 llvm-21 \(Debian 12 and 13 with/);
  expect((await run(['plan', '3.15', '--engine', 'host'], { env })).stderr).not.toContain('LLVM');
});

test('a recipe of your own, as the README shows it', async () => {
  const readme = await readFile(join(root, 'README.md'), 'utf8');
  await writeFile(join(dir, 'mine.toml'), /```toml\n([\s\S]*?)```/.exec(readme)?.[1] as string);
  const plan = JSON.parse((await run(['plan', './mine.toml', '--json'])).stdout);
  expect(plan.name).toMatch(/^mine-python3\.13-/);
  expect(plan.prune.map(({ id }: { id: string }) => id)).toContain('mail');
  expect(plan.prune.map(({ id }: { id: string }) => id)).not.toContain('headers');
});

describe('bad input', () => {
  const fails = async (code: keyof typeof exitStatus, args: string[], env: Record<string, string> = {}) => {
    const { stderr, stdout, exitCode } = await run(args, { env });
    expect(stderr).toContain(`[${code}]`);
    expect(stderr).toMatch(/^error \S.*\.\s+\[/m);
    expect(stderr).toMatch(/^try {3}\S/m);
    expect(exitCode).toBe(exitStatus[code]);
    expect(stdout).toBe('');
    return stderr;
  };

  test('unknown recipe', async () => {
    expect(await fails('RECIPE_UNKNOWN', ['build', '3.31'])).toMatch(/Did you mean "3\.1\d"\? Known recipes: 3\.10, /);
  });

  test('flavour the version does not have', async () => {
    expect(await fails('FLAVOR_UNAVAILABLE', ['plan', '3.12t'])).toContain('3.13, 3.14, 3.15');
  });

  test('JIT with free-threading', () => fails('FLAVOR_CONFLICT', ['plan', '3.13t', '--flavor', 'jit']));

  test('a release that is not pinned', async () => {
    expect(await fails('PYTHON_NOT_PINNED', ['plan', '3.13', '--python', '3.13.1'])).toContain('3.13.5');
  });

  test('an engine there is none of', () => fails('ENGINE_UNKNOWN', ['plan', '3.13', '--engine', 'dokcer']));

  test('a stored profile that is none', () =>
    fails('PROFILE_DATA_INVALID', ['plan', '3.13', '--profile', 'release', '--profile-data', 'package.json']));

  test('another architecture than this machine, without its compiler, before anything is downloaded', async () => {
    const bin = join(dir, 'bin-without-cross');
    await mkdir(bin);
    for (const name of ['node', 'sh', 'cat', 'tar', 'xz', 'cc', 'make', 'ar', 'ld', 'objcopy'])
      await symlink((await execa('sh', ['-c', `command -v ${name}`])).stdout, join(bin, name));
    const arch = process.arch === 'arm64' ? 'x86_64' : 'arm64';
    const said = await fails('COMPILER_MISSING', ['build', '3.13', '--arch', arch, '--engine', 'host', '--offline'], {
      PATH: bin,
    });
    expect(said).toContain(`${arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu-gcc`);
  });

  test('malformed TOML, with the place', async () => {
    await writeFile(join(dir, 'broken.toml'), 'extends = "3.13"\npython = = "3.13"\n');
    expect(await fails('RECIPE_SYNTAX', ['plan', 'broken.toml'])).toContain('broken.toml:2');
  });

  test('unknown key, with file, line and what would be valid', async () => {
    await writeFile(join(dir, 'typo.toml'), 'extends = "3.13"\n\nkepe = ["headers"]\n');
    const message = await fails('RECIPE_INVALID', ['plan', 'typo.toml']);
    expect(message).toContain('typo.toml:3');
    expect(message).toContain('keep');
  });

  test('a recipe file that is not there', () => fails('RECIPE_UNKNOWN', ['plan', 'no-such.toml']));

  test('offline with an empty cache', async () => {
    const message = await fails('SOURCE_UNREACHABLE', ['build', '3.12', '--offline']);
    expect(message).toContain('Python-3.12');
  });

  test('artifacts that are none', async () => {
    await fails('ARTIFACT_NOT_FOUND', ['verify', 'missing.zip']);
    await writeFile(join(dir, 'text.zip'), 'not a zip');
    await fails('ARTIFACT_NOT_A_LAYER', ['verify', 'text.zip']);
    await fails('ARTIFACT_NOT_A_LAYER', ['inspect', 'text.zip']);
    await fails('ARTIFACT_NOT_A_LAYER', ['invoke', 'text.zip', '--code', '.', '--handler', 'a.b']);
  });

  test('an event that is not JSON, with the place', async () => {
    const message = await fails('EVENT_NOT_JSON', [
      'invoke',
      'x.zip',
      '--code',
      '.',
      '--handler',
      'a.b',
      '--event',
      '{"a": }',
    ]);
    expect(message).toContain('column 7');
  });

  test('an environment variable without a value', () =>
    fails('USAGE', ['invoke', 'x.zip', '--code', '.', '--handler', 'a.b', '--env', 'STAGE']));

  test('errors as JSON', async () => {
    const { stderr, exitCode } = await run(['plan', '3.31', '--json']);
    expect(exitCode).toBe(exitStatus.RECIPE_UNKNOWN);
    expect(JSON.parse(stderr)).toMatchObject({ type: 'error', code: 'RECIPE_UNKNOWN', remedy: expect.any(String) });
  });
});

describe('several at once, and elsewhere', () => {
  test('build says what it wants', async () => {
    for (const args of [['build'], ['build', '3.13', '--all']]) {
      const { exitCode, stderr } = await run(args);
      expect(exitCode).toBe(exitStatus.USAGE);
      expect(stderr).toContain('--all');
    }
  });

  test('failures are summed up, and the status is theirs when they agree', async () => {
    const args = ['--offline', 'build', '3.12', '3.14', '--engine', 'host'];
    const { exitCode, stdout, stderr } = await run(args);
    expect(exitCode).toBe(exitStatus.SOURCE_UNREACHABLE);
    expect(stdout).toBe('');
    expect(stderr).toMatch(/✗ python3\.12-\S+ +\S+ s +SOURCE_UNREACHABLE/);
    expect(stderr).toMatch(/✗ python3\.14-\S+ +\S+ s +SOURCE_UNREACHABLE/);
    expect(stderr).toContain('2 of 2 builds failed');
    const json = await run(['--json', ...args]);
    expect(JSON.parse(json.stdout)).toMatchObject([
      { ok: false, code: 'SOURCE_UNREACHABLE' },
      { ok: false, code: 'SOURCE_UNREACHABLE' },
    ]);
  });

  test('a plan file decides everything, and an edited one is refused', async () => {
    const { stdout } = await run(['--json', 'plan', '3.13', '--engine', 'host']);
    const path = join(dir, 'plan.json');
    await writeFile(path, stdout);
    expect((await run(['--json', 'plan', path, '--arch', 'arm64'])).stdout).toBe(stdout);
    await writeFile(path, stdout.replace('"fast"', '"slow"'));
    expect(await run(['plan', path])).toMatchObject({ exitCode: exitStatus.PLAN_INVALID });
    await writeFile(path, '[]');
    expect(await run(['build', path])).toMatchObject({ exitCode: exitStatus.PLAN_INVALID });
  });

  test('bake needs a container plan, and does not write over what is not its own', async () => {
    const { stdout } = await run(['--json', 'plan', '3.13', '--engine', 'host']);
    const path = join(dir, 'plan.json');
    await writeFile(path, stdout);
    const refused = await run(['bake', path, '--output', join(dir, 'bake')]);
    expect(refused).toMatchObject({ exitCode: exitStatus.USAGE });
    expect(refused.stderr).toContain('host engine');

    const image = { reference: 'debian:12', rootfs: '1'.repeat(64), packages: '2'.repeat(64) };
    const builder = { engine: 'container', image, system: 'Debian', compiler: 'cc', packages: {} } as const;
    const made = makePlan(
      await shipped('3.13'),
      { flavor: 'default', arch: 'x86_64', profile: 'fast' },
      await lock(),
      builder,
      await bootstrapDigest(root),
    );
    await writeFile(path, JSON.stringify(made));
    const mine = join(dir, 'mine');
    await mkdir(mine);
    await writeFile(join(mine, 'thesis.tex'), 'years of work');
    const spared = await run(['bake', path, '--output', mine]);
    expect(spared).toMatchObject({ exitCode: exitStatus.USAGE });
    expect(await readFile(join(mine, 'thesis.tex'), 'utf8')).toBe('years of work');
  });

  test('no engine', async () => {
    const { exitCode, stderr } = await run(['build', '3.13', '--engine', 'finch', '--builder', 'debian:12']);
    expect(exitCode).toBe(exitStatus.ENGINE_UNAVAILABLE);
    expect(stderr).toContain('--engine host');
    const unpinned = await run(['plan', '3.13', '--engine', 'finch']);
    expect(unpinned.exitCode).toBe(exitStatus.BUILDER_UNPINNED);
  });
});
