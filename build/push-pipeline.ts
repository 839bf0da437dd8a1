// The third story, of a push: image -> check -> for each target: connect, deliver -> function. It begins with an OCI
// layout that image-pipeline.ts, or anything else, has made. A target that fails does not stop the others.
import type { Context } from './lib/context.ts';
import { isMakeRuntimeError, MakeRuntimeError, throwIfCancelled } from './lib/errors.ts';
import { checkImage } from './push/check.ts';
import { type Delivered, deliver, type Foreseen, foresee } from './push/deliver.ts';
import { openImage } from './push/source.ts';
import { findStatements } from './push/statements.ts';
import { parseTarget, type Target } from './push/target.ts';
import { dockerCredentials } from './registry/credentials.ts';
import { Registry, type RegistryOptions } from './registry/session.ts';
import { stages } from './stages.ts';
import { type Verdict, verdictError } from './verify/verdict.ts';

export interface PushRequest {
  /** An OCI layout's folder or archive, with ":TAG" behind it where there are several images in it. */
  readonly image: string;
  /** "registry/repository[:tag]" */
  readonly targets: readonly string[];
  readonly platform?: string | undefined;
  /** Never move a tag that has another image. */
  readonly immutable?: boolean;
  /** Push although the verdict is not good. */
  readonly force?: boolean;
  /** Take SBOM and provenance along; true when absent. */
  readonly statements?: boolean;
  /** Repositories, of each target's own registry, to mount blobs from. */
  readonly mountFrom?: readonly string[];
  /** Ask, and change nothing. */
  readonly dryRun?: boolean;
}

export interface PushResult {
  readonly target: string;
  readonly delivered?: Delivered;
  /** In a dry run. */
  readonly foreseen?: Foreseen;
  readonly error?: unknown;
}

export interface Pushed {
  readonly image: string;
  readonly digest: string;
  /** Of the manifest and all it names, bytes. */
  readonly size: number;
  readonly verdict: Verdict;
  readonly results: readonly PushResult[];
}

/**
 * Pushes an image to every target.
 * @throws REFERENCE_INVALID, what openImage() throws, VERIFY_FAILED and the like for an image that will not run;
 *   CANCELLED. What happens to a target is in its result.
 */
export async function pushImage(
  request: PushRequest,
  ctx: Context,
  options: Pick<RegistryOptions, 'patience'> = {},
): Promise<Pushed> {
  const stage = stages(ctx);
  const { immutable = false, mountFrom = [], dryRun = false } = request;
  const targets = request.targets.map(parseTarget);
  const { image, verdict, statements } = await stage('check', `check ${request.image}`, async () => {
    const image = await openImage(request.image, request.platform, ctx);
    const verdict = await checkImage(image, ctx);
    const statements = request.statements === false ? undefined : await findStatements(image);
    return { image, verdict, statements };
  });
  judge(verdict, request.force ?? false, ctx);
  const results: PushResult[] = [];
  for (const [at, target] of targets.entries()) {
    const { name } = target;
    const mount = mountable(target, targets.slice(0, at), mountFrom);
    try {
      const result = await stage('push', dryRun ? `ask ${name}` : `push to ${name}`, async () => {
        using registry = new Registry(target.reference, ctx, {
          ...options,
          purpose: 'push',
          mount,
          credentials: (host) => dockerCredentials(host, ctx),
        });
        return dryRun
          ? { foreseen: await foresee(image, target, registry, { immutable }) }
          : { delivered: await deliver(image, target, registry, { immutable, mount, statements }, ctx) };
      });
      results.push({ target: name, ...result });
    } catch (error) {
      throwIfCancelled(ctx.signal);
      if (!isMakeRuntimeError(error)) throw error;
      results.push({ target: name, error });
    }
  }
  const sizes = [image.manifest.bytes.length, ...[image.configBlob, ...image.layers].map(({ size }) => size)];
  const size = sizes.reduce((one, other) => one + other, 0);
  return { image: image.path, digest: image.manifest.digest, size, verdict, results };
}

/** The one error that the failures of a push amount to; undefined when there are none. */
export function pushError({ results }: Pick<Pushed, 'results'>): Error | undefined {
  const failures = results.filter(({ error }) => error !== undefined);
  const errors = failures.map(({ error }) => error as MakeRuntimeError);
  const [first] = errors;
  if (first === undefined || results.length === 1) return first;
  const same = errors.every(({ code }) => code === first.code);
  return new MakeRuntimeError(
    same ? first.code : 'PUSHES_FAILED',
    `${failures.length} of ${results.length} pushes failed; the others are done.`,
    {
      remedy: 'Cure them one by one and run the same command again: what has arrived is kept.',
      detail: failures
        .map(({ target }, index) => {
          const { code, message, detail, remedy } = errors[index]!;
          const more = [detail, remedy].map((text) =>
            text === undefined ? '' : `\n  ${text.replaceAll('\n', '\n  ')}`,
          );
          return `${target}: ${message} [${code}]${more.join('')}`;
        })
        .join('\n'),
    },
  );
}

function judge(verdict: Verdict, force: boolean, ctx: Context): void {
  for (const { level, message, remedy } of verdict.findings) {
    if (level === 'warn') ctx.report({ type: 'warn', message, ...(remedy === undefined ? {} : { remedy }) });
    if (level === 'note') ctx.report({ type: 'note', message });
  }
  const failure = verdictError(verdict);
  if (failure === undefined) return;
  if (!force) throw failure;
  ctx.report({ type: 'warn', message: `--force overrides: ${failure.message}` });
}

/** Repositories of the target's registry that may have the blobs: those named, and targets that came before. */
function mountable({ reference }: Target, earlier: readonly Target[], named: readonly string[]): string[] {
  const before = earlier
    .filter((one) => one.reference.registry === reference.registry)
    .map((one) => one.reference.repository);
  return [...new Set([...named, ...before])].filter((one) => one !== reference.repository);
}
