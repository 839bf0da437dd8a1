import { createHash } from 'node:crypto';
import { TrustedRoot } from '@sigstore/protobuf-specs';
import { beforeAll, describe, expect, test } from 'vitest';
import { isMakeRuntimeError } from '../../build/lib/errors.ts';
import { minors } from '../../build/recipe/cpython.ts';
import { readBundle, verifyBundle } from '../../build/source/sigstore.ts';
import { releaseManager } from '../../build/source/sigstore-identity.ts';
import type { TrustRoot } from '../../build/source/sigstore-root.ts';
import { failure } from '../recipe/support/failure.ts';
import { hugo, startSigstore, type TestSigstore } from './support/sigstore.ts';

const file = 'Python-3.14.9.tar.xz';
const bytes = Buffer.from('the bytes of a release');

let sigstore: TestSigstore;
let root: TrustRoot;
let good: string;
beforeAll(async () => {
  sigstore = await startSigstore();
  root = { keys: TrustedRoot.fromJSON(JSON.parse(sigstore.trustedRoot)), origin: 'the test root', fresh: true };
  good = await sigstore.sign(bytes);
});

const verify = (
  text: string,
  { content = bytes, expected = hugo as { email: string; issuer: string }, with: by = root } = {},
) => verifyBundle(readBundle(text, file), content, expected, by);

/** The good bundle with something changed in it. */
// biome-ignore lint/suspicious/noExplicitAny: any place of a JSON document
const changed = (change: (bundle: any) => void): string => {
  const bundle = JSON.parse(good);
  change(bundle);
  return JSON.stringify(bundle);
};
const flip = (base64: string): string => {
  const raw = Buffer.from(base64, 'base64');
  raw[raw.length - 1]! ^= 1;
  return raw.toString('base64');
};

test('every series that recipes build has a release manager, and no other name does', () => {
  for (const minor of minors) expect(releaseManager(minor)?.email).toMatch(/@python\.org$/);
  expect(releaseManager('3.14')).toEqual(hugo);
  expect(releaseManager('constructor')).toBeUndefined();
});

test('a bundle says who signed which bytes, and where that is logged', () => {
  expect(readBundle(good, file).sha256).toBe(createHash('sha256').update(bytes).digest('hex'));
  const today = new Date().toISOString().slice(0, 10);
  expect(verify(good)).toEqual({
    ...hugo,
    log: 'rekor.test',
    logIndex: JSON.parse(good).verificationMaterial.tlogEntries[0].logIndex,
    loggedOn: today,
  });
});

test("format 0.1 with a proof that lacks its checkpoint, as in CPython 3.12.5's bundle: the log's promise counts", () => {
  const old = (change: (entry: Record<string, unknown>) => void = () => {}) =>
    changed((bundle) => {
      const material = bundle.verificationMaterial;
      bundle.mediaType = 'application/vnd.dev.sigstore.bundle+json;version=0.1';
      material.x509CertificateChain = { certificates: [material.certificate] };
      delete material.certificate;
      delete material.tlogEntries[0].inclusionProof.checkpoint;
      change(material.tlogEntries[0]);
    });
  expect(verify(old())).toMatchObject(hugo);
  const forged = old((entry) => {
    const promise = entry.inclusionPromise as { signedEntryTimestamp: string };
    promise.signedEntryTimestamp = flip(promise.signedEntryTimestamp);
  });
  expect(failure(() => verify(forged)).code).toBe('SIGNATURE_INVALID');
  expect(failure(() => verify(old((entry) => delete entry.inclusionPromise))).code).toBe('SIGNATURE_INVALID');
});

/** The path of every member of a JSON document, at every depth. */
function pathsOf(value: unknown): string[][] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => [[key], ...pathsOf(inner).map((path) => [key, ...path])]);
}

describe('refused', () => {
  const refused = (text: string, how: Parameters<typeof verify>[1] = {}) => {
    const error = failure(() => verify(text, how));
    expect(error.message).toMatch(/^[^.]*Python-3\.14\.9\.tar\.xz[^\n]*\.$/);
    expect(error.remedy).toMatch(/\S/);
    return error;
  };

  test('other bytes than were signed', () => {
    const error = refused(good, { content: Buffer.from('other bytes') });
    expect(error).toMatchObject({ code: 'SIGNATURE_INVALID', message: expect.stringContaining('for another file') });
    expect(error.detail).toContain(createHash('sha256').update('other bytes').digest('hex'));
  });

  test.each([
    ['somebody else', { ...hugo, email: 'mallory@python.org' }],
    ['an address that the right one matches as a pattern', { ...hugo, email: 'hugo@pythonXorg' }],
    ['an address that contains the right one', { ...hugo, email: 'hugo@python.org.example' }],
    ['another issuer', { ...hugo, issuer: 'https://accounts.google.com' }],
    ['a URI in the place of the address', { issuer: hugo.issuer, uri: 'https://example.com/hugo@python.org' }],
    ['a URI of the same letters', { issuer: hugo.issuer, uri: 'hugo@python.org' }],
  ])('signed by %s', async (_, as) => {
    const error = refused(await sigstore.sign(bytes, as));
    expect(error).toMatchObject({ code: 'SIGNATURE_INVALID', message: expect.stringContaining('somebody else') });
    expect(error.detail).toContain('expected hugo@python.org');
  });

  test.each([
    ['no JSON', '<html>not here</html>'],
    ['no bundle', '{"mediaType": "text/plain"}'],
    ['null', 'null'],
    ['cut off', ''],
  ])('%s', (_, text) => {
    expect(refused(text).code).toBe('SIGNATURE_INVALID');
  });

  test('a bundle cut anywhere', () => {
    for (const part of [0.1, 0.5, 0.9, 0.999]) {
      expect(refused(good.slice(0, Math.floor(good.length * part))).code).toBe('SIGNATURE_INVALID');
    }
  });

  test('any one thing in it missing or of another kind: refused, or of no weight, but never a mistake of ours', () => {
    const accepted: string[] = [];
    for (const path of pathsOf(JSON.parse(good))) {
      for (const replacement of [undefined, null, '', 'x', -1, [], {}]) {
        const text = changed((bundle) => {
          const parent = path.slice(0, -1).reduce((inner, key) => inner[key], bundle);
          parent[path.at(-1) ?? ''] = replacement;
        });
        try {
          verify(text);
          accepted.push(path.join('.'));
        } catch (error) {
          expect(isMakeRuntimeError(error), `${path.join('.')} = ${replacement}: ${error}`).toBe(true);
        }
      }
    }
    // What the proof repeats of the signed checkpoint is not read; its path is empty here, the log having one entry.
    const proof = 'verificationMaterial.tlogEntries.0.inclusionProof';
    const weightless = [`${proof}.rootHash`, `${proof}.treeSize`, `${proof}.logIndex`, `${proof}.hashes`];
    expect(new Set(accepted)).toEqual(new Set(weightless));
  });

  // biome-ignore lint/suspicious/noExplicitAny: any place of a JSON document
  const damage: [string, (bundle: any) => void][] = [
    ['signature', (b) => (b.messageSignature.signature = flip(b.messageSignature.signature))],
    ['kind of hash', (b) => (b.messageSignature.messageDigest.algorithm = 'SHA2_512')],
    ['log entry', (b) => (b.verificationMaterial.tlogEntries = [])],
    ['promise', (b) => promiseOf(b, flip)],
    ['time of the log', (b) => (b.verificationMaterial.tlogEntries[0].integratedTime = '1700000000')],
    ['index in the log', (b) => (b.verificationMaterial.tlogEntries[0].logIndex = '99999999')],
    ['checkpoint', (b) => (b.verificationMaterial.tlogEntries[0].inclusionProof.checkpoint.envelope = 'x\n\n')],
    ['path in the log', (b) => b.verificationMaterial.tlogEntries[0].inclusionProof.hashes.push(flip('A'.repeat(44)))],
    ['entry of another file', (b) => bodyOf(b, (text) => text.replace(/"value":"[0-9a-f]{4}/, '"value":"0000'))],
    ['certificate', (b) => certificateOf(b, flip)],
    ['certificate that is none', (b) => certificateOf(b, () => 'AAAA')],
  ];
  // biome-ignore lint/suspicious/noExplicitAny: any place of a JSON document
  type Place = (bundle: any, change: (text: string) => string) => void;
  const promiseOf: Place = (b, change) => {
    const { inclusionPromise } = b.verificationMaterial.tlogEntries[0];
    inclusionPromise.signedEntryTimestamp = change(inclusionPromise.signedEntryTimestamp);
  };
  const bodyOf: Place = (b, change) => {
    const entry = b.verificationMaterial.tlogEntries[0];
    entry.canonicalizedBody = Buffer.from(change(Buffer.from(entry.canonicalizedBody, 'base64').toString())).toString(
      'base64',
    );
  };
  const certificateOf: Place = (b, change) => {
    b.verificationMaterial.certificate.rawBytes = change(b.verificationMaterial.certificate.rawBytes);
  };
  test.each(damage)('another %s', (_, change) => {
    expect(refused(changed(change)).code).toBe('SIGNATURE_INVALID');
  });

  test('a log entry for another certificate', async () => {
    const text = await sigstore.sign(bytes, { ...hugo, logOther: true });
    expect(refused(text)).toMatchObject({ detail: expect.stringContaining('another certificate') });
  });

  test('an attestation, which signs a statement and not the file', () => {
    const text = changed((bundle) => {
      delete bundle.messageSignature;
      bundle.dsseEnvelope = {
        payload: 'e30=',
        payloadType: 'application/vnd.in-toto+json',
        signatures: [{ sig: 'AA==' }],
      };
    });
    expect(refused(text)).toMatchObject({ message: expect.stringContaining('attestation') });
  });

  test('a bare key instead of a certificate', () => {
    const text = changed((bundle) => {
      delete bundle.verificationMaterial.certificate;
      bundle.verificationMaterial.publicKey = { hint: 'mine' };
    });
    expect(refused(text)).toMatchObject({ message: expect.stringContaining('with a key') });
  });

  test('another Sigstore: a forgery to a fresh root, perhaps only news to an old one', async () => {
    const other = await (await startSigstore()).sign(bytes);
    expect(refused(other).code).toBe('SIGNATURE_INVALID');
    const old = { ...root, fresh: false };
    expect(refused(other, { with: old })).toMatchObject({
      code: 'TRUST_ROOT_STALE',
      message: expect.stringContaining('the test root'),
      remedy: expect.stringContaining('--trusted-root'),
    });
  });

  test('a certificate authority that was retired before the signature', () => {
    const retired = JSON.parse(sigstore.trustedRoot);
    retired.certificateAuthorities[0].validFor.end = new Date(Date.now() - 3_600_000).toISOString();
    const by = { ...root, keys: TrustedRoot.fromJSON(retired) };
    expect(refused(good, { with: by }).code).toBe('SIGNATURE_INVALID');
    expect(refused(good, { with: { ...by, fresh: false } }).code).toBe('TRUST_ROOT_STALE');
  });
});
