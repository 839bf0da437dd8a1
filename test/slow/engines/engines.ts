// Real container engines for tests: podman as it is, docker with a daemon of our own where none answers, and builder
// images made by debootstrap, so that no registry is needed.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { execa } from 'execa';

export interface Engines {
  /** Those that can run a container here. */
  readonly names: readonly ('docker' | 'podman')[];
  /** What the others said. */
  readonly refusals: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  stop(): Promise<void>;
}

/** Starts what has to be started. `dir` gets configuration, and the data of a daemon of our own. */
export async function startEngines(dir: string): Promise<Engines> {
  const conf = join(dir, 'containers.conf');
  // runc and cgroupfs work on machines without systemd and with either version of cgroups; an empty list of limits is
  // one that may be set everywhere.
  const storage = join(dir, 'storage.conf');
  await writeFile(
    storage,
    `[storage]\ndriver = "overlay"\ngraphroot = "${join(dir, 'podman')}"\nrunroot = "${join(dir, 'podman-run')}"\n`,
  );
  await writeFile(
    conf,
    '[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "none"\n[containers]\ndefault_ulimits = []\n',
  );
  const env: Record<string, string> = {
    CONTAINERS_CONF: conf,
    CONTAINERS_STORAGE_CONF: storage,
    // Machines without a bridge have no other network for the packages.
    MAKE_RUNTIME_BUILDER_NETWORK: 'host',
    PATH: `/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin:${process.env['PATH']}`,
  };
  const names: Engines['names'][number][] = [];
  const refusals: string[] = [];
  const podman = await execa('podman', ['info'], { env, reject: false });
  if (podman.failed) refusals.push(`podman: ${podman.stderr || podman.shortMessage}`);
  else names.push('podman');

  let daemon: ChildProcess | undefined;
  const info = () => execa('docker', ['info'], { env: { ...env }, reject: false });
  let docker = await info();
  if (docker.failed && process.getuid?.() === 0) {
    const root = join(dir, 'docker');
    await mkdir(root, { recursive: true });
    const socket = `unix://${join(root, 'socket')}`;
    daemon = spawn(
      'dockerd',
      [
        '--iptables=false',
        '--bridge=none',
        ...['--data-root', join(root, 'data'), '--exec-root', join(root, 'exec'), '--pidfile', join(root, 'pid')],
        ...['-H', socket],
      ],
      { env: { ...process.env, ...env }, stdio: 'ignore' },
    );
    daemon.on('error', () => {});
    env['DOCKER_HOST'] = socket;
    for (let tries = 0; docker.failed && tries < 60 && daemon.exitCode === null; tries += 1) {
      await wait(500);
      docker = await info();
    }
    // A test uses it as another user.
    if (!docker.failed) await chmod(join(root, 'socket'), 0o666);
  }
  if (docker.failed) refusals.push(`docker: ${docker.stderr || docker.shortMessage}`);
  else names.push('docker');
  return {
    names,
    refusals,
    env,
    stop: async () => {
      if (daemon && daemon.exitCode === null) {
        const ended = once(daemon, 'exit');
        daemon.kill('SIGTERM');
        await ended;
      }
      // Both leave mounts in their folders, which could not be removed otherwise.
      const mounts = (await readFile('/proc/self/mounts', 'utf8')).split('\n').map((line) => line.split(' ')[1] ?? '');
      for (const mount of mounts.filter((path) => path.startsWith(`${dir}/`)).reverse())
        await execa('umount', ['-l', mount], { reject: false });
    },
  };
}

/**
 * A minimal Debian as an image called `name` in every engine; the same bytes in each, and in every test file of a run:
 * what debootstrap made is kept for a day, in MAKE_RUNTIME_TEST_CACHE or else with the system's temporary files.
 */
export async function debianImage(dir: string, suite: string, name: string, engines: Engines): Promise<void> {
  const kept = join(process.env['MAKE_RUNTIME_TEST_CACHE'] ?? tmpdir(), 'make-runtime-test-images');
  const tar = join(kept, `${suite}.tar`);
  const day = 24 * 3600 * 1000;
  const age = await stat(tar).then(
    ({ mtimeMs }) => Date.now() - mtimeMs,
    () => day,
  );
  if (age >= day) {
    const root = join(dir, suite);
    await execa('debootstrap', ['--variant=minbase', suite, root, 'http://deb.debian.org/debian'], {
      env: engines.env,
    });
    await mkdir(kept, { recursive: true });
    const scratch = await mkdtemp(join(kept, 'new-'));
    await pack(root, join(scratch, 'tar'));
    await rename(join(scratch, 'tar'), tar);
    await rm(scratch, { recursive: true });
    await rm(root, { recursive: true });
  }
  await importTar(tar, name, engines);
}

export async function importFolder(
  root: string,
  name: string,
  engines: Engines,
  options: string[] = [],
): Promise<void> {
  const tar = `${root}.tar`;
  await pack(root, tar);
  await importTar(tar, name, engines, options);
  await rm(tar);
}

async function pack(root: string, tar: string): Promise<void> {
  // The same image whenever it is made, as far as packages are the same: no dates, no logs.
  const excluded = ['./var/log/*', './var/cache/ldconfig/*', './etc/machine-id', './dev/*'].map(
    (path) => `--exclude=${path}`,
  );
  await execa('tar', ['-C', root, '--sort=name', '--mtime=@0', ...excluded, '-cf', tar, '.']);
}

async function importTar(tar: string, name: string, engines: Engines, options: string[] = []): Promise<void> {
  for (const engine of engines.names) await execa(engine, ['import', ...options, tar, name], { env: engines.env });
}

/** Names of containers of ours that an engine still has. */
export async function leftover(engine: string, engines: Engines): Promise<string[]> {
  const { stdout } = await execa(engine, ['ps', '-a', '--format', '{{.Names}}'], { env: engines.env });
  return stdout.split('\n').filter((line) => line.startsWith('make-runtime-'));
}
