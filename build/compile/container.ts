// A build program in a container: unprivileged, without network, with only the files it was given, as the caller's
// user, and gone afterwards whatever happens. Knows how containers are run; not what is compiled or what an image has.
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { Context } from '../lib/context.ts';
import { MakeRuntimeError, throwIfCancelled } from '../lib/errors.ts';
import type { Arch } from '../recipe/model.ts';
import { type ContainerEngine, definedOnly, engineFault, lastLines } from './container-cli.ts';
import type { Run } from './engine.ts';
import { runLogged } from './process.ts';

/** Where a program sees its folders. Odd enough to be in no text of the standard library, which the script edits. */
const inside = '/make-runtime';

const label = 'dev.make-runtime.host';

export const platforms: Readonly<Record<Arch, string>> = { x86_64: 'linux/amd64', arm64: 'linux/arm64' };

/** "make-runtime-<process>-<random>": the process is how a later run knows that nobody waits for it any more. */
function containerName(): string {
  return `make-runtime-${process.pid}-${randomBytes(4).toString('hex')}`;
}

/** Options that every container of ours has. */
function identity(name: string): readonly string[] {
  return ['--name', name, '--label', `${label}=${hostname()}`];
}

/** Capabilities a package manager needs and a compiler does not. */
const packageCapabilities = ['CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'FSETID', 'SETGID', 'SETUID', 'SETFCAP'];

/**
 * Runs a program in `image` to its end and returns its exit status.
 * @throws CANCELLED, DISK_FULL, ENGINE_UNAVAILABLE, ENGINE_FAILED, BUILDER_WRONG_ARCH
 */
export async function runInContainer(
  engine: ContainerEngine,
  { image, arch }: { readonly image: string; readonly arch: Arch },
  run: Run,
  ctx: Pick<Context, 'env'>,
): Promise<number> {
  const name = containerName();
  const work = run.folders.WORK.path;
  await mkdir(join(work, 'tmp'), { recursive: true });
  const place = (variable: string): string => `${inside}/${variable.toLowerCase()}`;
  // What the image sets (LD_LIBRARY_PATH in AWS's) must not reach a compiler: the environment starts empty.
  const environment = {
    PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    HOME: `${place('WORK')}/tmp`,
    TMPDIR: `${place('WORK')}/tmp`,
    // Without capabilities root cannot give files to the owners a tarball names, and need not.
    TAR_OPTIONS: '--no-same-owner',
    ...(ctx.env['CC'] === undefined ? {} : { CC: ctx.env['CC'] }),
    ...Object.fromEntries(Object.keys(run.folders).map((variable) => [variable, place(variable)])),
    ...run.environment,
  };
  const program = join(work, 'tmp', 'program.sh');
  await writeFile(program, `exec 2>&1\n${run.program}`);
  const args = [
    'run',
    '--rm',
    ...identity(name),
    '--platform',
    platforms[arch],
    '--pull',
    'never',
    '--network',
    'none',
    '--cap-drop',
    'ALL',
    '--read-only',
    ...engine.cli.security.flatMap((option) => ['--security-opt', option]),
    ...callersUser(engine),
    '--workdir',
    place('WORK'),
    ...Object.entries(run.folders).flatMap(([variable, { path, writable = false }]) => [
      '--mount',
      bindMount(path, place(variable), writable),
    ]),
    '--entrypoint',
    '/usr/bin/env',
    image,
    '-i',
    ...Object.entries(environment).map(([variable, value]) => `${variable}=${value}`),
    '/bin/sh',
    `${place('WORK')}/tmp/program.sh`,
  ];
  const { status, stderr } = await runLogged({
    command: engine.cli.name,
    args,
    env: definedOnly(ctx.env),
    log: run.log,
    signal: run.signal,
    onLine: run.onLine,
    end: (exited) => remove(engine, name, exited),
  });
  if (status === 0) return 0;
  throwIfCancelled(run.signal);
  throwForEngine(engine, status, stderr, arch, image, await readFile(run.log, 'utf8').catch(() => ''));
  return status;
}

/**
 * Runs a program as root with network, and keeps the result as an image. For packages, and nothing else.
 * @returns what it printed, and whether it succeeded; the image is only made when it did
 */
export async function imageAfter(
  engine: ContainerEngine,
  base: string,
  arch: Arch,
  program: string,
  tag: string,
  ctx: Pick<Context, 'env' | 'signal'> & { readonly log: string; readonly onLine: (line: string) => void },
): Promise<{ readonly status: number; readonly stderr: string }> {
  const name = containerName();
  const proxies = ['http_proxy', 'https_proxy', 'no_proxy', 'HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY'];
  const network = ctx.env['MAKE_RUNTIME_BUILDER_NETWORK'];
  try {
    const ended = await runLogged({
      command: engine.cli.name,
      args: [
        'run',
        ...identity(name),
        '--platform',
        platforms[arch],
        '--pull',
        'never',
        ...(network ? ['--network', network] : []),
        '--cap-drop',
        'ALL',
        ...packageCapabilities.flatMap((capability) => ['--cap-add', capability]),
        ...engine.cli.security.flatMap((option) => ['--security-opt', option]),
        '--user',
        '0:0',
        // By name only: a proxy's address may hold a password, and arguments can be read by everybody.
        ...proxies.filter((variable) => ctx.env[variable]).flatMap((variable) => ['--env', variable]),
        '--entrypoint',
        '/bin/sh',
        base,
        '-c',
        `exec 2>&1\n${program}`,
      ],
      env: definedOnly(ctx.env),
      log: ctx.log,
      signal: ctx.signal,
      onLine: ctx.onLine,
      end: (exited) => remove(engine, name, exited),
    });
    if (ended.status === 0) {
      const commit = await engine.call(['commit', name, tag]);
      if (!commit.ok) {
        throw engineFault(engine.cli, commit.stderr) ?? failed(engine, 'keep the builder image', commit.stderr);
      }
    }
    return ended;
  } finally {
    await engine.call(['rm', '-f', name], { evenIfAborted: true });
  }
}

/** What a container prints when asked something that changes nothing: no files, no network, nobody's user. */
export async function askContainer(
  engine: ContainerEngine,
  image: string,
  arch: Arch,
  program: string,
): Promise<string> {
  const name = containerName();
  let answer: Awaited<ReturnType<ContainerEngine['call']>>;
  try {
    answer = await engine.call([
      'run',
      '--rm',
      ...identity(name),
      '--platform',
      platforms[arch],
      '--pull',
      'never',
      '--network',
      'none',
      '--cap-drop',
      'ALL',
      ...engine.cli.security.flatMap((option) => ['--security-opt', option]),
      // Some shells keep here-documents in /tmp.
      '--tmpfs',
      '/tmp',
      '--read-only',
      '--entrypoint',
      '/usr/bin/env',
      image,
      '-i',
      'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      '/bin/sh',
      '-c',
      program,
    ]);
  } catch (error) {
    await engine.call(['rm', '-f', name], { evenIfAborted: true });
    throw error;
  }
  if (!answer.ok) {
    throwForEngine(engine, 125, answer.stderr, arch, image, answer.stdout);
    throw failed(engine, `run ${image}`, answer.stderr);
  }
  return answer.stdout;
}

/** Removes containers that runs on this machine left behind when they were killed. */
export async function removeAbandoned(engine: ContainerEngine): Promise<readonly string[]> {
  const { stdout } = await engine.call([
    'ps',
    '-a',
    '--filter',
    `label=${label}=${hostname()}`,
    '--format',
    '{{.Names}}',
  ]);
  const abandoned = stdout.split('\n').filter((name) => {
    const pid = /^make-runtime-(\d+)-[0-9a-f]+$/.exec(name.trim())?.[1];
    return pid !== undefined && !isRunning(Number(pid));
  });
  if (abandoned.length > 0) await engine.call(['rm', '-f', ...abandoned]);
  return abandoned;
}

/** Until the CLI has ended: it may still be about to create the container when the signal fires. */
async function remove(engine: ContainerEngine, name: string, exited: Promise<unknown>): Promise<void> {
  let over = false;
  void exited.then(() => {
    over = true;
  });
  const deadline = Date.now() + 20_000;
  while (!over && Date.now() < deadline) {
    await engine.call(['rm', '-f', name], { evenIfAborted: true });
    await Promise.race([exited, wait(200)]);
  }
  await engine.call(['rm', '-f', name], { evenIfAborted: true });
}

/**
 * Files must belong to the caller afterwards. An engine with root can be anybody; without root the caller's own id is
 * either root inside (docker, nerdctl) or can be kept (podman).
 */
function callersUser({ cli, rootless }: ContainerEngine): readonly string[] {
  if (rootless && cli.rootlessUser === 'root') return ['--user', '0:0'];
  const { uid, gid } = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
  return [...(rootless ? ['--userns', 'keep-id'] : []), '--user', `${uid}:${gid}`];
}

/** --mount and not -v: a colon in a path is no separator, and a missing folder is an error instead of a new folder of root's. */
function bindMount(source: string, target: string, writable: boolean): string {
  const field = /[",]/.test(source) ? `"source=${source.replaceAll('"', '""')}"` : `source=${source}`;
  return `type=bind,${field},target=${target}${writable ? '' : ',readonly'}`;
}

// 125: the engine itself failed (docker-run(1), podman-run(1)). A program of another architecture fails as the program.
function throwForEngine(
  engine: ContainerEngine,
  status: number,
  stderr: string,
  arch: Arch,
  image: string,
  output: string,
): void {
  if (/exec format error/i.test(`${stderr}\n${output.slice(-2000)}`)) {
    throw new MakeRuntimeError(
      'BUILDER_WRONG_ARCH',
      `This machine cannot run ${arch} programs: ${image} did not start.`,
      {
        remedy: `Install emulation (apt-get install qemu-user-static, or \`${engine.cli.name} run --privileged --rm tonistiigi/binfmt --install all\`), cross-compile in an image with apt-get (--builder debian:12), or build on a machine with ${arch}.`,
        detail: lastLines(stderr || output),
      },
    );
  }
  if (status !== 125) return;
  throw engineFault(engine.cli, stderr) ?? failed(engine, `run a container of ${image}`, stderr);
}

export function failed(engine: ContainerEngine, doing: string, stderr: string): MakeRuntimeError {
  return new MakeRuntimeError('ENGINE_FAILED', `${engine.cli.name} could not ${doing}.`, {
    remedy: `Try \`${engine.cli.name} run --rm --network none <image> true\` by hand; it must work first.`,
    detail: lastLines(stderr),
  });
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
