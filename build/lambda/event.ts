// The events a person names on a command line: JSON text, a file, standard input, or a file with one event per line.
// The bytes are passed on as they were written; only whether they are JSON is checked, and if not, where it ends being so.
import { readFile } from 'node:fs/promises';
import { MakeRuntimeError } from '../lib/errors.ts';
import { findJsonError } from './json-error.ts';
import { maxPayloadBytes } from './runtime-state.ts';

export interface Event {
  /** Where it came from, for messages: `--event`, a file name with line, `standard input`. */
  readonly origin: string;
  readonly payload: Buffer;
}

/**
 * Reads events: `@file` (JSON), `@file.jsonl` or `@file.ndjson` (one event per line), `-` (standard input, read by
 * `readStdin`), anything else is JSON text itself. No spec at all means one event `{}`.
 * Throws EVENT_NOT_JSON with the position, USAGE when a file cannot be read or an event is larger than Lambda takes.
 */
export async function readEvents(specs: readonly string[], readStdin: () => Promise<Buffer>): Promise<Event[]> {
  const events = await Promise.all((specs.length === 0 ? ['{}'] : specs).map((spec) => readSpec(spec, readStdin)));
  return events.flat().map(checked);
}

async function readSpec(spec: string, readStdin: () => Promise<Buffer>): Promise<Event[]> {
  if (spec === '-') return [{ origin: 'standard input', payload: await readStdin() }];
  if (!spec.startsWith('@')) return [{ origin: '--event', payload: Buffer.from(spec) }];
  const file = spec.slice(1);
  const content = await readFile(file).catch((error: NodeJS.ErrnoException) => {
    throw new MakeRuntimeError('USAGE', `The event file ${file} cannot be read (${error.code}).`, {
      remedy: 'Check the path after the @; it is relative to the current folder.',
      cause: error,
    });
  });
  if (!/\.(jsonl|ndjson)$/.test(file)) return [{ origin: file, payload: content }];
  return content
    .toString()
    .split(/\r?\n/)
    .map((line, index) => ({ origin: `${file} line ${index + 1}`, payload: Buffer.from(line) }))
    .filter(({ payload }) => payload.toString().trim() !== '');
}

function checked(event: Event): Event {
  const { origin, payload } = event;
  const text = payload.toString();
  const wrong = findJsonError(text);
  if (wrong !== undefined) {
    const before = text.slice(0, wrong.offset).split('\n');
    const column = (before.at(-1) ?? '').length + 1;
    throw new MakeRuntimeError(
      'EVENT_NOT_JSON',
      `The event is not JSON: ${origin}, line ${before.length}, column ${column}: ${wrong.problem}.`,
      { remedy: `Give JSON, for example --event '{"name": "value"}', or @file.json for a file.` },
    );
  }
  if (payload.length > maxPayloadBytes)
    throw new MakeRuntimeError('USAGE', `The event has ${payload.length} bytes; Lambda takes ${maxPayloadBytes}.`, {
      remedy: 'Put the data into S3 and send its address.',
    });
  return event;
}
