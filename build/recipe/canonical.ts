// One text for one value: JSON with sorted keys and no white space, so that equal plans have equal ids.
// Knows nothing of plans.
import { createHash } from 'node:crypto';

/**
 * Canonical JSON. Keys are sorted by UTF-16 code unit (as RFC 8785 does); undefined members are left out.
 * Throws TypeError for what JSON cannot say (NaN, functions, bigint): a plan with such a value is a bug.
 */
export function canonicalJson(value: unknown): string {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new TypeError(`${value} has no JSON form`);
    return JSON.stringify(value);
  }
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value === 'object') {
    const members = Object.keys(value)
      .sort()
      .filter((key) => (value as Record<string, unknown>)[key] !== undefined)
      .map((key) => `${JSON.stringify(key)}:${canonicalJson((value as Record<string, unknown>)[key])}`);
    return `{${members.join(',')}}`;
  }
  throw new TypeError(`a ${typeof value} has no JSON form`);
}

/** The first 16 hexadecimal digits of the sha256 of a value's canonical JSON. */
export function shortDigest(value: unknown): string {
  return createHash('sha256').update(canonicalJson(value)).digest('hex').slice(0, 16);
}

/** The same for a file that people read: JSON with sorted keys and indented, so that the same value has the same bytes however it was put together. Ends in a newline. */
export function stableJson(value: unknown): string {
  const sorted = (_key: string, item: unknown): unknown => {
    if (typeof item !== 'object' || item === null || Array.isArray(item)) return item;
    return Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1)));
  };
  return `${JSON.stringify(value, sorted, 2)}\n`;
}
