// NAME=value on a command line (`--env`), as a pair.
import { MakeRuntimeError } from '../lib/errors.ts';

/** The value may hold anything, also further equal signs. Throws USAGE. */
export function readVariable(text: string): [string, string] {
  const at = text.indexOf('=');
  if (at > 0) return [text.slice(0, at), text.slice(at + 1)];
  throw new MakeRuntimeError('USAGE', `"${text}" is not an environment variable.`, {
    remedy: 'Write --env NAME=value, for example --env STAGE=test.',
  });
}
