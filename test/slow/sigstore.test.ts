// Bundles that others recorded, against the trust roots of the real Sigstore; and Sigstore's own Python client as the
// judge of those and of the bundles that the other tests make. The recordings are test data of the Rust client, taken
// from its release on crates.io by hash.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fetchSource } from '../../build/source/download.ts';
import { readBundle, verifyBundle } from '../../build/source/sigstore.ts';
import { openTrustRoot, readTrustRoot, type TrustRoot } from '../../build/source/sigstore-root.ts';
import { failure } from '../recipe/support/failure.ts';
import { type TestContext, testContext } from '../source/support/context.ts';
import { pin } from '../source/support/pins.ts';
import { hugo, startSigstore } from '../source/support/sigstore.ts';

const issuer = 'https://github.com/login/oauth';
const crate = pin(Buffer.alloc(0), ['https://static.crates.io/crates/sigstore-verify/sigstore-verify-0.15.1.crate'], {
  name: 'sigstore-verify',
  file: 'sigstore-verify-0.15.1.crate',
  size: 179_339,
  sha256: '465f37d73c80fc6a2fa519d1337befab2026fce47f490181f72842aa56d401e1',
});

let dir: string;
let data: string;
let ctx: TestContext;
let production: TrustRoot;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'make-runtime-sigstore-'));
  ctx = await testContext({ env: process.env });
  await execa('tar', ['-xzf', await fetchSource(crate, ctx), '-C', dir]);
  data = join(dir, 'sigstore-verify-0.15.1', 'test_data');
  // What came with make-runtime: the recordings are older than it.
  production = await openTrustRoot({ ...ctx, offline: true });
});
afterAll(async () => {
  await ctx[Symbol.asyncDispose]();
  await rm(dir, { recursive: true, force: true });
});

interface Recording {
  readonly file: string;
  readonly bundle: string;
  readonly email: string;
}

/** A recording, with the signer's address as OpenSSL reads it from the certificate. */
async function recording(file: string, bundle = `${file}.sigstore.json`): Promise<Recording> {
  const { rawBytes } = JSON.parse(await readFile(join(data, bundle), 'utf8')).verificationMaterial.certificate;
  const certificate = Buffer.from(rawBytes, 'base64');
  const { stdout } = await execa('openssl', ['x509', '-inform', 'der', '-noout', '-ext', 'subjectAltName'], {
    input: certificate,
  });
  const email = /email:(\S+)/.exec(stdout)?.[1] ?? '';
  expect(email).toContain('@');
  return { file: join(data, file), bundle: join(data, bundle), email };
}

const verify = async ({ file, bundle, email }: Recording, root: TrustRoot, expected = { email, issuer }) =>
  verifyBundle(readBundle(await readFile(bundle, 'utf8'), 'recording'), await readFile(file), expected, root);

const blob = () => recording('bundles/cosign-v3-blob.txt', 'bundles/cosign-v3-blob.sigstore.json');

describe('recorded bundles', () => {
  test('made on the public instance, with the trust root that ships', async () => {
    const recorded = await blob();
    expect(await verify(recorded, production)).toEqual({
      email: recorded.email,
      issuer,
      log: 'rekor.sigstore.dev',
      logIndex: '738312748',
      loggedOn: '2025-12-03',
    });
  });

  test('for somebody else, by another issuer, of other bytes', async () => {
    const recorded = await blob();
    const read = readBundle(await readFile(recorded.bundle, 'utf8'), 'recording');
    const bytes = await readFile(recorded.file);
    const right = { email: recorded.email, issuer };
    for (const expected of [hugo, { ...right, issuer: 'https://accounts.google.com' }])
      expect(failure(() => verifyBundle(read, bytes, expected, production)).code).toBe('SIGNATURE_INVALID');
    const other = Buffer.concat([bytes, Buffer.from('\n')]);
    expect(failure(() => verifyBundle(read, other, right, production)).message).toContain('another file');
  });

  test('in a log of the new kind, with a time stamp, on the staging instance', async () => {
    const recorded = await recording('upstream/sigstore-python/staging-rekor-v2.txt');
    const staging = await readTrustRoot(join(data, 'sct-multi-intermediate/staging_trusted_root.json'));
    expect(await verify(recorded, staging)).toMatchObject({ email: recorded.email, loggedOn: undefined });
    // Staging is not Sigstore: an old production root cannot tell, a fresh one can.
    await expect(verify(recorded, production)).rejects.toMatchObject({ code: 'TRUST_ROOT_STALE' });
    const fresh = { ...production, fresh: true };
    await expect(verify(recorded, fresh)).rejects.toMatchObject({ code: 'SIGNATURE_INVALID' });
  });
});

describe("Sigstore's Python client agrees", () => {
  let client: string;
  beforeAll(async () => {
    await execa('python3', ['-m', 'venv', join(dir, 'venv')]);
    const pip = join(dir, 'venv', 'bin', 'pip');
    await execa(pip, ['install', '--quiet', '--only-binary', ':all:', 'sigstore==4.5.1']);
    client = join(dir, 'venv', 'bin', 'sigstore');
  });

  const judge = async ({ file, bundle, email }: Recording, ...instance: string[]) => {
    const args = ['verify', 'identity', '--offline', '--bundle', bundle, '--cert-identity', email];
    const { exitCode, all } = await execa(client, [...instance, ...args, '--cert-oidc-issuer', issuer, file], {
      all: true,
      env: { HOME: dir },
      reject: false,
    });
    return { accepted: exitCode === 0, all };
  };

  test('on the recording', async () => {
    const recorded = await blob();
    expect(await judge(recorded)).toMatchObject({ accepted: true });
    expect(await judge({ ...recorded, email: hugo.email })).toMatchObject({ accepted: false });
  });

  test('on the bundles that our tests make, so that they are like real ones', async () => {
    const sigstore = await startSigstore();
    const bytes = Buffer.from('the bytes of a release');
    const made = { file: join(dir, 'made'), bundle: join(dir, 'made.sigstore'), email: hugo.email };
    const config = join(dir, 'config.json');
    const service = (url: string) => ({
      url,
      majorApiVersion: 1,
      validFor: { start: '2024-01-01T00:00:00Z' },
      operator: 'test',
    });
    await writeFile(
      config,
      JSON.stringify({
        mediaType: 'application/vnd.dev.sigstore.clienttrustconfig.v0.1+json',
        trustedRoot: JSON.parse(sigstore.trustedRoot),
        signingConfig: {
          mediaType: 'application/vnd.dev.sigstore.signingconfig.v0.2+json',
          caUrls: [service('https://fulcio.test')],
          oidcUrls: [],
          rekorTlogUrls: [service('https://rekor.test')],
          tsaUrls: [],
          rekorTlogConfig: { selector: 'ANY' },
          tsaConfig: { selector: 'ANY' },
        },
      }),
    );
    await writeFile(made.file, bytes);
    await writeFile(made.bundle, await sigstore.sign(bytes));
    expect(await judge(made, '--trust-config', config)).toMatchObject({ accepted: true });
    await writeFile(made.bundle, await sigstore.sign(bytes, { ...hugo, logOther: true }));
    expect(await judge(made, '--trust-config', config)).toMatchObject({ accepted: false });
  });
});
