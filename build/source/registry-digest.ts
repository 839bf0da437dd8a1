// What a container registry has under a tag, as a digest (OCI distribution specification, "Pulling manifests", and the
// token dance of docs.docker.com/reference/api/registry/auth). Pulls nothing, logs in nowhere.
import type { Context } from '../lib/context.ts';
import { MakeRuntimeError } from '../lib/errors.ts';
import { askText, MirrorFailure } from './http.ts';

const manifestTypes = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
].join(', ');

export interface Reference {
  readonly host: string;
  readonly repository: string;
  readonly tag: string;
}

/**
 * Splits "public.ecr.aws/lambda/provided:al2023".
 * @throws USAGE for a short name ("debian:12"): engines disagree about what it is short for
 */
export function parseReference(text: string): Reference {
  const match = /^([\w.-]+(?::\d+)?)\/([\w./-]+):([\w.-]+)$/.exec(text);
  const [, host = '', repository = '', tag = ''] = match ?? [];
  if (match && (host.includes('.') || host.includes(':') || host === 'localhost')) return { host, repository, tag };
  throw new MakeRuntimeError('USAGE', `"${text}" is not a full image reference.`, {
    remedy: 'Write registry, name and tag: public.ecr.aws/lambda/provided:al2023.',
  });
}

/**
 * The digest of a tag: of the index when the image is for several architectures, so that one pin serves all.
 * @throws USAGE, BUILDER_UNAVAILABLE, CANCELLED
 */
export async function registryDigest(reference: string, ctx: Context): Promise<string> {
  const { host, repository, tag } = parseReference(reference);
  // As every engine does: plain HTTP for this machine only.
  const scheme = /^(localhost|127\.0\.0\.1)(:|$)/.test(host) ? 'http' : 'https';
  const url = `${scheme}://${host}/v2/${repository}/manifests/${tag}`;
  const refuse = (detail: string, cause?: unknown): MakeRuntimeError =>
    new MakeRuntimeError('BUILDER_UNAVAILABLE', `The registry does not say what ${reference} is.`, {
      remedy: 'Check the name and the network (proxies: HTTPS_PROXY), or name an image that you have with --builder.',
      detail,
      cause,
    });
  if (ctx.offline) throw refuse('This run is offline.');
  try {
    const ask = (authorization?: string) =>
      askText(url, ctx, {
        method: 'HEAD',
        headers: { accept: manifestTypes, ...(authorization === undefined ? {} : { authorization }) },
      });
    let answer = await ask();
    if (answer.status === 401)
      answer = await ask(`Bearer ${await anonymousToken(answer.headers['www-authenticate'], ctx)}`);
    const digest = answer.headers['docker-content-digest'] ?? '';
    if (answer.status !== 200) throw refuse(`${url} answered HTTP ${answer.status}.`);
    if (!/^sha256:[0-9a-f]{64}$/.test(digest)) throw refuse(`${url} sent no digest.`);
    return digest;
  } catch (error) {
    if (error instanceof MirrorFailure) throw refuse(`${host}: ${error.message}`, error);
    throw error;
  }
}

async function anonymousToken(challenge: string | undefined, ctx: Context): Promise<string> {
  const value = (name: string): string | undefined => new RegExp(`${name}="([^"]*)"`).exec(challenge ?? '')?.[1];
  const realm = value('realm');
  if (!/^Bearer /i.test(challenge ?? '') || realm === undefined)
    throw new MirrorFailure('asks for a login of a kind that is not known');
  const url = new URL(realm);
  for (const name of ['service', 'scope']) {
    const text = value(name);
    if (text !== undefined) url.searchParams.set(name, text);
  }
  const { status, text } = await askText(url.href, ctx);
  if (status !== 200) throw new MirrorFailure(`gives no token without a login (HTTP ${status})`);
  const token = /"(?:access_)?token"\s*:\s*"([^"]+)"/.exec(text)?.[1];
  if (token === undefined) throw new MirrorFailure('sent a token answer without a token');
  return token;
}
