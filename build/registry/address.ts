// Which addresses secrets may go to, and which a registry on the Internet has no business to name.
import { isIP } from 'node:net';

/** A host as URLs have it, with or without a port. */
export function isLoopback(host: string): boolean {
  const name = withoutPort(host);
  return name === 'localhost' || name === '[::1]' || /^127(\.\d{1,3}){3}$/.test(name);
}

/** TLS, or this very machine. */
export function mayCarrySecrets(url: URL): boolean {
  return url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(url.host));
}

/**
 * Whether an address written as numbers is of this machine, a private network or a link, where the services are that
 * hand out credentials (169.254.169.254). Names are not resolved.
 */
export function isInternal(host: string): boolean {
  if (isLoopback(host)) return true;
  const name = withoutPort(host).replace(/^\[|\]$/g, '');
  if (isIP(name) === 4)
    return /^(0|10|127|169\.254|192\.168|172\.(1[6-9]|2\d|3[01])|100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7]))\./.test(name);
  // Unique local, link-local, unspecified, and IPv4 in IPv6's clothes (RFC 4193, 4291).
  return isIP(name) === 6 && /^(f[cd]|fe[89ab]|::$|::ffff:)/i.test(name);
}

function withoutPort(host: string): string {
  return host.startsWith('[') ? host.replace(/\].*$/, ']') : host.replace(/:\d+$/, '');
}
