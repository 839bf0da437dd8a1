// What a program sees, may do and leaves behind in the sandbox: asked from inside, for each kind that works here.
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { ExecutionEnvironment } from '../../build/lambda/environment.ts';
import { probeSandbox, Sandbox, type SandboxKind, type SandboxOptions } from '../../build/lambda/sandbox.ts';
import { fixtureLayer, fixtures, machinePython, remove, scratch, settings, testContext } from './support/function.ts';

const folder = scratch('sandbox');
const python = machinePython();
const layer = fixtureLayer(folder, python.command);
const open: { close(): Promise<void> }[] = [];

afterEach(async () => {
  for (const sandbox of open.splice(0)) await sandbox.close();
});
afterAll(() => remove(folder));

async function sandbox(options: Partial<SandboxOptions> = {}, context = testContext(folder)): Promise<Sandbox> {
  const made = await Sandbox.open(
    { layerDirs: [layer], codeDir: fixtures, visible: python.visible, ...options },
    context,
  );
  open.push(made);
  return made;
}

/** The world as the fixture's handler `app.world` sees it. */
async function world(kind: SandboxKind, asRoot: boolean, writes: readonly string[]): Promise<Record<string, unknown>> {
  const environment = await ExecutionEnvironment.create(
    {
      layerDirs: [layer],
      codeDir: fixtures,
      visible: python.visible,
      kinds: [kind],
      asRoot,
      settings: settings('app.world'),
    },
    testContext(folder),
  );
  try {
    const homes = [homedir(), '/root', folder];
    const result = await environment.invoke(Buffer.from(JSON.stringify({ homes, writes })));
    expect(result.statusKind).toBe('ok');
    return JSON.parse(result.payload.toString()) as Record<string, unknown>;
  } finally {
    await environment.shutdown();
  }
}

const hasBubblewrap = existsSync('/usr/bin/bwrap');
const ways: [SandboxKind, boolean][] = [['namespace', false]];
if (process.getuid?.() === 0) ways.push(['namespace', true]);
// Where it is not installed, nothing is promised about it either.
if (hasBubblewrap) ways.push(['bubblewrap', false]);

describe.each(ways)('%s, started by root: %s', (kind, asRoot) => {
  test("shows Lambda's paths to an unprivileged user and nothing else", async () => {
    const readOnly = 'OSError:Read-only file system';
    const seen = await world(kind, asRoot, ['/', '/opt', '/var/task', '/var', '/usr', '/etc', '/dev', '/tmp']);
    const hidden = python.visible.map((path) => path.split('/')[1]!);
    expect(seen).toMatchObject({
      uid: 993,
      gid: 990,
      cwd: '/var/task',
      home: python.visible.some((path) => path.startsWith(homedir())) ? expect.anything() : [],
      opt: ['bin', 'bootstrap'],
      task: readdirSync(fixtures).sort(),
      dev: ['fd', 'full', 'null', 'random', 'stderr', 'stdin', 'stdout', 'urandom', 'zero'],
      write: {
        '/': readOnly,
        '/opt': readOnly,
        '/var/task': readOnly,
        '/var': readOnly,
        '/usr': readOnly,
        '/etc': readOnly,
        '/dev': readOnly,
        '/tmp': 'allowed',
      },
      null: 'allowed',
      stdout: 'allowed',
      ca: true,
      noNewPrivs: ['1'],
      capabilities: ['0000000000000000'],
      nofile: [1024, 1024],
      core: [0, 0],
    });
    const linux = ['bin', 'lib', 'lib32', 'lib64', 'libx32', 'sbin'];
    expect((seen.root as string[]).filter((name) => !linux.includes(name) && !hidden.includes(name))).toEqual(
      ['dev', 'etc', 'home', 'mnt', 'opt', 'proc', 'run', 'srv', 'sys', 'tmp', 'usr', 'var'].filter(
        (name) => !hidden.includes(name),
      ),
    );
    // The namespace's first process, and the function. The program's own listing is the only other descriptor.
    expect(seen.processes).toBe(2);
    expect((seen.descriptors as number[]).slice(0, 3)).toEqual([0, 1, 2]);
    expect((seen.descriptors as number[]).length).toBeLessThanOrEqual(5);
  });
});

test('the environment is exactly that of an OS-only function and what the user adds', async () => {
  const environment = await ExecutionEnvironment.create(
    {
      layerDirs: [layer],
      codeDir: fixtures,
      visible: python.visible,
      kinds: ['namespace'],
      settings: settings('app.environment', { env: { GREETING: `it's "fine"\n$HOME`, TZ: 'Europe/Vienna' } }),
    },
    testContext(folder),
  );
  const result = await environment.invoke(Buffer.from('{}'));
  await environment.shutdown();
  const seen = JSON.parse(result.payload.toString()) as Record<string, string>;
  expect(seen.AWS_LAMBDA_RUNTIME_API).toMatch(/^127\.0\.0\.1:\d+$/);
  expect(seen.AWS_LAMBDA_LOG_STREAM_NAME).toMatch(/^\d{4}\/\d\d\/\d\d\/\[\$LATEST\][0-9a-f]{32}$/);
  const { AWS_LAMBDA_RUNTIME_API: _, AWS_LAMBDA_LOG_STREAM_NAME: __, ...rest } = seen;
  // Python itself adds LC_CTYPE under the C locale when LANG names a locale the machine has not.
  delete rest.LC_CTYPE;
  expect(rest).toEqual({
    AWS_DEFAULT_REGION: 'eu-central-1',
    AWS_LAMBDA_FUNCTION_MEMORY_SIZE: '128',
    AWS_LAMBDA_FUNCTION_NAME: 'tested',
    AWS_LAMBDA_FUNCTION_VERSION: '$LATEST',
    AWS_LAMBDA_INITIALIZATION_TYPE: 'on-demand',
    AWS_LAMBDA_LOG_GROUP_NAME: '/aws/lambda/tested',
    AWS_REGION: 'eu-central-1',
    AWS_XRAY_CONTEXT_MISSING: 'LOG_ERROR',
    AWS_XRAY_DAEMON_ADDRESS: '127.0.0.1:2000',
    GREETING: `it's "fine"\n$HOME`,
    LAMBDA_RUNTIME_DIR: '/var/runtime',
    LAMBDA_TASK_ROOT: '/var/task',
    LANG: 'en_US.UTF-8',
    LD_LIBRARY_PATH: '/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib',
    PATH: '/usr/local/bin:/usr/bin/:/bin:/opt/bin',
    PWD: '/var/task',
    TZ: 'Europe/Vienna',
    _AWS_XRAY_DAEMON_ADDRESS: '127.0.0.1',
    _AWS_XRAY_DAEMON_PORT: '2000',
    _HANDLER: 'app.environment',
  });
});

describe('run', () => {
  test('passes input, arguments and environment, and tells exits, signals and timeouts apart', async () => {
    const made = await sandbox();
    expect(made.kind).toBe('namespace');
    const script = 'cat; echo "$1 $EXTRA" >&2; pwd; exit 5';
    expect(
      await made.run(['/bin/sh', '-c', script, 'sh', "it's"], { input: 'given\n', env: { EXTRA: 'e' }, cwd: '/opt' }),
    ).toEqual({ exitCode: 5, signal: undefined, timedOut: false, stdout: 'given\n/opt\n', stderr: "it's e\n" });
    expect(await made.run(['/bin/sh', '-c', 'kill -SEGV $$'])).toMatchObject({
      exitCode: undefined,
      signal: 'SIGSEGV',
    });
    expect(await made.run(['/bin/sh', '-c', 'exit 139'])).toMatchObject({ exitCode: 139, signal: undefined });
    expect(await made.run(['/bin/sleep', '60'], { timeoutMs: 100 })).toMatchObject({
      signal: 'SIGKILL',
      timedOut: true,
    });
    expect(await made.run(['/opt/absent'])).toMatchObject({ exitCode: 127, signal: undefined });
    expect((await made.run(['/bin/cat', '/opt/bin/marker'])).stdout).toBe('of the layer\n');
  });

  test('is cancelled by the signal', async () => {
    const context = testContext(folder);
    const made = await sandbox({}, context);
    const run = made.run(['/bin/sleep', '60']);
    const rejected = expect(run).rejects.toMatchObject({ code: 'CANCELLED' });
    setTimeout(() => context.abort(), 50);
    await rejected;
    await expect(made.run(['/bin/true'])).rejects.toMatchObject({ code: 'CANCELLED' });
  });
});

test('several layers are one /opt, later ones win, links stay links', async () => {
  const [lower, upper] = [join(folder, 'lower'), join(folder, 'upper')];
  for (const [path, text] of [
    [join(lower, 'lib/a'), 'lower a'],
    [join(lower, 'lib/b'), 'lower b'],
    [join(lower, 'was-file'), ''],
    [join(upper, 'lib/b'), 'upper b'],
    [join(upper, 'was-file/now-folder'), ''],
  ] as const) {
    mkdirSync(join(path, '..'), { recursive: true });
    writeFileSync(path, text);
  }
  symlinkSync('lib/b', join(upper, 'link'));
  const made = await sandbox({ layerDirs: [lower, upper] });
  const { stdout } = await made.run(['/bin/sh', '-c', 'cat lib/a lib/b link; ls -d was-file/*; readlink link'], {
    cwd: '/opt',
  });
  expect(stdout).toBe('lower aupper bupper bwas-file/now-folder\nlib/b\n');
});

test('a code folder that only its owner may enter is shown nevertheless', async () => {
  const code = join(folder, 'own code');
  mkdirSync(join(code, 'package'), { recursive: true });
  writeFileSync(join(code, 'app.py'), 'here');
  symlinkSync('app.py', join(code, 'alias.py'));
  chmodSync(code, 0o700);
  const made = await sandbox({ codeDir: code });
  expect((await made.run(['/bin/sh', '-c', 'ls; cat alias.py'])).stdout).toBe('alias.py\napp.py\npackage\nhere');
});

describe('mapped', () => {
  test('is the last resort, says so, and gives the function the real folders', async () => {
    const context = testContext(folder);
    const made = await sandbox({ kinds: ['bubblewrap', 'mapped'], bubblewrap: '/absent/bwrap' }, context);
    expect(made.kind).toBe('mapped');
    expect(made.places).toEqual({ taskRoot: fixtures, layerRoot: layer });
    expect(context.events).toEqual([
      expect.objectContaining({ type: 'warn', message: expect.stringContaining('mapped') }),
    ]);
    expect((await made.run(['/bin/sh', '-c', 'pwd'])).stdout).toBe(`${fixtures}\n`);
  });

  test('runs functions, and a timeout leaves nothing behind', async () => {
    const environment = await ExecutionEnvironment.create(
      {
        layerDirs: [layer],
        codeDir: fixtures,
        kinds: ['mapped'],
        settings: settings('app.stray', { timeoutSeconds: 0.5 }),
      },
      testContext(folder),
    );
    const result = await environment.invoke(Buffer.from('{"marker": "86021", "after": "sleep"}'));
    expect(result.statusKind).toBe('timeout');
    const left = readdirSync('/proc').filter((pid) => commandLine(pid).includes('86021'));
    expect(left).toEqual([]);
    await environment.shutdown();
  });
});

test('no kind that works is an error with all the reasons', async () => {
  await expect(sandbox({ kinds: ['bubblewrap'], bubblewrap: '/absent/bwrap' })).rejects.toMatchObject({
    code: 'SANDBOX_UNAVAILABLE',
    detail: expect.stringContaining('bubblewrap: '),
  });
});

test('missing folders are named', async () => {
  await expect(sandbox({ codeDir: join(folder, 'absent') })).rejects.toMatchObject({ code: 'CODE_NOT_FOUND' });
  await expect(sandbox({ layerDirs: [join(folder, 'absent')] })).rejects.toMatchObject({ code: 'ARTIFACT_NOT_FOUND' });
});

test('nothing is left on disk', async () => {
  const context = testContext(folder);
  const made = await Sandbox.open({ layerDirs: [layer] }, context);
  await made.run(['/bin/sh', '-c', 'mkdir -p /tmp/a/b; chmod 0 /tmp/a']);
  await made.close();
  expect(readdirSync(join(context.cacheDir, 'lambda'))).toEqual([]);
  expect((await probeSandbox(context)).kind).toBe('namespace');
  expect(readdirSync(join(context.cacheDir, 'lambda'))).toEqual([]);
});

test('what a killed run left on disk is removed by the next one', async () => {
  const context = testContext(join(folder, 'stale'));
  const stale = join(context.cacheDir, 'lambda', 'sandbox-2147483646-abcdef', 'tmp');
  const live = join(context.cacheDir, 'lambda', `sandbox-${process.pid}-abcdef`);
  for (const path of [stale, live]) mkdirSync(path, { recursive: true });
  const made = await Sandbox.open({ layerDirs: [] }, context);
  await made.close();
  expect(readdirSync(join(context.cacheDir, 'lambda'))).toEqual([`sandbox-${process.pid}-abcdef`]);
});

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1');
  } catch {
    return '';
  }
}
