// X-Ray trace headers, which every invocation has, sampled or not. Nothing is sent anywhere.
// Source: X-Ray developer guide, "Tracing header".
import { randomBytes } from 'node:crypto';

/** The caller's header if it has a root; a new one where there is none. */
export function traceHeader(given: string | string[] | undefined): string {
  if (typeof given === 'string' && /(^|;)\s*Root=/.test(given)) return given;
  const time = Math.floor(Date.now() / 1000).toString(16);
  return `Root=1-${time}-${randomBytes(12).toString('hex')};Parent=${randomBytes(8).toString('hex')};Sampled=0`;
}

/** What a response says of it. */
export function traceRoot(header: string): string {
  return header.split(';').find((part) => part.trim().startsWith('Root=')) ?? '';
}
