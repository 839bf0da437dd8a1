// Where an image is to go: a repository and a tag, and whether that is a private registry of ECR's, which Lambda reads
// from. Only the notation; nothing is asked.
import { MakeRuntimeError } from '../lib/errors.ts';
import { parseReference, type Reference } from '../registry/reference.ts';

/** A private registry of ECR's. */
export interface EcrPlace {
  /** Twelve digits. */
  readonly account: string;
  readonly region: string;
  /** Through the endpoints that Lambda does not take images from. */
  readonly fips: boolean;
}

export interface Target {
  /** Without digest. */
  readonly reference: Reference;
  readonly tag: string;
  /** "host/repository:tag" */
  readonly name: string;
  readonly ecr: EcrPlace | undefined;
}

// Amazon ECR User Guide, "Amazon ECR private registry" and "Endpoints": IPv4 hosts, FIPS, China, and dual-stack ones.
const ecrHost =
  /^(\d{12})\.dkr(?:\.ecr(-fips)?\.([a-z0-9-]+)\.amazonaws\.(?:com|com\.cn|eu)|-ecr(-fips)?\.([a-z0-9-]+)\.on\.(?:aws|amazonwebservices\.com\.cn))$/;

/**
 * Reads "registry/repository[:tag]"; without a tag it is "latest", as everywhere.
 * @throws REFERENCE_INVALID, also for a digest: an image gets that from its content
 */
export function parseTarget(text: string): Target {
  const reference = parseReference(text);
  const { registry, repository, tag } = reference;
  if (reference.digest !== undefined || tag === undefined) {
    throw new MakeRuntimeError('REFERENCE_INVALID', `"${text}" names a digest, which an image gets from its content.`, {
      remedy: 'Give registry, repository and tag.',
    });
  }
  return { reference, tag, name: `${registry}/${repository}:${tag}`, ecr: ecrPlace(registry) };
}

/** Undefined for a registry that is not ECR's, and for ECR Public, whose images Lambda does not take. */
export function ecrPlace(registry: string): EcrPlace | undefined {
  const [, account, fips, region, fipsToo, regionToo] = ecrHost.exec(registry) ?? [];
  if (account === undefined) return undefined;
  return { account, region: region ?? regionToo!, fips: (fips ?? fipsToo) !== undefined };
}
