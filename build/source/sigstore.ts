// One Sigstore bundle against one file: was it signed by the person we expect, and is that in the public log? Needs no
// network. Knows nothing of releases or locks. Loaded only when something is verified: the libraries are 300 kB.
import { createHash, X509Certificate } from 'node:crypto';
import { type Bundle, bundleFromJSON } from '@sigstore/bundle';
import { HashAlgorithm } from '@sigstore/protobuf-specs';
import { PolicyError, type Signer, toSignedEntity, toTrustMaterial, Verifier } from '@sigstore/verify';
import { MakeRuntimeError } from '../lib/errors.ts';
import type { Identity } from './sigstore-identity.ts';
import type { TrustRoot } from './sigstore-root.ts';

/** What a bundle proved. */
export interface Signature extends Identity {
  /** The transparency log, by host: an index means nothing without it since Rekor has several. */
  readonly log: string;
  readonly logIndex: string;
  /** When the log took the entry, "2025-12-03"; undefined where a timestamp authority says it instead. */
  readonly loggedOn: string | undefined;
}

/** A bundle that was read but not verified; `sha256` is what it claims to sign. */
export interface ReadBundle {
  readonly file: string;
  readonly bundle: Bundle;
  readonly sha256: string;
}

/**
 * Reads a bundle: its form only, nothing in it is proven.
 * @param file name of the signed file, for messages
 * @throws SIGNATURE_INVALID when it is no bundle, or not one of a file by a certificate
 */
export function readBundle(text: string, file: string): ReadBundle {
  let bundle: Bundle;
  try {
    bundle = bundleFromJSON(JSON.parse(text));
  } catch (cause) {
    throw invalid(file, 'is not a Sigstore bundle, or is damaged', (cause as Error).message, cause);
  }
  const { content, verificationMaterial } = bundle;
  // An attestation signs a statement, not the file: the library would not compare the file with anything.
  if (content.$case !== 'messageSignature') throw invalid(file, 'is an attestation, not the signature of a file');
  if (verificationMaterial.content.$case === 'publicKey') throw invalid(file, 'was made with a key, not a certificate');
  const { algorithm, digest } = content.messageSignature.messageDigest;
  if (algorithm !== HashAlgorithm.SHA2_256) throw invalid(file, 'signs another kind of hash than SHA-256');
  for (const entry of verificationMaterial.tlogEntries) {
    // sigstore-python before 3.0 wrote inclusion proofs without a checkpoint, and CPython released with it (3.12.5 for
    // one). Such a proof proves nothing; the log's signed promise beside it is what format 0.1 requires, and is checked.
    if (entry.inclusionPromise && entry.inclusionProof && !entry.inclusionProof.checkpoint) {
      entry.inclusionProof = undefined;
    }
  }
  return { file, bundle, sha256: Buffer.from(digest).toString('hex') };
}

/**
 * Verifies that `bytes` were signed by `expected`: signature, certificate chain, certificate transparency, log entry.
 * @throws SIGNATURE_INVALID; TRUST_ROOT_STALE when the trust root at hand is an old one that may lack the keys
 */
export function verifyBundle(read: ReadBundle, bytes: Buffer, expected: Identity, root: TrustRoot): Signature {
  const { file, bundle, sha256 } = read;
  const received = createHash('sha256').update(bytes).digest('hex');
  if (received !== sha256) {
    throw invalid(file, 'is for another file', `signed   sha256 ${sha256}\nreceived sha256 ${received}`);
  }

  const trust = toTrustMaterial(root.keys);
  const entry = bundle.verificationMaterial.tlogEntries[0];
  if (!entry) throw invalid(file, 'has no entry of a transparency log');
  const log = trust.tlogs.find(({ logID }) => logID.equals(entry.logId.keyId));
  if (!log) throw unknownSigner(file, root, 'it is in a transparency log that the trust root does not name');

  let signer: Signer;
  try {
    const verifier = new Verifier(trust, { tlogThreshold: 1, ctlogThreshold: 1, timestampThreshold: 1 });
    signer = verifier.verify(toSignedEntity(bundle, bytes));
  } catch (cause) {
    const { code, message } = cause as { code?: string; message: string };
    // A trust root that does not know an authority says of its certificates and time stamps that they do not hold.
    if (code === 'CERTIFICATE_ERROR' || code === 'TIMESTAMP_ERROR') throw unknownSigner(file, root, message);
    if (code === undefined && !(cause instanceof PolicyError)) {
      // The library stumbles over what it does not expect; whatever that is, it is no valid signature.
      throw invalid(file, 'is damaged', message, cause);
    }
    throw invalid(file, 'does not hold', message, cause);
  }

  const certificate = certificateOf(bundle);
  // The library compares file and signature with the log entry; Sigstore's Python client also compares the certificate.
  if (!certificate || !loggedCertificate(entry.canonicalizedBody)?.equals(certificate.raw)) {
    throw invalid(file, 'does not hold', 'the entry in the transparency log is for another certificate');
  }
  // Compared here and not by the library's policy, which takes the expected address for a regular expression.
  const email = emailIn(certificate);
  const issuer = signer.identity?.extensions?.issuer;
  if (email !== expected.email || issuer !== expected.issuer) {
    throw new MakeRuntimeError('SIGNATURE_INVALID', `${file} was signed by somebody else than its release manager.`, {
      remedy:
        'Do not use it. If python.org announced a new release manager for the series, a newer make-runtime knows them.',
      detail: [
        `expected ${expected.email}, vouched for by ${expected.issuer}`,
        `signed   ${email ?? signer.identity?.subjectAlternativeName ?? 'nobody'}, vouched for by ${issuer ?? 'nobody'}`,
      ].join('\n'),
    });
  }
  const seconds = Number(entry.integratedTime);
  return {
    email,
    issuer,
    log: new URL(log.baseURL).host,
    logIndex: entry.logIndex,
    loggedOn: seconds > 0 ? new Date(seconds * 1000).toISOString().slice(0, 10) : undefined,
  };
}

function certificateOf(bundle: Bundle): X509Certificate | undefined {
  const { content } = bundle.verificationMaterial;
  switch (content.$case) {
    case 'certificate':
      return new X509Certificate(content.certificate.rawBytes);
    case 'x509CertificateChain': {
      const leaf = content.x509CertificateChain.certificates[0];
      return leaf && new X509Certificate(leaf.rawBytes);
    }
    default:
      return undefined;
  }
}

/** The certificate in a "hashedrekord" entry, the kind that signatures of files get (Rekor's pkg/types/hashedrekord). */
function loggedCertificate(body: Buffer): Buffer | undefined {
  const { kind, spec } = JSON.parse(body.toString('utf8'));
  if (kind !== 'hashedrekord') return undefined;
  const pem = spec?.signature?.publicKey?.content;
  const der = spec?.hashedRekordV002?.signature?.verifier?.x509Certificate?.rawBytes;
  if (typeof der === 'string') return Buffer.from(der, 'base64');
  try {
    return new X509Certificate(Buffer.from(pem, 'base64')).raw;
  } catch {
    return undefined; // A bare key: somebody signed without a certificate.
  }
}

/** The e-mail address a certificate is for, when it is for exactly that: a URI of the same letters is somebody else. */
function emailIn({ subjectAltName = '' }: X509Certificate): string | undefined {
  // Node quotes whatever could be mistaken for a separator (https://nodejs.org/api/crypto.html#x509subjectaltname).
  return /^email:([^\s,"]+)$/.exec(subjectAltName)?.[1];
}

function invalid(file: string, what: string, detail?: string, cause?: unknown): MakeRuntimeError {
  return new MakeRuntimeError('SIGNATURE_INVALID', `The Sigstore bundle of ${file} ${what}.`, {
    remedy: 'Run again: a broken download heals. If it stays, do not use the file, and compare with another network.',
    ...(detail === undefined ? {} : { detail }),
    ...(cause === undefined ? {} : { cause }),
  });
}

function unknownSigner(file: string, root: TrustRoot, why: string): MakeRuntimeError {
  if (root.fresh) return invalid(file, 'does not hold', why);
  return new MakeRuntimeError(
    'TRUST_ROOT_STALE',
    `The Sigstore bundle of ${file} cannot be verified with ${root.origin}: forged, or newer than that trust root.`,
    {
      remedy:
        'Let make-runtime reach tuf-repo-cdn.sigstore.dev, or give a current trusted_root.json with --trusted-root.',
      detail: why,
    },
  );
}
