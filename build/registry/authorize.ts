// A challenge and somebody's credentials -> the Authorization header that meets it, by way of a token service where the
// registry has one. https://distribution.github.io/distribution/spec/auth/
import type { Challenge } from './challenge.ts';
import type { Purpose } from './failure.ts';

/** Who we are for a registry: a name and a password, or a token that stands for both (Docker's "identitytoken"). */
export type Credentials = { readonly username: string; readonly password: string } | { readonly identityToken: string };

/** One request to a token service. */
export interface TokenRequest {
  readonly url: URL;
  readonly method: 'GET' | 'POST';
  readonly headers: Readonly<Record<string, string>>;
  /** A form. */
  readonly body?: string;
}

export function basic(credentials: Credentials | undefined): string | undefined {
  if (credentials === undefined || !('password' in credentials)) return undefined;
  return `Basic ${Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64')}`;
}

/** What of the credentials must never be seen, in all the forms in which a registry could echo it. */
export function secretsOf(credentials: Credentials | undefined): string[] {
  if (credentials === undefined) return [];
  if ('identityToken' in credentials) return [credentials.identityToken];
  const encoded = basic(credentials)!.slice('Basic '.length);
  return [encoded, credentials.password, encodeURIComponent(credentials.password)];
}

/**
 * What to ask the token service for. With an identity token it is a refresh as in OAuth 2.
 * @throws TypeError when the realm is no URL
 */
export function tokenRequest(
  challenge: Extract<Challenge, { scheme: 'bearer' }>,
  scopes: readonly string[],
  credentials: Credentials | undefined,
): TokenRequest {
  const url = new URL(challenge.realm);
  if (credentials !== undefined && 'identityToken' in credentials) {
    const form = new URLSearchParams({
      grant_type: 'refresh_token',
      client_id: 'make-runtime',
      ...(challenge.service === undefined ? {} : { service: challenge.service }),
      scope: scopes.join(' '),
      refresh_token: credentials.identityToken,
    });
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    return { url, method: 'POST', headers, body: form.toString() };
  }
  if (challenge.service !== undefined) url.searchParams.set('service', challenge.service);
  for (const scope of scopes) url.searchParams.append('scope', scope);
  const authorization = basic(credentials);
  return { url, method: 'GET', headers: authorization === undefined ? {} : { authorization } };
}

/**
 * The permissions to ask for. A challenge to a request that only reads asks for reading: whoever will write says so at
 * once. Scopes that are no repository's (public.ecr.aws: "aws") are the service's own affair.
 * @param mount repositories of the same registry to mount blobs from
 */
export function scopesFor(
  challenged: string | undefined,
  repository: string,
  purpose: Purpose,
  mount: readonly string[],
): string[] {
  if (purpose === 'pull') return [challenged ?? `repository:${repository}:pull`];
  if (challenged !== undefined && !challenged.startsWith('repository:')) return [challenged];
  return [`repository:${repository}:pull,push`, ...mount.map((from) => `repository:${from}:pull`)];
}
