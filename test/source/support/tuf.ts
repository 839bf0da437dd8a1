// A TUF repository of the test's own on its file server: enough of the specification to rotate a root and to be wrong.
import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import type { TufSeed } from '../../../build/source/sigstore-root.ts';
import { type FileServer, whole } from './server.ts';

export interface TestTuf {
  /** What a client starts from: root 1, and the target as it was then. */
  readonly seed: TufSeed;
  /** Publishes root 2 and the current target; `wrong` spoils one thing. */
  publish(target: string, wrong?: 'signature' | 'target' | 'expired' | 'rollback'): void;
}

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

export function serveTuf(server: FileServer, oldTarget: string): TestTuf {
  const key = () => {
    const { publicKey, privateKey } = generateKeyPairSync('ed25519');
    // The raw key is the last 32 bytes of its SPKI form (RFC 8410).
    const hex = publicKey.export({ type: 'spki', format: 'der' }).subarray(-32).toString('hex');
    return { id: sha256(hex), privateKey, value: { keytype: 'ed25519', scheme: 'ed25519', keyval: { public: hex } } };
  };
  const first = key();
  const second = key();
  const signed = (body: object, ...by: (typeof first)[]) => {
    const canonical = Buffer.from(JSON.stringify(sorted(body)));
    const signatures = by.map(({ id, privateKey }) => ({
      keyid: id,
      sig: sign(null, canonical, privateKey).toString('hex'),
    }));
    return JSON.stringify({ signatures, signed: body });
  };
  const day = (n: number) => `${new Date(Date.now() + n * 86_400_000).toISOString().slice(0, 19)}Z`;
  const head = (type: string, version = 1, expires = day(7)) => ({
    _type: type,
    spec_version: '1.0.31',
    version,
    expires,
  });
  const root = (version: number, { id, value }: typeof first, expires?: string) => {
    const role = { keyids: [id], threshold: 1 };
    return {
      ...head('root', version, expires),
      consistent_snapshot: true,
      keys: { [id]: value },
      roles: { root: role, timestamp: role, snapshot: role, targets: role },
    };
  };
  const put = (path: string, text: string) => server.serve(`/tuf/${path}`, whole(Buffer.from(text)));
  return {
    seed: {
      url: server.url('/tuf'),
      // Expired, as a shipped root is after some months: a later one signed by it is all the same right.
      root: Buffer.from(signed(root(1, first, day(-1)), first)),
      target: Buffer.from(oldTarget),
    },
    publish(target, wrong) {
      put(
        '2.root.json',
        signed(root(wrong === 'rollback' ? 1 : 2, second), first, wrong === 'signature' ? first : second),
      );
      put(
        'timestamp.json',
        signed(
          {
            ...head('timestamp', 1, wrong === 'expired' ? day(-1) : day(7)),
            meta: { 'snapshot.json': { version: 1 } },
          },
          second,
        ),
      );
      put('1.snapshot.json', signed({ ...head('snapshot'), meta: { 'targets.json': { version: 1 } } }, second));
      const description = { length: Buffer.byteLength(target), hashes: { sha256: sha256(target) } };
      put('1.targets.json', signed({ ...head('targets'), targets: { 'trusted_root.json': description } }, second));
      put(
        `targets/${sha256(target)}.trusted_root.json`,
        wrong === 'target' ? target.replace('fulcio', 'fulcia') : target,
      );
    },
  };
}

/** Canonical JSON, which for ASCII text and whole numbers is JSON with sorted keys. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, sorted(inner)]),
  );
}
