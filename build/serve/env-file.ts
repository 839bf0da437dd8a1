// Files of environment variables (`--env-file`): one NAME=value a line, as `docker run`, Compose and dotenv read them.
// Strict where those differ or guess: what is not clearly a variable is an error with its line. Pure but for the read.
import { readFile } from 'node:fs/promises';
import { MakeRuntimeError } from '../lib/errors.ts';

/** Reads such a file. Throws ENV_FILE_INVALID; never quotes a value, which may be a secret. */
export async function readEnvFile(path: string): Promise<Record<string, string>> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new MakeRuntimeError('ENV_FILE_INVALID', `The env file ${path} cannot be read (${error.code}).`, {
      remedy: 'Check the path after --env-file; it is relative to the current folder.',
      cause: error,
    });
  });
  return parseEnvFile(text, path);
}

/**
 * `#` begins a comment at the start of a line, or after a space outside quotes; `export ` may stand before a name.
 * In single quotes everything is literal, in double quotes \n, \t, \" and \\ are what they are in a shell's $'...'.
 */
export function parseEnvFile(text: string, path: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [index, raw] of text
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .entries()) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    const [, name, rest] = /^(?:export\s+)?([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*(.*)$/.exec(line) ?? [];
    if (name === undefined || rest === undefined) throw invalid(path, index, 'there is no NAME=value');
    const quote = rest[0];
    if (quote !== '"' && quote !== "'") {
      found[name] = rest.replace(/\s+#.*$/, '');
      continue;
    }
    const value = (quote === '"' ? /^"((?:[^"\\]|\\.)*)"\s*(?:#.*)?$/ : /^'([^']*)'\s*(?:#.*)?$/).exec(rest)?.[1];
    if (value === undefined) throw invalid(path, index, `the value's ${quote} has no end, or something follows it`);
    found[name] = quote === "'" ? value : value.replace(/\\(.)/g, (_, char: string) => escapes[char] ?? char);
  }
  return found;
}

const escapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t' };

function invalid(path: string, index: number, why: string): MakeRuntimeError {
  return new MakeRuntimeError('ENV_FILE_INVALID', `${path}, line ${index + 1}: ${why}.`, {
    remedy: 'Write one NAME=value a line; put a value with spaces at its ends or a # in it into quotes.',
  });
}
