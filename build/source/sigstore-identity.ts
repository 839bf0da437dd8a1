// Who signs the releases of each CPython series, and with whose login. Facts only; sigstore.ts compares.
// Source: the table of python/release-tools (add_to_pydotorg.py), the same that python.org/downloads/metadata/sigstore
// shows. It is code, not data beside the lock: changing whom we trust must look like it in a review.

export interface Identity {
  /** The e-mail address in the certificate. */
  readonly email: string;
  /** The OpenID Connect issuer that vouched for it. */
  readonly issuer: string;
}

const google = 'https://accounts.google.com';
const github = 'https://github.com/login/oauth';

const releaseManagers: Readonly<Record<string, Identity>> = {
  '3.10': { email: 'pablogsal@python.org', issuer: google },
  '3.11': { email: 'pablogsal@python.org', issuer: google },
  '3.12': { email: 'thomas@python.org', issuer: google },
  '3.13': { email: 'thomas@python.org', issuer: google },
  '3.14': { email: 'hugo@python.org', issuer: github },
  '3.15': { email: 'hugo@python.org', issuer: github },
  '3.16': { email: 'savannah@python.org', issuer: github },
  '3.17': { email: 'savannah@python.org', issuer: github },
};

/** The release manager of a series such as "3.14"; undefined for one this version of make-runtime does not know. */
export function releaseManager(series: string): Identity | undefined {
  return Object.hasOwn(releaseManagers, series) ? releaseManagers[series] : undefined;
}
