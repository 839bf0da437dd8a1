// "registry/repository:tag@digest" as a value. Only the notation: nothing is looked up.
// Grammar: https://pkg.go.dev/github.com/distribution/reference, with Docker's rule for names without a registry.
import { MakeRuntimeError } from '../lib/errors.ts';

export interface Reference {
  /** As written, "docker.io" when nothing is: host, perhaps with a port. */
  readonly registry: string;
  readonly repository: string;
  readonly tag?: string;
  /** "sha256:..."; wins over the tag. */
  readonly digest?: string;
}

const component = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const host = /^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::\d{1,5})?$/;
const tagShape = /^\w[\w.-]{0,127}$/;
const digestShape = /^sha256:[0-9a-f]{64}$/;

/**
 * Reads a reference. Without tag and digest it means the tag "latest"; without a registry Docker Hub.
 * @throws REFERENCE_INVALID
 */
export function parseReference(text: string): Reference {
  let rest = text.trim();
  const at = rest.indexOf('@');
  const digest = at === -1 ? undefined : rest.slice(at + 1);
  if (at !== -1) rest = rest.slice(0, at);
  if (digest !== undefined && !digestShape.test(digest))
    throw invalid(text, 'its digest is not "sha256:" and 64 hexadecimal digits in lower case');

  const slash = rest.indexOf('/');
  const first = slash === -1 ? '' : rest.slice(0, slash);
  const named = /[.:]/.test(first) || first === 'localhost' || first !== first.toLowerCase();
  const registry = named ? first : 'docker.io';
  if (!host.test(registry)) throw invalid(text, `"${registry}" is not a host`);
  if (named) rest = rest.slice(slash + 1);

  const colon = rest.lastIndexOf(':');
  const tag = colon === -1 ? undefined : rest.slice(colon + 1);
  if (tag !== undefined) rest = rest.slice(0, colon);
  if (tag !== undefined && !tagShape.test(tag)) throw invalid(text, `"${tag}" is not a tag`);

  if (rest !== rest.toLowerCase()) throw invalid(text, 'repositories are written in lower case');
  if (rest.length > 255 || !rest.split('/').every((part) => component.test(part)))
    throw invalid(text, `"${rest}" is not a repository`);
  const repository = registry === 'docker.io' && !rest.includes('/') ? `library/${rest}` : rest;
  return {
    registry,
    repository,
    ...(tag === undefined ? (digest === undefined ? { tag: 'latest' } : {}) : { tag }),
    ...(digest === undefined ? {} : { digest }),
  };
}

/** In full, as parseReference() reads it back. */
export function printReference({ registry, repository, tag, digest }: Reference): string {
  return `${registry}/${repository}${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`;
}

/** The host that serves a registry's API: Docker Hub's has another name. */
export function apiHost(registry: string): string {
  return registry === 'docker.io' || registry === 'index.docker.io' ? 'registry-1.docker.io' : registry;
}

function invalid(text: string, why: string): MakeRuntimeError {
  return new MakeRuntimeError('REFERENCE_INVALID', `"${text}" is not an image reference: ${why}.`, {
    remedy: 'Write it like public.ecr.aws/lambda/provided:al2023, with a tag or with @sha256:... behind it.',
  });
}
