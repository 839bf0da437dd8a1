// A Sigstore of the test's own: certificate authority, certificate log and Rekor, so that bundles can be made for
// anybody. The logs are @sigstore/mock's; its authority issues for URIs only, so the e-mail certificates of release
// managers are made here with the same X.509 library.
import {
  createHash,
  generateKeyPairSync,
  type KeyPairKeyObjectResult,
  sign as signBytes,
  webcrypto,
  X509Certificate,
} from 'node:crypto';
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';
import { initializeCTLog, initializeTLog } from '@sigstore/mock';

export interface SignAs {
  readonly email?: string;
  readonly issuer?: string;
  /** A URI in the certificate instead of an e-mail address. */
  readonly uri?: string;
  /** Logs another certificate of the same key beside the right signature. */
  readonly logOther?: boolean;
}

export interface TestSigstore {
  /** trusted_root.json. */
  readonly trustedRoot: string;
  /** The text of a bundle, in format 0.3. */
  sign(bytes: Buffer, as?: SignAs): Promise<string>;
}

/** Rekor's answer (https://rekor.sigstore.dev/api/v1/log/entries); hashes in hexadecimal. */
interface RekorEntry {
  readonly body: string;
  readonly integratedTime: number;
  readonly logID: string;
  readonly logIndex: number;
  readonly verification: {
    readonly signedEntryTimestamp: string;
    readonly inclusionProof: {
      readonly logIndex: number;
      readonly treeSize: number;
      readonly rootHash: string;
      readonly hashes: readonly string[];
      readonly checkpoint: string;
    };
  };
}

export const hugo = { email: 'hugo@python.org', issuer: 'https://github.com/login/oauth' } as const;

const keyPair = (): KeyPairKeyObjectResult => generateKeyPairSync('ec', { namedCurve: 'P-256' });
const p256 = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
// Fulcio writes the issuer twice: bare, and in the newer extension as a DER string (fulcio/docs/oid-info.md).
const bareIssuerOid = '1.3.6.1.4.1.57264.1.1';
const issuerOid = '1.3.6.1.4.1.57264.1.8';
const sctListOid = '1.3.6.1.4.1.11129.2.4.2';
const name = 'CN=sigstore,O=sigstore.test';

export async function startSigstore(): Promise<TestSigstore> {
  const crypto = webcrypto;
  x509.cryptoProvider.set(crypto);
  const ctLog = await initializeCTLog(keyPair());
  const rekor = await initializeTLog('https://rekor.test', keyPair());
  const authority = await crypto.subtle.generateKey(p256, true, ['sign', 'verify']);
  const now = Date.now();
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: '01',
    name,
    notBefore: new Date(now - 60_000),
    notAfter: new Date(now + 86_400_000),
    keys: authority,
    signingAlgorithm: p256,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
      await x509.SubjectKeyIdentifierExtension.create(authority.publicKey),
    ],
  });
  const authorityId = await crypto.subtle.digest('SHA-256', await crypto.subtle.exportKey('spki', authority.publicKey));

  async function issue(publicKey: webcrypto.CryptoKey, { email, issuer, uri }: SignAs): Promise<Buffer> {
    const utf8 = Buffer.from(issuer ?? '');
    const extensions = [
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.codeSigning]),
      new x509.SubjectAlternativeNameExtension(
        [uri === undefined ? { type: 'email', value: email ?? '' } : { type: 'url', value: uri }],
        true,
      ),
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(authority.publicKey),
      new x509.Extension(bareIssuerOid, false, utf8),
      // A DER UTF8String; all of these are shorter than 128 bytes.
      new x509.Extension(issuerOid, false, Buffer.concat([Buffer.from([0x0c, utf8.length]), utf8])),
    ];
    const certificate = {
      serialNumber: '11182004',
      issuer: name,
      notBefore: new Date(now - 60_000),
      notAfter: new Date(now + 540_000),
      publicKey,
      signingKey: authority.privateKey,
      signingAlgorithm: p256,
      extensions,
    };
    const preliminary = await x509.X509CertificateGenerator.create(certificate);
    const sct = Buffer.from(await ctLog.log(preliminary.rawData, authorityId));
    const list = Buffer.concat([Buffer.from([0x04, sct.length + 2, 0x00, sct.length]), sct]);
    extensions.push(new x509.Extension(sctListOid, false, list));
    return Buffer.from((await x509.X509CertificateGenerator.create(certificate)).rawData);
  }

  const authorityOfLog = (baseUrl: string, publicKey: Buffer) => ({
    baseUrl,
    hashAlgorithm: 'SHA2_256',
    publicKey: {
      rawBytes: publicKey.toString('base64'),
      keyDetails: 'PKIX_ECDSA_P256_SHA_256',
      validFor: { start: new Date(now - 60_000).toISOString() },
    },
    logId: { keyId: createHash('sha256').update(publicKey).digest('base64') },
  });

  return {
    trustedRoot: JSON.stringify({
      mediaType: 'application/vnd.dev.sigstore.trustedroot+json;version=0.1',
      tlogs: [authorityOfLog('https://rekor.test', rekor.publicKey)],
      certificateAuthorities: [
        {
          subject: { organization: 'sigstore.test', commonName: 'sigstore' },
          uri: 'https://fulcio.test',
          certChain: { certificates: [{ rawBytes: Buffer.from(root.rawData).toString('base64') }] },
          validFor: { start: new Date(now - 60_000).toISOString() },
        },
      ],
      ctlogs: [authorityOfLog('https://ctlog.test', ctLog.publicKey)],
      timestampAuthorities: [],
    }),

    async sign(bytes, as = hugo) {
      const { privateKey, publicKey } = keyPair();
      const spki = publicKey.export({ type: 'spki', format: 'der' });
      const key = await crypto.subtle.importKey('spki', spki, p256, true, ['verify']);
      const certificate = await issue(key, as);
      const signature = signBytes('sha256', bytes, privateKey).toString('base64');
      const digest = createHash('sha256').update(bytes).digest();
      const logged = as.logOther === true ? await issue(key, as) : certificate;
      const pem = new X509Certificate(logged).toString();
      const entries = await rekor.log({
        apiVersion: '0.0.1',
        kind: 'hashedrekord',
        spec: {
          data: { hash: { algorithm: 'sha256', value: digest.toString('hex') } },
          signature: { content: signature, publicKey: { content: Buffer.from(pem).toString('base64') } },
        },
      });
      const entry = Object.values(entries as Record<string, RekorEntry>)[0];
      if (!entry) throw new Error('the test log answered in another form');
      const { inclusionProof: proof, signedEntryTimestamp } = entry.verification;
      const base64 = (hex: string) => Buffer.from(hex, 'hex').toString('base64');
      return JSON.stringify({
        mediaType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
        verificationMaterial: {
          certificate: { rawBytes: certificate.toString('base64') },
          tlogEntries: [
            {
              logIndex: String(entry.logIndex),
              logId: { keyId: base64(entry.logID) },
              kindVersion: { kind: 'hashedrekord', version: '0.0.1' },
              integratedTime: String(entry.integratedTime),
              inclusionPromise: { signedEntryTimestamp },
              inclusionProof: {
                logIndex: String(proof.logIndex),
                rootHash: base64(proof.rootHash),
                treeSize: String(proof.treeSize),
                hashes: proof.hashes.map(base64),
                checkpoint: { envelope: proof.checkpoint },
              },
              canonicalizedBody: entry.body,
            },
          ],
        },
        messageSignature: {
          messageDigest: { algorithm: 'SHA2_256', digest: digest.toString('base64') },
          signature,
        },
      });
    },
  };
}
