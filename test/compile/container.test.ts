import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { runInContainer } from '../../build/compile/container.ts';
import { containerClis, openContainerEngine } from '../../build/compile/container-cli.ts';
import { chooseEngine, engineFor } from '../../build/compile/container-engine.ts';
import type { Run } from '../../build/compile/engine.ts';
import type { Context } from '../../build/lib/context.ts';
import type { ReportEvent } from '../../build/lib/report.ts';
import { requirements } from '../../build/recipe/cpython.ts';
import type { Lock, Plan } from '../../build/recipe/model.ts';
import { packageDir } from '../recipe/support/plans.ts';
import { completeProbe, type FakeEngine, fakeEngine, imageJson } from './support/fake-engine.ts';

let dir: string;
let events: ReportEvent[];
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'make-runtime-container-'));
  events = [];
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const lock: Lock = { sources: [] };
const pinned: Lock = {
  sources: [],
  builders: [
    { reference: 'public.ecr.aws/lambda/provided:al2023', digest: `sha256:${'d'.repeat(64)}`, verifiedBy: 'test' },
  ],
};
const needs = { libraries: [], requires: [] };

const contextFor = (path: string, more: Partial<Context> = {}): Context => ({
  report: (event) => void events.push(event),
  signal: new AbortController().signal,
  cacheDir: join(dir, 'cache'),
  packageDir,
  env: { PATH: path, HOME: dir, SECRET: 'not for containers' },
  offline: false,
  ...more,
});

const cliNamed = (name: string) => containerClis.find((cli) => cli.name === name) as (typeof containerClis)[number];

describe('which engine', () => {
  test('auto is the host while the builder image is not known, whatever is installed', async () => {
    const fake = await fakeEngine(dir, 'docker');
    const engine = await chooseEngine({}, 'x86_64', lock, contextFor(fake.path));
    expect((await engine.look(needs)).builder.engine).toBe('host');
    expect(await fake.calls()).toEqual([]);
  });

  test('auto is the first engine that answers when the lock pins the image, and the host when none does', async () => {
    const docker = await fakeEngine(dir, 'docker');
    await docker.does('info', 'echo "Cannot connect to the Docker daemon" >&2; exit 1');
    const podman = await fakeEngine(dir, 'podman');
    const engine = await chooseEngine({}, 'x86_64', pinned, contextFor(podman.path));
    const { builder } = await engine.look(needs);
    expect(builder).toMatchObject({
      engine: 'container',
      image: { reference: `public.ecr.aws/lambda/provided:al2023@sha256:${'d'.repeat(64)}` },
    });
    // podman refuses a tag beside a digest.
    const inspected = (await podman.calls()).filter(([verb]) => verb === 'image');
    expect(inspected[0]).toEqual(['image', 'inspect', `public.ecr.aws/lambda/provided@sha256:${'d'.repeat(64)}`]);

    await podman.does('info', 'exit 1');
    const host = await chooseEngine({}, 'x86_64', pinned, contextFor(podman.path));
    expect((await host.look(needs)).builder.engine).toBe('host');
  });

  test('a container engine without a known image is refused, and so is an image for the host', async () => {
    const { path } = await fakeEngine(dir, 'docker');
    await expect(chooseEngine({ engine: 'docker' }, 'x86_64', lock, contextFor(path))).rejects.toMatchObject({
      code: 'BUILDER_UNPINNED',
      remedy: expect.stringContaining('lock --builder'),
    });
    await expect(
      chooseEngine({ engine: 'host', builder: 'debian:12' }, 'x86_64', lock, contextFor(path)),
    ).rejects.toMatchObject({ code: 'USAGE' });
  });

  test('the plan does not depend on which CLI made it', async () => {
    const docker = await fakeEngine(dir, 'docker');
    await fakeEngine(dir, 'podman');
    const builders = [];
    for (const engine of ['docker', 'podman'])
      builders.push(
        (
          await (
            await chooseEngine({ engine, builder: 'debian:12' }, 'x86_64', lock, contextFor(docker.path))
          ).look(needs)
        ).builder,
      );
    expect(builders[0]).toEqual(builders[1]);
  });
});

describe('an engine that cannot be used', () => {
  const choose = (path: string, engine = 'docker') =>
    chooseEngine({ engine, builder: 'debian:12' }, 'x86_64', lock, contextFor(path));

  test('not installed', async () => {
    const empty = join(dir, 'empty');
    await mkdir(empty);
    await expect(choose(empty)).rejects.toMatchObject({
      code: 'ENGINE_UNAVAILABLE',
      message: 'docker is not installed.',
      remedy: expect.stringContaining('--engine host'),
    });
    await expect(choose(empty, 'container')).rejects.toMatchObject({
      code: 'ENGINE_UNAVAILABLE',
      detail: expect.stringContaining('nerdctl is not installed.'),
    });
    // An image that was named is not silently left unused.
    await expect(choose(empty, 'auto')).rejects.toMatchObject({ code: 'ENGINE_UNAVAILABLE' });
  });

  test('not running', async () => {
    const fake = await fakeEngine(dir, 'docker');
    await fake.does('info', 'echo "Cannot connect to the Docker daemon at unix:///var/run/docker.sock." >&2; exit 1');
    await expect(choose(fake.path)).rejects.toMatchObject({
      code: 'ENGINE_UNAVAILABLE',
      message: 'docker is installed but does not run.',
      remedy: expect.stringContaining('systemctl start docker'),
    });
  });

  test('no permission on its socket', async () => {
    const fake = await fakeEngine(dir, 'docker');
    await fake.does('info', 'echo "template: executing at <.SecurityOptions>: nil pointer" >&2; exit 1');
    await fake.does(
      'version',
      'echo "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock" >&2; exit 1',
    );
    await expect(choose(fake.path)).rejects.toMatchObject({
      code: 'ENGINE_DENIED',
      remedy: expect.stringContaining('usermod -aG docker'),
    });
  });
});

describe('a builder image that cannot be used', () => {
  const look = async (fake: FakeEngine, more: Partial<Context> = {}) =>
    (await chooseEngine({ engine: 'docker', builder: 'debian:12' }, 'x86_64', lock, contextFor(fake.path, more))).look(
      needs,
    );

  test('not pullable', async () => {
    const fake = await fakeEngine(dir, 'docker');
    await fake.does('image', 'exit 1');
    await fake.does('pull', 'echo "manifest unknown" >&2; exit 1');
    await expect(look(fake)).rejects.toMatchObject({
      code: 'BUILDER_UNAVAILABLE',
      detail: 'manifest unknown',
      remedy: expect.stringContaining('docker pull --platform linux/amd64 debian:12'),
    });
    const pulls = (await fake.calls()).filter(([verb]) => verb === 'pull').length;
    await expect(look(fake, { offline: true })).rejects.toMatchObject({ code: 'BUILDER_UNAVAILABLE' });
    expect((await fake.calls()).filter(([verb]) => verb === 'pull').length).toBe(pulls);
  });

  test('no room for it', async () => {
    const fake = await fakeEngine(dir, 'docker');
    await fake.does('image', 'exit 1');
    await fake.does('pull', 'echo "write /var/lib/docker/tmp/x: no space left on device" >&2; exit 1');
    await expect(look(fake)).rejects.toMatchObject({
      code: 'DISK_FULL',
      remedy: expect.stringContaining('docker system prune'),
    });
  });

  test('of another architecture, with nothing for this one', async () => {
    const fake = await fakeEngine(dir, 'docker');
    await fake.does('image', `echo '${imageJson('arm64')}'`);
    await expect(look(fake)).rejects.toMatchObject({
      code: 'BUILDER_WRONG_ARCH',
      message: 'The builder image debian:12 is for arm64, the plan for x86_64.',
    });
  });

  test('of the right architecture, which this machine cannot run', async () => {
    const fake = await fakeEngine(dir, 'docker');
    await fake.does('run', 'echo "exec /usr/bin/env: exec format error" >&2; exit 255');
    await expect(look(fake)).rejects.toMatchObject({
      code: 'BUILDER_WRONG_ARCH',
      remedy: expect.stringContaining('qemu-user-static'),
    });
  });

  test('whose packages cannot be installed: the container is gone, and no image is made', async () => {
    const fake = await fakeEngine(dir, 'docker');
    await fake.does(
      'run',
      [
        'case "$*" in *"apt-get install"*) echo "E: Unable to locate package gcc"; exit 100;; esac',
        `printf '::packages apt\\nbase 1\\n'`,
      ].join('\n'),
    );
    await expect(look(fake)).rejects.toMatchObject({
      code: 'BUILDER_PACKAGES',
      detail: expect.stringContaining('Unable to locate package gcc'),
    });
    const calls = await fake.calls();
    const install = calls.find((call) => call.join(' ').includes('apt-get install')) as string[];
    expect(install.join(' ')).toContain('apt-get install -y --no-install-recommends gcc libc6-dev make xz-utils');
    const name = install[install.indexOf('--name') + 1];
    expect(calls.at(-1)).toEqual(['rm', '-f', name]);
    expect(calls.some(([verb]) => verb === 'commit')).toBe(false);
    await expect(look(fake, { offline: true })).rejects.toMatchObject({ code: 'BUILDER_PACKAGES' });
  });

  test.each([
    ['apt', 'E: Unable to locate package clang-18\nE: Unable to locate package llvm-18'],
    ['apt', "E: Package 'clang-18' has no installation candidate"],
    ['dnf', 'No match for argument: clang18\nError: Unable to find a match: clang18 llvm18'],
  ])('whose %s has no LLVM of the right version', async (manager, words) => {
    const fake = await fakeEngine(dir, 'docker');
    await writeFile(join(dir, 'words'), words);
    await fake.does(
      'run',
      [
        `case "$*" in *"install -y"*) cat '${join(dir, 'words')}'; exit 100;; esac`,
        `printf '::packages ${manager}\\nbase 1\\n'`,
      ].join('\n'),
    );
    const engine = await chooseEngine(
      { engine: 'docker', builder: 'debian:12' },
      'x86_64',
      lock,
      contextFor(fake.path),
    );
    await expect(engine.look({ libraries: [], requires: requirements('3.13', 'jit') })).rejects.toMatchObject({
      code: 'LLVM_MISSING',
      message: 'Building the JIT needs LLVM 18, not found among the packages of the builder image debian:12.',
      remedy: expect.stringContaining('(Debian 13)'),
    });
    const install = (await fake.calls()).find((call) => call.join(' ').includes('install -y')) as string[];
    const names = manager === 'apt' ? ['clang-18', 'llvm-18', 'python3'] : ['clang18', 'llvm18', 'python3.12'];
    for (const name of names) expect(install.join(' ').split(' ')).toContain(name);
  });

  test('the disk runs full while packages are installed', async () => {
    const fake = await fakeEngine(dir, 'docker');
    await fake.does(
      'run',
      'case "$*" in *"apt-get install"*) echo "dpkg: error: No space left on device"; exit 100;; esac\nprintf "::packages apt\\nbase 1\\n"',
    );
    await expect(look(fake)).rejects.toMatchObject({ code: 'DISK_FULL' });
  });

  test('that is not the one of the plan', async () => {
    const fake = await fakeEngine(dir, 'docker');
    const ctx = contextFor(fake.path);
    const choice = { engine: 'docker', builder: 'debian:12' };
    const { builder } = await (await chooseEngine(choice, 'x86_64', lock, ctx)).look(needs);
    const plan = { builder, arch: 'x86_64', ...needs } as unknown as Plan;
    await engineFor(plan, choice, ctx).require(plan);
    await fake.does('run', `cat <<'PROBE'\n${completeProbe('cc (Debian) 13.0.0')}PROBE`);
    await expect(engineFor(plan, choice, ctx).require(plan)).rejects.toMatchObject({
      code: 'BUILDER_CHANGED',
      detail: expect.stringMatching(/planned: cc \(Debian\) 12\.2\.0.*\nfound: {3}cc \(Debian\) 13\.0\.0/),
    });
  });
});

describe('one program in a container', () => {
  const runOf = (signal = new AbortController().signal): Run => ({
    program: 'echo hello\n',
    folders: { WORK: { path: join(dir, 'work'), writable: true }, SOURCE: { path: join(dir, 'a,"b"') } },
    environment: { JOBS: '2' },
    log: join(dir, 'log'),
    signal,
    onLine: () => {},
  });
  const runWith = async (fake: FakeEngine, name: string, run = runOf()) => {
    const ctx = contextFor(fake.path, { signal: run.signal });
    return runInContainer(
      await openContainerEngine(cliNamed(name), ctx),
      { image: 'sha256:aa', arch: 'x86_64' },
      run,
      ctx,
    );
  };
  const option = (call: string[], name: string): string[] =>
    call.flatMap((word, index) => (word === name ? [call[index + 1] as string] : []));

  test('has no network, no capability, no environment of ours, and only the files it was given', async () => {
    const fake = await fakeEngine(dir, 'docker');
    await fake.does('run', 'echo said; exit 3');
    expect(await runWith(fake, 'docker')).toBe(3);
    expect(await readFile(join(dir, 'log'), 'utf8')).toBe('said\n');
    const call = (await fake.calls()).find(([verb]) => verb === 'run') as string[];
    for (const flag of ['--rm', '--read-only']) expect(call).toContain(flag);
    expect(option(call, '--network')).toEqual(['none']);
    expect(option(call, '--pull')).toEqual(['never']);
    expect(option(call, '--cap-drop')).toEqual(['ALL']);
    expect(call).not.toContain('--cap-add');
    expect(option(call, '--security-opt')).toContain('no-new-privileges');
    expect(option(call, '--user')).toEqual([`${process.getuid?.()}:${process.getgid?.()}`]);
    expect(option(call, '--label')).toEqual([`dev.make-runtime.host=${hostname()}`]);
    expect(option(call, '--mount')).toEqual([
      `type=bind,source=${join(dir, 'work')},target=/make-runtime/work`,
      `type=bind,"source=${join(dir, 'a,""b""')}",target=/make-runtime/source,readonly`,
    ]);
    const inner = call.slice(call.indexOf('-i') + 1);
    expect(inner).toContain('JOBS=2');
    expect(inner).toContain('SOURCE=/make-runtime/source');
    expect(call.join(' ')).not.toContain('SECRET');
  });

  test('files belong to the caller, also where the engine runs without root', async () => {
    const docker = await fakeEngine(dir, 'docker');
    await docker.does('info', `echo '["name=seccomp","name=rootless"]'`);
    await docker.does('run', 'exit 0');
    await runWith(docker, 'docker');
    const call = (await docker.calls()).find(([verb]) => verb === 'run') as string[];
    expect(option(call, '--user')).toEqual(['0:0']);

    const podman = await fakeEngine(dir, 'podman');
    await podman.does('info', 'echo true');
    await podman.does('run', 'exit 0');
    await runWith(podman, 'podman');
    const other = (await podman.calls()).find(([verb]) => verb === 'run') as string[];
    expect(option(other, '--userns')).toEqual(['keep-id']);
    expect(option(other, '--user')).toEqual([`${process.getuid?.()}:${process.getgid?.()}`]);
  });

  test('finch and nerdctl are not given options they do not know', async () => {
    for (const name of ['finch', 'nerdctl']) {
      const fake = await fakeEngine(dir, name);
      await fake.does('run', 'exit 0');
      expect(await runWith(fake, name)).toBe(0);
      const call = (await fake.calls()).find(([verb]) => verb === 'run') as string[];
      expect(option(call, '--security-opt')).toEqual(['no-new-privileges']);
    }
  });

  test('when the signal fires it is removed, also when the engine is only about to make it', async () => {
    const fake = await fakeEngine(dir, 'docker');
    const abort = new AbortController();
    // The engine ends when its container is removed for the second time: the first was too early.
    await fake.does(
      'run',
      `echo up; until [ "$(grep -ac '^rm' '${dir}/fake-docker/calls')" -ge 2 ]; do sleep 0.05; done`,
    );
    await fake.does('rm', `printf '\\nrm\\n' >> '${dir}/fake-docker/calls'`);
    const running = runWith(fake, 'docker', { ...runOf(abort.signal), onLine: () => abort.abort() });
    await expect(running).rejects.toMatchObject({ code: 'CANCELLED' });
    const calls = (await fake.calls()).map((call) => call.map((word) => word.replaceAll('\nrm\n', '')));
    const run = calls.find((call) => call.includes('--rm')) as string[];
    const removed = calls.filter((call) => call[0] === 'rm');
    expect(removed.length).toBeGreaterThanOrEqual(2);
    for (const call of removed) expect(call).toEqual(['rm', '-f', run[run.indexOf('--name') + 1]]);
  });

  test('the engine fails, not the program', async () => {
    const fake = await fakeEngine(dir, 'docker');
    await fake.does('run', 'echo "docker: Error response from daemon: OCI runtime create failed" >&2; exit 125');
    await expect(runWith(fake, 'docker')).rejects.toMatchObject({
      code: 'ENGINE_FAILED',
      detail: expect.stringContaining('OCI runtime create failed'),
    });
    await fake.does('run', 'echo "docker: no space left on device" >&2; exit 125');
    await expect(runWith(fake, 'docker')).rejects.toMatchObject({ code: 'DISK_FULL' });
    await fake.does('run', 'echo "Cannot connect to the Docker daemon. Is the docker daemon running?" >&2; exit 125');
    await expect(runWith(fake, 'docker')).rejects.toMatchObject({ code: 'ENGINE_UNAVAILABLE' });
  });

  test('what a killed run left behind is removed at the next start, what another run uses is not', async () => {
    const fake = await fakeEngine(dir, 'docker');
    await fake.does('ps', `printf 'make-runtime-4194304999-aa\\nmake-runtime-${process.pid}-bb\\nsomebody-elses\\n'`);
    const engine = await chooseEngine(
      { engine: 'docker', builder: 'debian:12' },
      'x86_64',
      lock,
      contextFor(fake.path),
    );
    await engine.look(needs);
    const calls = await fake.calls();
    expect(calls).toContainEqual([
      'ps',
      '-a',
      '--filter',
      `label=dev.make-runtime.host=${hostname()}`,
      '--format',
      '{{.Names}}',
    ]);
    expect(calls.filter(([verb]) => verb === 'rm')).toEqual([['rm', '-f', 'make-runtime-4194304999-aa']]);
    expect(events).toContainEqual({ type: 'note', message: expect.stringContaining('make-runtime-4194304999-aa') });
  });

  test('a proxy reaches the package manager by name, its password no command line', async () => {
    const fake = await fakeEngine(dir, 'docker');
    await fake.does('run', `case "$*" in *"apt-get install"*) exit 100;; esac\nprintf '::packages apt\\nbase 1\\n'`);
    const env = { PATH: fake.path, https_proxy: 'http://me:password@proxy:3128' };
    const ctx = contextFor(fake.path, { env });
    const engine = await chooseEngine({ engine: 'docker', builder: 'debian:12' }, 'x86_64', lock, ctx);
    await expect(engine.look(needs)).rejects.toMatchObject({ code: 'BUILDER_PACKAGES' });
    const calls = await fake.calls();
    const install = calls.find((call) => call.join(' ').includes('apt-get install')) as string[];
    expect(option(install, '--env')).toEqual(['https_proxy']);
    expect(calls.flat().join(' ')).not.toContain('password');
  });
});
