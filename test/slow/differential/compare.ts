// Two observations of one case, made comparable: what must differ (times, folders, ports, object addresses) gets a
// name, everything else is compared as it is. Refuses to know which differences are known.
import { createHash } from 'node:crypto';
import type { Aspect } from './case.ts';
import type { Observed, Written } from './observe.ts';
import type { Exchange } from './server.ts';

export interface Difference {
  readonly aspect: Aspect;
  readonly there: string;
  readonly here: string;
}

/**
 * Headers that say who is speaking or how, not what: two HTTP libraries. `Content-Length` is not lost: a body of
 * another length is another body.
 */
const TRANSPORT = new Set([
  'host',
  'user-agent',
  'accept',
  'accept-encoding',
  'connection',
  'content-length',
  'transfer-encoding',
  'expect',
]);
const CAUSE = 'lambda-runtime-function-xray-error-cause';

export function compare(there: Observed, here: Observed): Difference[] {
  const one = aspects(there);
  const other = aspects(here);
  if (one.get('requests') !== other.get('requests')) {
    // Then the places of requests in the output say nothing new.
    for (const map of [one, other]) for (const [aspect, text] of map) map.set(aspect, text.replaceAll(MARK, ''));
  }
  const found: Difference[] = [];
  for (const [aspect, text] of one) {
    const same = other.get(aspect);
    if (same !== undefined && same !== text) found.push({ aspect, there: text, here: same });
  }
  return found;
}

/** Of requests that only one side has made, only `requests` tells. */
export function aspects(seen: Observed): Map<Aspect, string> {
  const named = (text: string) => normalised(text, seen.names);
  const all = new Map<Aspect, string>();
  all.set('requests', seen.exchanges.map(({ method, path }) => `${method} ${path}`).join('\n'));
  all.set('status', seen.status);
  all.set('stdout', named(transcript(seen.stdout)));
  all.set('stderr', named(transcript(seen.stderr)));
  all.set('telemetry', named(frames(seen.telemetry.bytes)));
  seen.exchanges.forEach((exchange, index) => {
    const number = `#${index + 1}` as const;
    all.set(`${number} headers`, headers(exchange));
    all.set(`${number} cause`, cause(exchange, named));
    all.set(`${number} body`, body(exchange, named));
  });
  return all;
}

/** Stands in a transcript where a request was made. */
const MARK = '\u2016';

function transcript({ bytes, sizes }: Written): string {
  const parts: string[] = [];
  let from = 0;
  for (const size of sizes) {
    parts.push(text(bytes.subarray(from, size)));
    from = size;
  }
  parts.push(text(bytes.subarray(from)));
  return parts.join(MARK);
}

/** Frames of the telemetry file descriptor: type and message. Length and time are checked, not shown. */
function frames(bytes: Buffer): string {
  const lines: string[] = [];
  let at = 0;
  while (at + 16 <= bytes.length) {
    const length = bytes.readUInt32BE(at + 4);
    const seconds = Number(bytes.readBigUInt64BE(at + 8) / 1_000_000n);
    const when = Math.abs(seconds - Date.now() / 1000) < 600 ? '' : ` at ${seconds}`;
    lines.push(`${bytes.toString('hex', at, at + 4)}${when} ${text(bytes.subarray(at + 16, at + 16 + length))}`);
    at += 16 + length;
  }
  if (at !== bytes.length) lines.push(`no frame: ${bytes.toString('hex', at)}`);
  return lines.join('\n');
}

function headers(exchange: Exchange): string {
  const lines = exchange.headers
    .map(([name, value]) => [name.toLowerCase(), value] as const)
    .filter(([name]) => !TRANSPORT.has(name) && name !== CAUSE)
    .map(([name, value]) => `${name}: ${value}`);
  return [...lines, ...exchange.trailers.map(([name, value]) => `trailer ${name.toLowerCase()}: ${value}`)]
    .sort()
    .join('\n');
}

interface Cause {
  readonly working_directory: string;
  readonly exceptions: ReadonlyArray<{
    readonly message: string;
    readonly type: string;
    readonly stack: ReadonlyArray<{ readonly label: string; readonly path: string; readonly line: number }>;
  }>;
  readonly paths: readonly string[];
}

/**
 * The X-Ray cause, a line for each thing it says. It is compared as JSON, because it is a header, and how its JSON is
 * escaped is nobody's business. `paths` is made from a set there.
 */
function cause(exchange: Exchange, named: (text: string) => string): string {
  const value = exchange.headers.find(([name]) => name.toLowerCase() === CAUSE)?.[1];
  if (value === undefined) return 'absent';
  const shown = named(text(Buffer.from(value, 'latin1')));
  try {
    const { working_directory, exceptions, paths, ...more } = JSON.parse(shown) as Cause;
    return [
      `in ${working_directory}`,
      ...exceptions.flatMap(({ message, type, stack, ...others }) => [
        `${type}: ${JSON.stringify(message)} ${JSON.stringify(others)}`,
        ...stack.map(({ label, path, line, ...rest }) => `frame ${path} ${line} ${label} ${JSON.stringify(rest)}`),
      ]),
      ...[...paths].sort().map((path) => `path ${path}`),
      JSON.stringify(more),
    ].join('\n');
  } catch {
    return `not as expected: ${shown}`;
  }
}

function body(exchange: Exchange, named: (text: string) => string): string {
  const shown = named(text(exchange.body));
  if (shown.length <= 100_000) return shown;
  return `${shown.length} characters, ${createHash('sha256').update(shown).digest('hex')}`;
}

/** UTF-8, or else what can show every byte. */
function text(bytes: Buffer): string {
  const decoded = bytes.toString('utf8');
  return Buffer.from(decoded, 'utf8').equals(bytes) ? decoded : `Latin-1 ${bytes.toString('latin1')}`;
}

function normalised(shown: string, names: Observed['names']): string {
  let result = shown;
  for (const [value, name] of names) result = result.replaceAll(value, name);
  return result
    .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{3})?Z/g, (time) => time.replace(/\d/g, '0'))
    .replace(/ at 0x[0-9a-f]+/g, ' at <address>')
    .replace(/\[ERROR\] \[\d{13}\]/g, '[ERROR] [<time>]');
}
