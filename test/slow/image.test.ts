// Images through the program as users run it, judged by those who will read them: skopeo, umoci, docker, podman, a
// registry and AWS's emulator. The base is made of Debian's glibc and shell; Amazon's own image is not to be had here.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ErrorCode, exitStatus } from '../../build/lib/errors.ts';
import { zipBytes } from '../../build/package/zip.ts';
import { fileOf, makeTree } from '../../build/tree/tree.ts';
import {
  type Docker,
  debianRoot,
  type LocalRegistry,
  missingPrograms,
  podman,
  startDocker,
  startRegistry,
} from './judges/containers.ts';
import { findEmulator } from './judges/emulator.ts';
import { cli, type JudgedLayer, judgedLayers } from './judges/layer.ts';

const dir = await mkdtemp(join(tmpdir(), 'make-runtime-images-'));
const closing: AsyncDisposable[] = [];
const missing =
  process.platform === 'linux'
    ? await missingPrograms({
        skopeo: 'skopeo',
        umoci: 'umoci',
        podman: 'podman',
        runc: 'runc',
        dockerd: 'docker.io',
        docker: 'docker.io',
        'docker-registry': 'docker-registry',
        htpasswd: 'apache2-utils',
      })
    : 'these judges run on Linux';

interface Made {
  readonly path: string;
  readonly digest: string;
  readonly base?: string;
  readonly mediaType: string;
  readonly statements?: { readonly cyclonedx: string; readonly provenance: string };
  readonly layers: readonly { readonly digest: string }[];
}

let layer: JudgedLayer;
let registry: LocalRegistry;
let docker: Docker;
let base: string;
let made: Made;
const name = 'judged/python:3.13t';

const run = (args: string[], env: Record<string, string> = {}) =>
  execa(process.execPath, [cli, 'image', ...args], { cwd: dir, reject: false, env: { CI: '1', ...env } });

async function image(args: string[], env: Record<string, string> = {}): Promise<Made> {
  const result = await run([...args, '--json'], env);
  if (result.exitCode !== 0)
    throw new Error(`${result.escapedCommand} ended with ${result.exitCode}:\n${result.stderr}`);
  return JSON.parse(result.stdout) as Made;
}

function there<Thing extends object>(thing: Thing | { missing: string }): Thing {
  if ('missing' in thing) throw new Error(thing.missing);
  return thing;
}

beforeAll(async () => {
  if (missing !== undefined) return;
  layer = (await judgedLayers(dir)).find(({ machine }) => !machine)!;
  docker = there(await startDocker(join(dir, 'docker')));
  registry = there(await startRegistry(join(dir, 'registry')));
  closing.push(docker as AsyncDisposable, registry);
  const root = await debianRoot(join(dir, 'debian'));
  const tar = await execa('tar', ['--owner=0', '--group=0', '-C', root, '-cf', '-', '.'], { encoding: 'buffer' });
  expect((await docker.run(['import', '-', 'base:1'], Buffer.from(tar.stdout))).exitCode).toBe(0);
  await docker.run(['save', '-o', join(dir, 'base.tar'), 'base:1']);
  base = `${registry.host}/base/debian:1`;
  await execa('skopeo', [
    'copy',
    '-q',
    '--dest-tls-verify=false',
    `docker-archive:${join(dir, 'base.tar')}`,
    `docker://${base}`,
  ]);
  made = await image([layer.path, '--base', base, '--output', join(dir, 'out'), '--tar', '--name', name]);
});
afterAll(async () => {
  for (const one of closing.reverse()) await one[Symbol.asyncDispose]();
  // Overlay mounts of a daemon that ended are gone with it.
  await rm(dir, { recursive: true, force: true });
});

if (missing !== undefined) test('images', ({ skip }) => skip(missing));

describe.skipIf(missing !== undefined)('an image of the free-threaded runtime', () => {
  const layout = () => join(made.path, '..', 'image');

  test('skopeo and umoci read layout and archive', async () => {
    const inspect = async (...args: string[]) => JSON.parse((await execa('skopeo', ['inspect', ...args])).stdout);
    expect(await inspect(`oci:${layout()}:3.13t`)).toMatchObject({
      Digest: made.digest,
      Os: 'linux',
      Layers: made.layers.map(({ digest }) => digest),
      Labels: { 'org.opencontainers.image.base.digest': made.base },
    });
    const { config, history, rootfs } = await inspect('--config', `oci:${layout()}:3.13t`);
    expect(config).toMatchObject({ Entrypoint: ['/lambda-entrypoint.sh'], WorkingDir: '/var/task' });
    expect(config.Cmd).toBeUndefined();
    expect(history).toHaveLength(rootfs.diff_ids.length);
    // Copying makes skopeo read every blob and compare it with its digest.
    for (const archive of [`oci-archive:${made.path}`, `docker-archive:${made.path}`])
      await execa('skopeo', ['copy', '-q', archive, `dir:${await mkdtemp(join(dir, 'skopeo-'))}`]);
    const bundle = join(dir, 'bundle');
    await execa('umoci', ['unpack', '--image', `${layout()}:3.13t`, bundle]);
    expect(await readdir(join(bundle, 'rootfs/var'))).toEqual(expect.arrayContaining(['lang', 'runtime', 'task']));
  });

  test('SBOM and provenance lie beside it', async () => {
    const { statements } = made;
    if (statements === undefined) throw new Error('the layer does not say what it is made of');
    const json = async (path: string) => JSON.parse(await readFile(path, 'utf8'));
    const bom = await json(statements.cyclonedx);
    expect(bom.metadata.component).toMatchObject({ type: 'container', hashes: [{ content: made.digest.slice(7) }] });
    expect(bom.components.map((one: { name: string }) => one.name)).toEqual(expect.arrayContaining(['CPython', 'pip']));
    const { subject, predicate } = await json(statements.provenance);
    expect(subject).toEqual([{ name: 'image', digest: { sha256: made.digest.slice(7) } }]);
    expect(predicate.buildDefinition.resolvedDependencies).toContainEqual({
      name: 'base image',
      digest: { sha256: made.base?.slice(7) },
    });
  });

  test('docker loads it, builds on it, installs in it', async () => {
    expect((await docker.run(['load', '-i', made.path])).stdout).toContain(`Loaded image: ${name}`);
    const context = join(dir, 'context');
    await mkdir(context);
    const wheel = makeTree([
      ['sample.py', fileOf('def main():\n    print("installed")\n')],
      ['sample-1.0.dist-info/WHEEL', fileOf('Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n')],
      ['sample-1.0.dist-info/METADATA', fileOf('Metadata-Version: 2.1\nName: sample\nVersion: 1.0\n')],
      ['sample-1.0.dist-info/entry_points.txt', fileOf('[console_scripts]\nsample = sample:main\n')],
      ['sample-1.0.dist-info/RECORD', fileOf('')],
    ]);
    await writeFile(join(context, 'sample-1.0-py3-none-any.whl'), await zipBytes(wheel));
    await writeFile(
      join(context, 'app.py'),
      'import os, sample, sys\ndef handler(event, context):\n    return [event, sys._is_gil_enabled(), sys.prefix, os.getuid()]\n',
    );
    const lines = [
      `FROM ${name}`,
      'COPY *.whl /tmp/',
      'RUN pip install --no-index /tmp/sample-1.0-py3-none-any.whl && sample && pip check && pip list --format=freeze',
      // pip can replace and remove itself: its RECORD is right.
      'RUN pip uninstall -y sample && pip3 uninstall -y pip && ls /var/lang/bin /var/lang/lib/python3.*/site-packages',
    ];
    await writeFile(join(context, 'Dockerfile.pip'), `${lines.join('\n')}\n`);
    const pip = await docker.run(['build', '--no-cache', '-f', join(context, 'Dockerfile.pip'), context]);
    expect(pip.exitCode, pip.all).toBe(0);
    expect(pip.all).toMatch(
      /Successfully installed sample-1\.0[\s\S]*\ninstalled\n[\s\S]*No broken requirements found/,
    );
    expect(pip.all).toMatch(/pip==\d[\s\S]*sample==1\.0/);
    const listing = pip.all.slice(pip.all.lastIndexOf('/var/lang/bin:'));
    expect(listing).toContain('python3.13t');
    expect(listing).not.toMatch(/^(pip|sample)/m);
    const dockerfile = [
      ...lines.slice(0, 2),
      'RUN pip install --no-index /tmp/*.whl',
      'COPY app.py ${LAMBDA_TASK_ROOT}',
      'CMD ["app.handler"]',
    ];
    await writeFile(join(context, 'Dockerfile'), `${dockerfile.join('\n')}\n`);
    const built = await docker.run(['build', '-t', 'function', context]);
    expect(built.exitCode, built.all).toBe(0);
  });

  test('a function on it answers under AWS’s emulator, with a read-only root and any user', async ({ skip }) => {
    const emulator = await findEmulator();
    if ('missing' in emulator) return skip(emulator.missing);
    const started = await docker.run([
      ...['run', '--detach', '--network', 'none', '--read-only', '--tmpfs', '/tmp', '--user', '993:990'],
      ...['--volume', `${emulator.path}:/usr/local/bin/aws-lambda-rie:ro`, 'function'],
    ]);
    expect(started.exitCode, started.all).toBe(0);
    const container = started.stdout.trim();
    try {
      // From inside, because the container has no network.
      const ask = [
        'import time, urllib.request',
        'url = "http://127.0.0.1:8080/2015-03-31/functions/function/invocations"',
        'for attempt in range(100):',
        '    try:',
        '        print(urllib.request.urlopen(url, b\'{"key": "value"}\').read().decode())',
        '        break',
        '    except ConnectionError:',
        '        time.sleep(0.2)',
      ].join('\n');
      const answer = await docker.run(['exec', container, '/var/lang/bin/python3', '-c', ask]);
      expect(JSON.parse(answer.stdout)).toEqual([{ key: 'value' }, false, '/var/lang', 993]);
      expect((await docker.run(['logs', container])).all).toContain('INVOKE RTDONE(status: success');
    } finally {
      await docker.run(['rm', '--force', container]);
    }
  });

  test('without an emulator, and without a handler, it says what is missing', async () => {
    const alone = await docker.run(['run', '--rm', '--network', 'none', 'function']);
    expect(alone.exitCode).toBe(127);
    expect(alone.all).toContain("AWS's emulator is not at /usr/local/bin/aws-lambda-rie");
    for (const args of [[], ['a.b', 'c']]) {
      const wrong = await docker.run(['run', '--rm', '--network', 'none', name, ...args]);
      expect(wrong.exitCode).toBe(142);
      expect(wrong.all).toContain('the only argument must be the handler');
    }
  });

  test('podman loads and runs it', async () => {
    const pod = await podman(join(dir, 'podman'));
    const loaded = await pod(['load', '-i', made.path]);
    expect(loaded.all).toContain(`Loaded image: docker.io/${name}`);
    const program = [
      '--entrypoint',
      '/var/lang/bin/python',
      `docker.io/${name}`,
      '-c',
      'import sys; print(sys.prefix)',
    ];
    const ran = await pod(['run', '--rm', '--network', 'none', ...program]);
    expect(ran.stdout, ran.all).toBe('/var/lang');
  });

  test('elsewhere, at another time, for another user: the same digest', async () => {
    const cache = join(dir, 'cache of another');
    const script = 'umask 077; exec "$@"';
    const args = [cli, 'image', layer.path, '--base', base, '--output', join(dir, 'again'), '--name', name, '--json'];
    const env = { CI: '1', TZ: 'Asia/Tokyo', LANG: 'C', HOME: dir, MAKE_RUNTIME_CACHE: cache };
    const result = await execa('sh', ['-c', script, 'sh', process.execPath, ...args], { cwd: dir, env });
    expect(JSON.parse(result.stdout).digest).toBe(made.digest);
  });

  test('in Docker’s media types, pushed by skopeo and pulled by podman', async () => {
    const args = ['--base', 'scratch', '--without-pip', '--format', 'docker', '--output', join(dir, 'docker-format')];
    const image_ = await image([layer.path, ...args]);
    expect(image_.mediaType).toBe('application/vnd.docker.distribution.manifest.v2+json');
    const target = `${registry.host}/pushed/image:1`;
    await execa('skopeo', ['copy', '-q', '--dest-tls-verify=false', `oci:${image_.path}`, `docker://${target}`]);
    const raw = await execa('skopeo', ['inspect', '--tls-verify=false', '--raw', `docker://${target}`]);
    expect(JSON.parse(raw.stdout)).toMatchObject({
      mediaType: image_.mediaType,
      layers: [{ digest: image_.layers[0]?.digest }],
    });
    const pod = await podman(join(dir, 'podman'));
    const pulled = await pod(['pull', '-q', '--tls-verify=false', target]);
    expect(pulled.exitCode, pulled.all).toBe(0);
  });

  test('boto3 baked in by a recipe', async () => {
    const recipe = join(dir, 'with-boto3.toml');
    await writeFile(
      recipe,
      'extends = "3.13"\n\n[[extras]]\nid = "boto3"\nrequirements = "boto3"\nreason = "The managed runtime has it."\n',
    );
    const version = (await execa('unzip', ['-p', layer.path, 'lang/build.json'])).stdout;
    const python = (JSON.parse(version) as { plan: { python: { version: string } } }).plan.python.version;
    const options = [
      '--flavor',
      'free-threaded',
      '--python',
      python,
      '--base',
      base,
      '--tar',
      '--name',
      'judged/boto3:1',
    ];
    const image_ = await image([recipe, ...options, '--output', join(dir, 'boto3')]);
    await docker.run(['load', '-i', image_.path]);
    const program = [
      'import boto3, sys',
      'client = boto3.client("sts", region_name="eu-central-1", aws_access_key_id="x", aws_secret_access_key="y")',
      'print(client.meta.endpoint_url, boto3.__cached__ is not None, sys._is_gil_enabled())',
    ].join('\n');
    const ran = await docker.run([
      'run',
      '--rm',
      '--network',
      'none',
      '--read-only',
      '--entrypoint',
      'python3',
      'judged/boto3:1',
      '-c',
      program,
    ]);
    expect(ran.stdout, ran.all).toBe('https://sts.eu-central-1.amazonaws.com True False');
    const checked = await docker.run([
      'run',
      '--rm',
      '--network',
      'none',
      '--entrypoint',
      'pip',
      'judged/boto3:1',
      'check',
    ]);
    expect(checked.all).toContain('No broken requirements found');
  });
});

describe.skipIf(missing !== undefined)('what can go wrong with images', () => {
  const output = () => join(dir, 'wrong');
  const failing = async (args: string[], env: Record<string, string> = {}) => {
    const { exitCode, stdout, stderr } = await run([layer.path, ...args, '--output', output()], env);
    expect(stdout).toBe('');
    expect(await readdir(output()).catch(() => [])).toEqual([]);
    return { exitCode, stderr };
  };

  test.each<[ErrorCode, () => string]>([
    ['BASE_NOT_FOUND', () => `${registry.host}/base/debian:none`],
    ['BASE_NOT_FOUND', () => 'layout:/nowhere'],
    ['REFERENCE_INVALID', () => 'Not A Reference'],
    ['REGISTRY_UNREACHABLE', () => 'localhost:1/base'],
  ])('%s', async (code, spec) => {
    const { exitCode, stderr } = await failing(['--base', spec()]);
    expect(stderr).toContain(`[${code}]`);
    expect(stderr).toMatch(/^try /m);
    expect(exitCode).toBe(exitStatus[code]);
  });

  test('a registry that wants to know who asks', async () => {
    const users = join(dir, 'users');
    await execa('htpasswd', ['-Bbc', users, 'me', 'secret']);
    const guarded = there(await startRegistry(join(dir, 'guarded'), users));
    try {
      const target = `${guarded.host}/base/debian:1`;
      const source = `docker-archive:${join(dir, 'base.tar')}`;
      await execa('skopeo', [
        'copy',
        '-q',
        '--dest-tls-verify=false',
        '--dest-creds=me:secret',
        source,
        `docker://${target}`,
      ]);
      const { stderr } = await failing(['--base', target]);
      expect(stderr).toContain('[REGISTRY_DENIED]');
    } finally {
      await guarded[Symbol.asyncDispose]();
    }
  });

  test('zstd layers, as skopeo makes them', async () => {
    const folder = join(dir, 'zstd');
    const options = ['--dest-compress', '--dest-compress-format', 'zstd'];
    await execa('skopeo', ['copy', '-q', ...options, `docker-archive:${join(dir, 'base.tar')}`, `oci:${folder}:1`]);
    const { stderr, exitCode } = await failing(['--base', `layout:${folder}`]);
    expect(stderr).toContain('compressed with zstd, which Lambda refuses');
    expect(exitCode).toBe(exitStatus.BASE_UNSUPPORTED);
  });

  test('a layer that is none of ours', async () => {
    const zip = join(dir, 'foreign.zip');
    await writeFile(zip, await zipBytes(makeTree([['bootstrap', fileOf('#!/bin/sh\n', 0o755)]])));
    const result = await run([zip, '--base', 'scratch', '--output', output()]);
    expect(result.stderr).toContain('[ARTIFACT_NOT_A_LAYER]');
  });

  test.skipIf(process.getuid?.() !== 0)('no space left', async ({ skip }) => {
    const small = join(dir, 'small');
    await mkdir(small);
    const mounted = await execa('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', small], { reject: false });
    if (mounted.exitCode !== 0) return skip('nothing can be mounted here');
    try {
      const { stderr, exitCode } = await run([layer.path, '--base', 'scratch', '--without-pip', '--output', small]);
      expect(stderr).toContain('[DISK_FULL]');
      expect(exitCode).toBe(exitStatus.DISK_FULL);
      expect((await readdir(small, { recursive: true, withFileTypes: true })).filter((one) => one.isFile())).toEqual(
        [],
      );
    } finally {
      await execa('umount', ['--lazy', small]);
    }
  });

  test.each(['SIGINT', 'SIGKILL'] as const)(
    '%s half-way: nothing half-written, and the next run succeeds',
    async (signal) => {
      const folder = join(dir, `stopped-${signal}`);
      const args = [layer.path, '--base', 'scratch', '--without-pip', '--output', folder];
      const child = spawn(process.execPath, [cli, 'image', ...args], {
        env: { ...process.env, CI: '1' },
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      let stderr = '';
      child.stderr.on('data', (chunk) => {
        stderr += chunk;
      });
      while (!/compressing Python/.test(stderr) && child.exitCode === null) await wait(20);
      await wait(300);
      child.kill(signal);
      await once(child, 'exit');
      const [plan = ''] = await readdir(folder);
      const left = await readdir(join(folder, plan));
      expect(left.filter((one) => !one.endsWith('.partial'))).toEqual([]);
      if (signal === 'SIGINT') expect(left).toEqual([]);
      await image(args);
      expect(await readdir(join(folder, plan))).toEqual(['image', 'image-statements', 'image-verdict.json']);
      expect(JSON.parse(await readFile(join(folder, plan, 'image/index.json'), 'utf8')).manifests).toHaveLength(1);
    },
  );
});
