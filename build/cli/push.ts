// `make-runtime push`: sends an image to registries and says what it is called there.

import { isMakeRuntimeError, MakeRuntimeError } from '../lib/errors.ts';
import type { Shift } from '../push/shift.ts';
import { type Pushed, type PushRequest, pushError, pushImage } from '../push-pipeline.ts';
import type { Edge } from './edge.ts';

interface PushOptions {
  readonly image: string;
  readonly targets: readonly string[];
  readonly platform?: string;
  readonly immutable?: boolean;
  readonly force?: boolean;
  readonly statements: boolean;
  readonly mountFrom?: readonly string[];
  readonly dryRun?: boolean;
  readonly create?: boolean;
  readonly kmsKey?: string;
  readonly keepUntagged: number;
  readonly share?: readonly string[];
  readonly profile?: string;
  readonly updateFunction?: string;
  readonly alias?: string;
  readonly shift?: string;
  readonly maxErrorRise: number;
}

export async function push(options: PushOptions, edge: Edge): Promise<void> {
  // As in publish.ts, without what else is loaded there.
  process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';
  const pushed = await pushImage(requestOf(options), edge.ctx);
  const failure = pushError(pushed);
  if (edge.json) edge.print(JSON.stringify(forMachines(pushed)));
  else {
    for (const line of forPeople(pushed, edge)) edge.say(line);
    const uris = pushed.results.flatMap(({ delivered }) => delivered?.uri ?? []);
    if (uris.length > 0) edge.print(uris.join('\n'));
  }
  if (failure) throw failure;
}

function requestOf(options: PushOptions): PushRequest {
  const { create, kmsKey, keepUntagged, share, updateFunction: name, alias, shift, maxErrorRise, ...request } = options;
  if (kmsKey !== undefined && !create) throw wrong('--kms-key is for a repository that is made: add --create.');
  if (alias !== undefined && name === undefined) throw wrong('--alias belongs to a function: add --update-function.');
  if (shift !== undefined && alias === undefined) throw wrong('--shift moves an alias: add --alias.');
  return {
    ...request,
    create: create ? { kmsKey, keepUntagged } : undefined,
    accounts: (share ?? []).map(parseShare),
    update: name === undefined ? undefined : { name, alias, shift: shift && parseShift(shift, maxErrorRise) },
  } as PushRequest;
}

/** "account:123456789012" */
function parseShare(text: string): string {
  const account = /^account:(\d{12})$/.exec(text)?.[1];
  if (account === undefined) throw wrong(`--share "${text}" is not written like account:123456789012.`);
  return account;
}

/** "10%:5m": a tenth of the calls, watched for five minutes. */
function parseShift(text: string, rise: number): Shift {
  const [, percent, number, unit] = /^(\d+(?:\.\d+)?)%?:(\d+)([smh])$/.exec(text) ?? [];
  const weight = Number(percent) / 100;
  if (unit === undefined || weight <= 0 || weight >= 1)
    throw wrong(`--shift "${text}" is not written like 10%:5m, a part of the calls and how long it is watched.`);
  const duration = Number(number) * { s: 1000, m: 60_000, h: 3_600_000 }[unit as 's' | 'm' | 'h'];
  return { weight, duration, tolerance: rise / 100 };
}

function wrong(sentence: string): MakeRuntimeError {
  return new MakeRuntimeError('USAGE', sentence, { remedy: 'See make-runtime push --help.' });
}

function forMachines({ image, digest, size, results, updated, updateError }: Pushed) {
  return {
    image,
    digest,
    size,
    ...(updated === undefined ? {} : { updated }),
    ...(updateError === undefined ? {} : { updateFailed: failed(updateError) }),
    targets: results.map(({ target, delivered, foreseen, steps, error }) => ({
      target,
      ok: error === undefined,
      ...delivered,
      ...foreseen,
      ...(steps === undefined || steps.length === 0 ? {} : { steps }),
      ...(error === undefined ? {} : failed(error)),
    })),
  };
}

function failed(error: unknown): object {
  if (!isMakeRuntimeError(error)) return { code: 'INTERNAL' };
  const { code, message, remedy } = error as MakeRuntimeError;
  return { code, message, remedy };
}

function forPeople({ digest, results, updated }: Pushed, { colors }: Edge): string[] {
  const rows = results.flatMap(({ target, delivered, foreseen, error }) => {
    if (error !== undefined) {
      // Of a single target, the error is the last word anyhow.
      if (results.length === 1) return [];
      return [`${colors.red('✗')} ${target}  ${(error as Partial<MakeRuntimeError>).code ?? 'INTERNAL'}`];
    }
    const before = (delivered ?? foreseen)!.before;
    const tag = before === undefined ? 'new tag' : before === digest ? 'tag unchanged' : `tag led to ${before}`;
    if (foreseen !== undefined)
      return [`${target}  would send up to ${megabytes(foreseen.missing)}, ${tag.replace('led', 'leads')}`];
    const { blobs, statements } = delivered!;
    const spared = [blobs.mounted > 0 ? `${blobs.mounted} mounted` : '', blobs.found > 0 ? `${blobs.found} there` : ''];
    const stated = statements?.through === undefined ? [] : [`${statements.digests.length} statements`];
    const sent = `${megabytes(blobs.bytes)} sent`;
    return [`${colors.green('✓')} ${target}  ${[sent, ...spared, tag, ...stated].filter(Boolean).join(', ')}`];
  });
  if (updated === undefined) return rows;
  const { alias } = updated;
  const moved = alias === undefined ? '' : `, alias ${alias.alias} leads to version ${alias.to}`;
  return [
    ...rows,
    `${colors.green('✓')} ${updated.function} ${updated.changed ? 'runs it' : 'ran it already'}${moved}`,
  ];
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
