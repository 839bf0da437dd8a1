// The programs people use on images, as judges: dockerd, podman, skopeo, umoci and a registry, each started by the test
// with folders of its own. Knows how to get and start them; refuses to know what is asked of them.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { stripVTControlCharacters } from 'node:util';
import { execa } from 'execa';

/**
 * Installs Debian packages where that is possible.
 * @returns why there is none of the programs, or undefined when all are there
 */
export async function missingPrograms(programs: Readonly<Record<string, string>>): Promise<string | undefined> {
  const absent = async (): Promise<string[]> => {
    const found = await Promise.all(
      Object.keys(programs).map((name) => execa('sh', ['-c', `command -v ${name}`], { reject: false })),
    );
    return Object.keys(programs).filter((_, index) => found[index]?.exitCode !== 0);
  };
  const before = await absent();
  if (before.length === 0) return undefined;
  const packages = before.map((name) => programs[name]!);
  if (process.getuid?.() !== 0) return `missing: ${before.join(', ')} (apt-get install ${packages.join(' ')} as root)`;
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  await execa('apt-get', ['update', '-qq'], { reject: false });
  const options = ['install', '-y', '-qq', '--no-install-recommends'];
  const { stderr } = await execa('apt-get', [...options, ...packages], { env, reject: false });
  const after = await absent();
  return after.length === 0 ? undefined : `missing: ${after.join(', ')}; ${stderr.split('\n').at(-1) ?? ''}`;
}

interface Running extends AsyncDisposable {
  readonly output: () => string;
}

async function started(
  command: string,
  args: readonly string[],
  ready: () => Promise<boolean>,
): Promise<Running | { missing: string }> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      output += chunk;
    });
  }
  const ended = once(child, 'exit');
  for (let attempt = 0; attempt < 600 && child.exitCode === null; attempt++) {
    if (await ready()) {
      return {
        output: () => output,
        [Symbol.asyncDispose]: async () => {
          child.kill();
          await ended;
        },
      };
    }
    await wait(100);
  }
  child.kill('SIGKILL');
  return { missing: `${command} does not start: ${output.trim().split('\n').at(-1)}` };
}

export interface Docker extends AsyncDisposable {
  readonly run: (
    args: readonly string[],
    input?: string | Buffer,
  ) => Promise<{ exitCode: number; stdout: string; all: string }>;
}

/** A Docker daemon without networks: containers have none, or the host's. */
export async function startDocker(folder: string): Promise<Docker | { missing: string }> {
  const socket = join(folder, 'docker.sock');
  const env = { DOCKER_HOST: `unix://${socket}`, DOCKER_CONFIG: join(folder, 'config'), DOCKER_BUILDKIT: '0' };
  const run: Docker['run'] = async (args, input = '') => {
    const { exitCode, stdout, all } = await execa('docker', args, { env, input, reject: false, all: true });
    return { exitCode: exitCode ?? -1, stdout, all: stripVTControlCharacters(all ?? '') };
  };
  const daemon = await started(
    'dockerd',
    [
      ...['--iptables=false', '--bridge=none', '--host', `unix://${socket}`],
      ...['--data-root', join(folder, 'data'), '--exec-root', join(folder, 'exec')],
      ...['--pidfile', join(folder, 'docker.pid')],
    ],
    async () => (await run(['version'])).exitCode === 0,
  );
  return 'missing' in daemon ? daemon : { run, [Symbol.asyncDispose]: () => daemon[Symbol.asyncDispose]() };
}

/** Options and environment with which podman runs as root in a container of its own. */
export async function podman(folder: string): Promise<(args: readonly string[]) => ReturnType<Docker['run']>> {
  await mkdir(folder, { recursive: true });
  const config = join(folder, 'containers.conf');
  await writeFile(
    config,
    [
      '[containers]',
      'default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]',
      '[engine]',
      'runtime = "runc"',
      'cgroup_manager = "cgroupfs"',
      'events_logger = "file"',
      '',
    ].join('\n'),
  );
  const places = ['--root', join(folder, 'root'), '--runroot', join(folder, 'run'), '--storage-driver', 'vfs'];
  return async (args) => {
    const env = { CONTAINERS_CONF: config };
    const { exitCode, stdout, all } = await execa('podman', [...places, ...args], { env, reject: false, all: true });
    return { exitCode: exitCode ?? -1, stdout, all: all ?? '' };
  };
}

export interface LocalRegistry extends AsyncDisposable {
  /** "127.0.0.1:12345" */
  readonly host: string;
}

/**
 * @param users an htpasswd file; without it everybody may read and write
 * @param tls paths of a certificate and its key; without it plain HTTP
 */
export async function startRegistry(
  folder: string,
  users?: string,
  tls?: { readonly certificate: string; readonly key: string },
): Promise<LocalRegistry | { missing: string }> {
  await mkdir(folder, { recursive: true });
  const host = `127.0.0.1:${await freePort()}`;
  const config = join(folder, 'config.yml');
  const auth = users === undefined ? [] : [`auth: {htpasswd: {realm: test, path: ${users}}}`];
  const storage = `storage: {filesystem: {rootdirectory: ${join(folder, 'data')}}}`;
  const secure = tls === undefined ? '' : `, tls: {certificate: ${tls.certificate}, key: ${tls.key}}`;
  await writeFile(config, ['version: 0.1', storage, `http: {addr: "${host}"${secure}}`, ...auth, ''].join('\n'));
  // Whatever it says to plain HTTP: with TLS it is an error, but an answer.
  const answers = async () =>
    fetch(`http://${host}/v2/`).then(
      () => true,
      () => false,
    );
  const server = await started('docker-registry', ['serve', config], answers);
  return 'missing' in server ? server : { host, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

/** go-containerregistry's, built here: docker-registry has no referrers API. Or why there is none. */
export async function startReferrersRegistry(folder: string): Promise<LocalRegistry | { missing: string }> {
  const program = join(folder, 'registry');
  await mkdir(folder, { recursive: true });
  const built = await execa('go', ['build', '-mod=readonly', '-o', program, '.'], {
    cwd: join(import.meta.dirname, 'referrers'),
    env: { CGO_ENABLED: '0' },
    reject: false,
    timeout: 240_000,
  });
  if (built.exitCode !== 0) {
    const reason = (built.stderr || built.message || '').trim().split('\n').at(-1);
    return { missing: `the registry with referrers cannot be built with Go 1.24 or newer: ${reason}` };
  }
  const child = spawn(program, { stdio: ['pipe', 'pipe', 'ignore'] });
  const ended = once(child, 'exit');
  const [first] = (await once(child.stdout, 'data')) as [Buffer];
  return {
    host: first.toString().trim(),
    [Symbol.asyncDispose]: async () => {
      child.stdin.end();
      await ended;
    },
  };
}

/**
 * A small root file system that stands for Amazon Linux: glibc, a shell and coreutils, from Debian's packages and
 * without running anything in it. glibc is newer than Lambda's, which `verify` watches over.
 */
export async function debianRoot(folder: string): Promise<string> {
  const root = join(folder, 'root');
  const packages = join(folder, 'packages');
  await mkdir(packages, { recursive: true });
  const names = 'libc6 dash coreutils libselinux1 libacl1 libattr1 libpcre2-8-0 libgmp10 libgcc-s1'.split(' ');
  await execa('apt-get', ['download', '-qq', ...names], { cwd: packages });
  for (const path of ['usr/bin', 'usr/sbin', 'usr/lib', 'usr/lib64', 'etc', 'tmp', 'root'])
    await mkdir(join(root, path), { recursive: true });
  for (const name of ['bin', 'sbin', 'lib', 'lib64']) await symlink(`usr/${name}`, join(root, name));
  for (const file of await readdir(packages)) {
    const unpack = 'dpkg --fsys-tarfile "$1" | tar -x --keep-directory-symlink -C "$2"';
    await execa('sh', ['-c', unpack, 'sh', join(packages, file), root]);
  }
  await symlink('dash', join(root, 'usr/bin/sh')).catch(() => {});
  for (const path of ['doc', 'man', 'locale'])
    await rm(join(root, 'usr/share', path), { recursive: true, force: true });
  return root;
}

export function freePort(): Promise<number> {
  return new Promise((settle, fail) => {
    const server = createServer();
    server.once('error', fail);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => settle(port));
    });
  });
}
