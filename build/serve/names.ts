// How callers name functions: name, partial ARN or ARN, with a qualifier in it or beside it. Pure.
// Source: API reference of Invoke (FunctionName, Qualifier) and its pattern.
import { type Fault, faults } from './fault.ts';
import type { LocalFunction } from './function.ts';

/** The functions that are served, by name; the first one has the function URL of the bare host. */
export interface Functions extends ReadonlyMap<string, LocalFunction> {
  /** Function URLs with InvokeMode RESPONSE_STREAM. */
  readonly streams: boolean;
}

const pattern =
  /^(?:arn:(?:aws[a-zA-Z-]*)?:lambda:)?(?:([a-z]{2}(?:-gov)?-[a-z]+-\d):)?(?:(\d{12}):)?(?:function:)?([a-zA-Z0-9-_.]+)(?::(\$LATEST|[a-zA-Z0-9-_]+))?$/;
const patternText =
  '(arn:(aws[a-zA-Z-]*)?:lambda:)?([a-z]{2}(-gov)?-[a-z]+-\\d{1}:)?(\\d{12}:)?(function:)?([a-zA-Z0-9-_\\.]+)(:(\\$LATEST|[a-zA-Z0-9-_]+))?';

/** The function that a request means, or what Lambda answers when there is none. */
export function findFunction(
  name: string,
  qualifier: string | undefined,
  all: Functions,
): { readonly fn: LocalFunction; readonly qualifier: string | undefined } | Fault {
  const parts = pattern.exec(name);
  if (parts === null)
    return faults.invalid(name, 'functionName', `Member must satisfy regular expression pattern: ${patternText}`);
  const [, region, account, short = '', inName] = parts;
  if (inName !== undefined && qualifier !== undefined && inName !== qualifier) return faults.qualifiersDiffer;
  const wanted = inName ?? qualifier;
  const fn = all.get(short);
  const settings = fn?.settings ?? [...all.values()][0]?.settings;
  const place = `${region ?? settings?.region}:${account ?? settings?.accountId}`;
  const there =
    fn !== undefined &&
    (region ?? fn.settings.region) === fn.settings.region &&
    (account ?? fn.settings.accountId) === fn.settings.accountId &&
    fn.knows(wanted);
  if (there) return { fn, qualifier: wanted };
  return faults.unknownFunction(`arn:aws:lambda:${place}:function:${short}${wanted === undefined ? '' : `:${wanted}`}`);
}
