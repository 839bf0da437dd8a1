// The notation of a mirror in the lock file: a URL, or "debian:<suite>/<source package>=<version>/<file>".
// Only reads the notation; download.ts and debian.ts act on it.
import { MakeRuntimeError } from '../lib/errors.ts';

export type Mirror =
  | { readonly kind: 'http'; readonly url: string }
  | { readonly kind: 'file'; readonly url: string }
  | {
      readonly kind: 'debian';
      /** "trixie": the index that is read. */
      readonly suite: string;
      /** Source package: "python3.13". */
      readonly package: string;
      /**
       * "3.13.15-1", or "3.13.15-*" for whichever Debian revision the suite has: revisions replace one another with
       * every security update, while the upstream tarball in them stays the same file.
       */
      readonly version: string;
      readonly file: string;
    };

/**
 * Reads a mirror.
 * @throws LOCK_INVALID when it is neither a URL nor a Debian reference
 */
export function parseMirror(text: string): Mirror {
  if (text.startsWith('debian:')) {
    const match = /^debian:([a-z][a-z0-9-]*)\/([a-z0-9][a-z0-9.+-]+)=([0-9][A-Za-z0-9.+~:-]*\*?)\/([\w.+~-]+)$/.exec(
      text,
    );
    if (match) {
      const [, suite = '', name = '', version = '', file = ''] = match;
      return { kind: 'debian', suite, package: name, version, file };
    }
    throw malformed(text, 'debian:<suite>/<source package>=<version>/<file>');
  }
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw malformed(text, 'https://... or debian:<suite>/<source package>=<version>/<file>');
  }
  if (url.username !== '' || url.password !== '') throw malformed(url.host, 'a URL without a user name or password');
  if (url.protocol === 'https:' || url.protocol === 'http:') return { kind: 'http', url: text };
  if (url.protocol === 'file:') return { kind: 'file', url: text };
  throw malformed(text, 'an https, http or file URL');
}

function malformed(text: string, form: string): MakeRuntimeError {
  return new MakeRuntimeError('LOCK_INVALID', `"${text}" is not a mirror; the form is ${form}.`, {
    remedy: 'Correct the mirror in recipes/sources.lock.json.',
  });
}
