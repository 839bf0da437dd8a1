// `make-runtime push` as users run it, to Debian's docker-registry: open, with htpasswd, with TLS, and with a proxy in
// between that does what networks do. skopeo and podman say what arrived. ECR is push-ecr.test.ts.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { execa } from 'execa';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type ErrorCode, exitStatus } from '../../build/lib/errors.ts';
import { makeImage } from '../push/support.ts';
import {
  type LocalRegistry,
  missingPrograms,
  podman,
  startReferrersRegistry,
  startRegistry,
} from './judges/containers.ts';
import { build, cli } from './judges/layer.ts';
import { type Fault, type RegistryProxy, registryProxy } from './judges/registry-proxy.ts';

const dir = await mkdtemp(join(tmpdir(), 'make-runtime-push-'));
const closing: AsyncDisposable[] = [];
const missing =
  process.platform === 'linux'
    ? await missingPrograms({
        skopeo: 'skopeo',
        podman: 'podman',
        runc: 'runc',
        openssl: 'openssl',
        'docker-registry': 'docker-registry',
        htpasswd: 'apache2-utils',
      })
    : 'these judges run on Linux';

interface TargetResult {
  readonly target: string;
  readonly digest: string;
  readonly uri: string;
  readonly before?: string;
  readonly blobs: {
    readonly uploaded: number;
    readonly mounted: number;
    readonly found: number;
    readonly bytes: number;
  };
  readonly statements?: { readonly digests: readonly string[]; readonly through?: string };
}

// Never the configuration of whoever runs the tests.
const environment = { CI: '1', HOME: dir, DOCKER_CONFIG: join(dir, 'no-docker-config') };
const run = (args: readonly string[], env: Record<string, string> = {}) =>
  execa(process.execPath, [cli, 'push', ...args], { cwd: dir, reject: false, env: { ...environment, ...env } });

async function push(args: readonly string[], env: Record<string, string> = {}): Promise<TargetResult[]> {
  const result = await run([...args, '--json'], env);
  if (result.exitCode !== 0)
    throw new Error(`${result.escapedCommand} ended with ${result.exitCode}:\n${result.stderr}`);
  return JSON.parse(result.stdout).targets;
}

async function inspect(image: string, ...options: string[]): Promise<{ Digest: string; Layers: string[] }> {
  const { stdout } = await execa('skopeo', ['inspect', '--tls-verify=false', ...options, `docker://${image}`]);
  return JSON.parse(stdout);
}

function there<Thing extends object>(thing: Thing | { missing: string }): Thing {
  if ('missing' in thing) throw new Error(thing.missing);
  return thing;
}

let registry: LocalRegistry;
/** Small, for what is about the line and not about the image. */
let small: { path: string; digest: string };
let layer: string;

beforeAll(async () => {
  if (missing !== undefined) return;
  registry = there(await startRegistry(join(dir, 'registry')));
  closing.push(registry);
  await mkdir(join(dir, 'small'));
  small = await makeImage(join(dir, 'small'));
  layer = process.env['MAKE_RUNTIME_TEST_LAYERS']?.split(':')[0] ?? (await build('3.13t', join(dir, 'layer')));
});
afterAll(async () => {
  for (const one of closing.reverse()) await one[Symbol.asyncDispose]();
  await rm(dir, { recursive: true, force: true });
});

if (missing !== undefined) test('push', ({ skip }) => skip(missing));

describe.skipIf(missing !== undefined)('an image of the runtime', () => {
  interface Made {
    readonly path: string;
    readonly digest: string;
    readonly layers: readonly { readonly digest: string }[];
    readonly statements: Readonly<Record<'cyclonedx' | 'spdx' | 'provenance', string>>;
  }
  let made: Made;
  beforeAll(async () => {
    const { stdout } = await execa(
      process.execPath,
      [cli, 'image', layer, '--base', 'scratch', '--tar', '--output', join(dir, 'out'), '--json'],
      { cwd: dir, env: environment },
    );
    made = JSON.parse(stdout);
  });

  test('the verdict on its runtime lies beside it', async () => {
    const verdict = JSON.parse(await readFile(join(dirname(made.path), 'image-verdict.json'), 'utf8'));
    expect(verdict).toMatchObject({ image: made.digest, ok: true });
  });

  test('skopeo and podman read what arrived, and it is what was made', async () => {
    const image = `${registry.host}/runtime/python:3.13t`;
    const [first] = await push([made.path, image]);
    expect(first).toMatchObject({ digest: made.digest, uri: `${registry.host}/runtime/python@${made.digest}` });
    expect(await inspect(image)).toMatchObject({
      Digest: made.digest,
      Layers: made.layers.map(({ digest }) => digest),
    });
    // Copying makes skopeo read every blob and compare it with its digest.
    await execa('skopeo', ['copy', '-q', '--src-tls-verify=false', `docker://${image}`, `dir:${join(dir, 'copied')}`]);
    const run = await podman(join(dir, 'podman'));
    const pulled = await run(['pull', '-q', '--tls-verify=false', image]);
    expect(pulled.all).toMatch(/[0-9a-f]{64}/);
    const { stdout } = await run(['image', 'inspect', '--format', '{{.Digest}} {{.Architecture}}', image]);
    expect(stdout).toBe(`${made.digest} ${process.arch === 'arm64' ? 'arm64' : 'amd64'}`);
  });

  test('again nothing is sent; another repository mounts; the folder is the same image as the archive', async () => {
    const folder = join(dirname(made.path), 'image');
    const targets = [`${registry.host}/runtime/python:3.13t`, `${registry.host}/runtime/copy:1`];
    const [again, other] = await push([folder, ...targets]);
    expect(again).toMatchObject({ before: made.digest, blobs: { uploaded: 0, bytes: 0 } });
    expect(other).toMatchObject({ digest: made.digest, blobs: { uploaded: 0, found: 0, bytes: 0 } });
    expect(other?.blobs.mounted).toBeGreaterThan(1);
    expect((await inspect(`${registry.host}/runtime/copy:1`)).Digest).toBe(made.digest);
  });

  test('SBOM and provenance refer to it, and its tag stays one image', async () => {
    const image = `${registry.host}/runtime/python`;
    const get = (path: string, accept = '*/*') =>
      fetch(`http://${registry.host}/v2/runtime/python/${path}`, { headers: { accept } });
    // docker-registry 2.8 has no referrers API: the tag of the specification stands in for it.
    const index = await get(`manifests/${made.digest.replace(':', '-')}`, 'application/vnd.oci.image.index.v1+json');
    const { manifests } = (await index.json()) as { manifests: { digest: string; artifactType: string }[] };
    const contents = new Map<string, string>();
    for (const { digest, artifactType } of manifests) {
      const artifact = await get(`manifests/${digest}`, 'application/vnd.oci.image.manifest.v1+json');
      const { subject, layers } = (await artifact.json()) as {
        subject: { digest: string };
        layers: { digest: string }[];
      };
      expect(subject.digest).toBe(made.digest);
      contents.set(artifactType, await (await get(`blobs/${layers[0]?.digest}`)).text());
    }
    expect(Object.fromEntries(contents)).toEqual({
      'application/vnd.cyclonedx+json': await readFile(made.statements.cyclonedx, 'utf8'),
      'application/spdx+json': await readFile(made.statements.spdx, 'utf8'),
      'application/vnd.in-toto+json': await readFile(made.statements.provenance, 'utf8'),
    });
    const raw = await execa('skopeo', ['inspect', '--raw', '--tls-verify=false', `docker://${image}:3.13t`]);
    expect(JSON.parse(raw.stdout).manifests).toBeUndefined();
  });

  test('an image that podman made of it is pushed as well', async () => {
    const run = await podman(join(dir, 'podman'));
    await writeFile(join(dir, 'Containerfile'), `FROM ${registry.host}/runtime/python:3.13t\nCMD ["app.handler"]\n`);
    const built = await run(['build', '-q', '--tls-verify=false', '-f', join(dir, 'Containerfile'), '-t', 'mine', dir]);
    expect(built.all).toMatch(/[0-9a-f]{64}/);
    expect((await run(['push', '-q', 'mine', `oci:${join(dir, 'mine')}:1`])).exitCode).toBe(0);
    const image = `${registry.host}/mine:1`;
    const [pushed] = await push([`${join(dir, 'mine')}:1`, image]);
    const raw = await inspect(image);
    expect(raw.Digest).toBe(pushed?.digest);
    // podman packs layers anew, so none of them is known to the registry.
    expect(pushed?.blobs.uploaded).toBeGreaterThan(1);
    expect(pushed?.statements).toEqual({ digests: [] });
  });
});

describe.skipIf(missing !== undefined)('a registry that has the referrers API', () => {
  test('lists SBOM and provenance of an image, and gets no tag for them', async ({ skip }) => {
    const found = await startReferrersRegistry(join(dir, 'referrers'));
    if ('missing' in found) return skip(found.missing);
    closing.push(found);
    const [pushed] = await push([small.path, `${found.host}/app:1`]);
    expect(pushed?.statements?.through).toBe('referrers');
    const get = async (path: string) => (await fetch(`http://${found.host}/v2/app/${path}`)).json();
    const { manifests } = (await get(`referrers/${small.digest}`)) as { manifests: { digest: string }[] };
    expect(manifests.map(({ digest }) => digest).sort()).toEqual([...pushed!.statements!.digests].sort());
    expect(await get('tags/list')).toMatchObject({ tags: ['1'] });
    await execa('skopeo', [
      'copy',
      '-q',
      '--src-tls-verify=false',
      `docker://${found.host}/app:1`,
      `dir:${join(dir, 'r')}`,
    ]);
    // Again: the same artifacts, once.
    expect((await push([small.path, `${found.host}/app:1`]))[0]?.statements).toEqual(pushed?.statements);
    expect(((await get(`referrers/${small.digest}`)) as { manifests: unknown[] }).manifests).toHaveLength(3);
  });
});

describe.skipIf(missing !== undefined)('credentials', () => {
  const secret = 'hush:hush%1';
  let open: LocalRegistry;
  let tls: LocalRegistry;
  let ca: string;
  beforeAll(async () => {
    const users = join(dir, 'users');
    const { stdout } = await execa('htpasswd', ['-Bbn', 'ci', secret]);
    await writeFile(users, stdout);
    const [key, certificate] = [join(dir, 'tls.key'), join(dir, 'tls.crt')];
    await execa('openssl', [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'],
      ...['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', certificate],
    ]);
    ca = certificate;
    open = there(await startRegistry(join(dir, 'guarded'), users));
    tls = there(await startRegistry(join(dir, 'guarded-tls'), users, { key, certificate }));
    closing.push(open, tls);
  });
  const signedIn = async (name: string, config: unknown): Promise<Record<string, string>> => {
    await mkdir(join(dir, name), { recursive: true });
    await writeFile(join(dir, name, 'config.json'), JSON.stringify(config));
    return { DOCKER_CONFIG: join(dir, name) };
  };
  const auth = Buffer.from(`ci:${secret}`).toString('base64');

  test('from the configuration, over plain HTTP to this machine and over TLS', async () => {
    const env = await signedIn('plain', { auths: { [open.host]: { auth }, [tls.host]: { auth } } });
    expect(await push([small.path, `${open.host}/a:1`], env)).toMatchObject([{ digest: small.digest }]);
    expect((await inspect(`${open.host}/a:1`, '--creds', `ci:${secret}`)).Digest).toBe(small.digest);
    const trusted = { ...env, NODE_EXTRA_CA_CERTS: ca };
    expect(await push([small.path, `${tls.host}/a:1`], trusted)).toMatchObject([{ digest: small.digest }]);
    expect((await inspect(`${tls.host}/a:1`, '--creds', `ci:${secret}`)).Digest).toBe(small.digest);
  });

  test('from a helper', async () => {
    const env = await signedIn('helped', { credHelpers: { [open.host]: 'test' } });
    const helper = join(dir, 'helped', 'docker-credential-test');
    await writeFile(helper, `#!/bin/sh\ncat >/dev/null; echo '{"Username":"ci","Secret":"${secret}"}'\n`);
    await chmod(helper, 0o755);
    const PATH = `${join(dir, 'helped')}:${process.env['PATH']}`;
    expect(await push([small.path, `${open.host}/b:1`], { ...env, PATH })).toMatchObject([{ digest: small.digest }]);
  });

  test.each<[string, string | undefined, ErrorCode]>([
    ['none', undefined, 'REGISTRY_DENIED'],
    ['wrong ones', 'ci:wrong-password', 'REGISTRY_DENIED'],
  ])('%s', async (name, words, code) => {
    const auths = words === undefined ? {} : { [open.host]: { auth: Buffer.from(words).toString('base64') } };
    const result = await run([small.path, `${open.host}/c:1`], await signedIn(name, { auths }));
    expect(result.exitCode).toBe(exitStatus[code]);
    expect(result.stderr).toContain(`docker login ${open.host}`);
    expect(result.stderr).not.toContain('wrong-password');
  });

  test('a certificate nobody vouches for ends it before anything is said', async () => {
    const env = await signedIn('untrusted', { auths: { [tls.host]: { auth } } });
    const result = await run([small.path, `${tls.host}/d:1`], env);
    expect(result.exitCode).toBe(exitStatus.REGISTRY_UNREACHABLE);
    expect(result.stderr).toContain('TLS: self-signed certificate');
  });

  test('never in what is printed, and not sent where a Location leads', async () => {
    const other = await registryProxy(open.host);
    const proxy = await registryProxy(open.host);
    closing.push(other, proxy);
    proxy.fault = ({ method }) =>
      method === 'POST'
        ? { kind: 'location', change: (location) => location.replace(proxy.host, other.host) }
        : undefined;
    const env = await signedIn('recorded', { auths: { [proxy.host]: { auth } } });
    for (const options of [['--json'], []]) {
      const result = await run([small.path, `${proxy.host}/e:1`, ...options], env);
      // The other host wants credentials too, and is not told ours: so this push ends there.
      expect(result.exitCode).toBe(exitStatus.REGISTRY_DENIED);
      const printed = `${result.stdout} ${result.stderr}`;
      for (const one of [secret, auth, encodeURIComponent(secret)]) expect(printed).not.toContain(one);
    }
    expect(other.seen.length).toBeGreaterThan(0);
    expect(other.seen.every(({ authorization }) => authorization === undefined)).toBe(true);
    expect(proxy.seen.some(({ authorization }) => authorization === `Basic ${auth}`)).toBe(true);
  });
});

describe.skipIf(missing !== undefined)('a bad line', () => {
  let proxy: RegistryProxy;
  let number = 0;
  beforeAll(async () => {
    proxy = await registryProxy(registry.host);
    closing.push(proxy);
  });
  afterEach(() => {
    proxy.fault = () => undefined;
  });
  const fresh = (): string => {
    number += 1;
    return `${proxy.host}/line/${number}:1`;
  };
  /** The first request of each kind, once. */
  const once = (kinds: readonly RegExp[], fault: Fault): RegistryProxy['fault'] => {
    const left = new Set(kinds);
    return ({ method, url }) => {
      const kind = [...left].find((one) => one.test(`${method} ${url}`));
      if (kind === undefined) return undefined;
      left.delete(kind);
      return fault;
    };
  };
  const steps = [
    /^HEAD .*blobs/,
    /^POST .*uploads/,
    /^PUT .*uploads/,
    /^PUT .*manifests\/sha256:/,
    /^PUT .*manifests\/1$/,
  ];
  const uploads = [/^PUT .*uploads/];

  test.each<[string, readonly RegExp[], Fault]>([
    ['connections that break at every step', steps, { kind: 'drop' }],
    ['answers that are lost at every step', steps, { kind: 'lose-answer' }],
    ['a connection that breaks in the body', uploads, { kind: 'drop-in-body', after: 10 }],
    ['429 with Retry-After', steps, { kind: 'answer', status: 429, headers: { 'retry-after': '0' } }],
    ['500', steps, { kind: 'answer', status: 500 }],
    ['503', steps, { kind: 'answer', status: 503 }],
    ['a body that ends early', uploads, { kind: 'truncate', by: 20 }],
    ['a body that is changed', uploads, { kind: 'corrupt' }],
    ['201 for 202', [/^POST .*uploads/], { kind: 'status', status: 201 }],
    [
      'a relative Location',
      [/^POST .*uploads/],
      { kind: 'location', change: (text) => text.replace(/^http:\/\/[^/]+/, '') },
    ],
    [
      'a Location on another host',
      [/^POST .*uploads/],
      { kind: 'location', change: (text) => text.replace(/^http:\/\/[^/]+/, `http://${registry.host}`) },
    ],
  ])('%s', async (_, kinds, fault) => {
    const image = fresh();
    let hit = 0;
    const inner = once(kinds, fault);
    proxy.fault = (passing) => {
      const found = inner(passing);
      if (found !== undefined) hit += 1;
      return found;
    };
    expect(await push([small.path, image, '--no-statements'])).toMatchObject([{ digest: small.digest }]);
    expect(hit).toBe(kinds.length);
    await execa('skopeo', [
      'copy',
      '-q',
      '--src-tls-verify=false',
      `docker://${image}`,
      `dir:${await mkdtemp(join(dir, 'c-'))}`,
    ]);
    expect((await inspect(image)).Digest).toBe(small.digest);
  });

  test('one that does not get better: a sentence, and nothing under the tag', async () => {
    const image = fresh();
    proxy.fault = ({ method, url }) =>
      method === 'PUT' && url.includes('/manifests/')
        ? { kind: 'answer', status: 503, headers: { 'retry-after': '3600' } }
        : undefined;
    const result = await run([small.path, image]);
    expect(result.exitCode).toBe(exitStatus.REGISTRY_UNREACHABLE);
    expect(result.stderr).toContain('what has arrived is kept');
    proxy.fault = () => undefined;
    expect(
      (await execa('skopeo', ['inspect', '--tls-verify=false', `docker://${image}`], { reject: false })).exitCode,
    ).not.toBe(0);
    expect(await push([small.path, image])).toMatchObject([{ digest: small.digest, blobs: { uploaded: 0 } }]);
  });

  test.each<[string, RegExp, number]>([
    ['before the first blob', /^HEAD .*blobs/, 2],
    ['when an upload begins', /^POST .*uploads/, 2],
    ['while a blob is sent', /^PUT .*uploads/, 2],
    ['before the manifest', /^PUT .*manifests\/sha256:/, 0],
    ['before the statements', /^POST .*uploads|^PUT .*uploads/, 0],
    ['before the tag', /^PUT .*manifests\/1$/, 0],
  ])('kill -9 %s: no tag, and a re-run finishes', async (name, step, most) => {
    const image = fresh();
    const held = deferred();
    let manifest = false;
    proxy.fault = ({ method, url }) => {
      manifest ||= method === 'PUT' && url.includes('/manifests/sha256:');
      if (!step.test(`${method} ${url}`) || (name === 'before the statements' && !manifest)) return undefined;
      held.resolve();
      return { kind: 'hold' };
    };
    const child = spawn(process.execPath, [cli, 'push', small.path, image], {
      env: { ...process.env, ...environment },
    });
    await held.promise;
    child.kill('SIGKILL');
    await ended(child);
    proxy.fault = () => undefined;
    expect(
      (await execa('skopeo', ['inspect', '--tls-verify=false', `docker://${image}`], { reject: false })).exitCode,
    ).not.toBe(0);
    const [pushed] = await push([small.path, image]);
    expect(pushed?.blobs.uploaded).toBeLessThanOrEqual(most);
    expect(pushed?.statements?.digests).toHaveLength(3);
    expect((await inspect(image)).Digest).toBe(small.digest);
  });
});

function deferred(): { promise: Promise<void>; resolve: () => void } {
  let resolve = (): void => {};
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

function ended(child: ReturnType<typeof spawn>): Promise<unknown> {
  return child.exitCode !== null || child.signalCode !== null ? Promise.resolve() : once(child, 'exit');
}
