// Which certificate authorities and logs count as Sigstore: refreshed over TUF where its server answers, else the copy
// that came with make-runtime, else a file of the user's. Says which it was, because an old one cannot know new keys.
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { TrustedRoot } from '@sigstore/protobuf-specs';
import seeds from '@sigstore/tuf/seeds.json' with { type: 'json' };
import { type Fetcher, Updater } from 'tuf-js';
import { DownloadHTTPError } from 'tuf-js/dist/error.js';
import type { Context } from '../lib/context.ts';
import { MakeRuntimeError, throwIfCancelled } from '../lib/errors.ts';
import { MirrorFailure, type Patience, TooLarge } from './http.ts';
import { fetchSmall } from './small-file.ts';

export interface TrustRoot {
  readonly keys: TrustedRoot;
  /** For people: "Sigstore's trust root of today (TUF root 14)". */
  readonly origin: string;
  /** Refreshed just now, so that what it does not name is not Sigstore's. */
  readonly fresh: boolean;
}

const repository = 'https://tuf-repo-cdn.sigstore.dev';
const target = 'trusted_root.json';
const patience: Patience = { attempts: 2, delay: 500, silence: 15_000 };

/** Where a refresh begins; tests put a repository of their own here. */
export interface TufSeed {
  readonly url: string;
  /** The root metadata trusted to begin with. */
  readonly root: Buffer;
  /** The target as it was when this version was made. */
  readonly target: Buffer;
}

/** The seed in @sigstore/tuf, the one Sigstore's own client starts from. */
export function shippedSeed(): TufSeed {
  const seed = seeds[repository];
  return {
    url: repository,
    root: Buffer.from(seed['root.json'], 'base64'),
    target: Buffer.from(seed.targets[target], 'base64'),
  };
}

/**
 * The trust root to verify with. A TUF server out of reach is a warning, not an error: the shipped root then counts.
 * @throws TRUST_ROOT_INVALID when the server answers with metadata that its own signatures do not cover; CANCELLED
 */
export async function openTrustRoot(ctx: Context, seed: TufSeed = shippedSeed()): Promise<TrustRoot> {
  const shipped: TrustRoot = {
    keys: parse(seed.target.toString('utf8')),
    origin: 'the trust root that came with this make-runtime',
    fresh: false,
  };
  if (ctx.offline) return shipped;
  try {
    return await refresh(ctx, seed);
  } catch (error) {
    throwIfCancelled(ctx.signal);
    if (!(error instanceof MirrorFailure)) {
      throw new MakeRuntimeError('TRUST_ROOT_INVALID', `What ${seed.url} sent is not Sigstore's trust root.`, {
        remedy:
          'Check the proxy, which may answer in its place; or give a trusted_root.json you trust with --trusted-root.',
        detail: (error as Error).message,
        cause: error,
      });
    }
    ctx.report({
      type: 'warn',
      message: `Sigstore's trust root could not be refreshed (${new URL(seed.url).host}: ${error.message}); going on with the one that came with make-runtime.`,
      remedy: 'Check the network, or give a trusted_root.json with --trusted-root.',
    });
    return shipped;
  }
}

/**
 * A trust root from a file, as `cosign trusted-root` and Sigstore's TUF repository have it.
 * @throws TRUST_ROOT_INVALID
 */
export async function readTrustRoot(path: string): Promise<TrustRoot> {
  try {
    return { keys: parse(await readFile(path, 'utf8')), origin: `the trust root ${path}`, fresh: false };
  } catch (cause) {
    throw new MakeRuntimeError('TRUST_ROOT_INVALID', `${path} is not a Sigstore trust root.`, {
      remedy: "Give a trusted_root.json, for example Sigstore's own from its TUF repository.",
      detail: (cause as Error).message,
      cause,
    });
  }
}

/**
 * TUF's client workflow, from the seed every time: what an earlier run left in the cache could have been changed, and a
 * refresh costs half a dozen small files.
 */
async function refresh(ctx: Context, seed: TufSeed): Promise<TrustRoot> {
  await mkdir(ctx.cacheDir, { recursive: true });
  const folder = await mkdtemp(join(ctx.cacheDir, 'tuf-'));
  let failure: MirrorFailure | undefined;
  const fetch = async (url: string, limit: number) => {
    try {
      return await fetchSmall(url, limit, ctx, patience);
    } catch (error) {
      if (!(error instanceof MirrorFailure)) throw error;
      if (error.status !== undefined) throw new DownloadHTTPError(error.message, error.status);
      failure = error;
      throw error;
    }
  };
  const fetcher: Fetcher = {
    downloadBytes: fetch,
    async downloadFile(url, limit, handler) {
      const path = join(folder, 'download');
      await writeFile(path, await fetch(url, limit));
      return handler(path);
    },
  };
  try {
    await writeFile(join(folder, 'root.json'), seed.root);
    const updater = new Updater({
      metadataDir: folder,
      metadataBaseUrl: seed.url,
      targetDir: folder,
      targetBaseUrl: `${seed.url}/targets`,
      fetcher,
    });
    const info = await updater.getTargetInfo(target);
    if (!info) throw new Error(`the repository has no ${target}`);
    const path = await updater.downloadTarget(info, join(folder, 'target'));
    const { version } = JSON.parse(await readFile(join(folder, 'root.json'), 'utf8')).signed;
    return {
      keys: parse(await readFile(path, 'utf8')),
      origin: `Sigstore's trust root (TUF root ${version})`,
      fresh: true,
    };
  } catch (error) {
    // A server that is down, or that has something else than TUF at the address, is out of reach in effect.
    if (failure) throw failure;
    if (error instanceof DownloadHTTPError) throw new MirrorFailure(error.message, { cause: error });
    throw error instanceof TooLarge ? new Error('a file is larger than TUF allows', { cause: error }) : error;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function parse(text: string): TrustedRoot {
  const value: unknown = JSON.parse(text);
  const keys = TrustedRoot.fromJSON(value);
  if (keys.certificateAuthorities.length === 0 || keys.tlogs.length === 0 || keys.ctlogs.length === 0) {
    throw new Error('it names no certificate authority, no transparency log or no certificate log');
  }
  return keys;
}
