// What a person wants published -> what each region is told: names, description, grants, checked before anything is
// asked of AWS. Pure. Limits: API reference of PublishLayerVersion, AddLayerVersionPermission and PutParameter.
import { MakeRuntimeError } from '../lib/errors.ts';
import type { Arch, Plan } from '../recipe/model.ts';
import type { Publishable } from './artifact.ts';

export interface LayerRequest extends LayerWishes {
  readonly metadata: Metadata;
}

/** What does not depend on the artifact. */
export interface LayerWishes {
  readonly name: string;
  readonly grants: readonly Grant[];
  /** How many versions stay; undefined prunes nothing. */
  readonly keep: number | undefined;
  /** An SSM parameter that gets the ARN. */
  readonly parameter: string | undefined;
  readonly bucket: BucketChoice;
}

export interface Metadata {
  readonly description: string;
  readonly runtimes: readonly string[];
  readonly architectures: readonly Arch[];
  readonly licence: string;
}

/** Who may use a version. The id follows from the content, so granting twice changes nothing. */
export interface Grant {
  readonly id: string;
  readonly principal: string;
  readonly organization?: string;
}

/** For layers that are too large for the request itself. */
export interface BucketChoice {
  /** With {account} and {region} in it. */
  readonly name: string;
  readonly create: boolean;
  readonly keepObject: boolean;
}

/** As the command line has it. */
export interface LayerWords {
  readonly name: string;
  readonly description?: string | undefined;
  readonly license?: string | undefined;
  readonly share?: readonly string[];
  readonly keep?: number | undefined;
  readonly ssmParameter?: string | undefined;
  readonly s3Bucket?: string | undefined;
  readonly createBucket?: boolean;
  readonly keepObject?: boolean;
}

const longestDescription = 256;
const longestLicence = 512;
const defaultBucket = 'make-runtime-{account}-{region}';

/** What can be checked before anything is opened or asked. Throws LAYER_NAME_INVALID and USAGE. */
export function readWishes(words: LayerWords): LayerWishes {
  const { name, share = [], keep, ssmParameter: parameter, s3Bucket = defaultBucket } = words;
  requireLayerName(name);
  if (keep !== undefined && (!Number.isInteger(keep) || keep < 1)) {
    throw usage('--keep is a number of versions, 1 or more.', 'The version that is published counts as one of them.');
  }
  if (parameter !== undefined) requireParameterName(parameter);
  if (!/^[a-z0-9{}.-]{3,}$/.test(s3Bucket) || /\{(?!account\}|region\})/.test(s3Bucket)) {
    throw usage(
      `"${s3Bucket}" is not the name of a bucket.`,
      'Lower-case letters, digits, dots, hyphens; {account} and {region} are filled in.',
    );
  }
  const bucket = { name: s3Bucket, create: words.createBucket ?? false, keepObject: words.keepObject ?? false };
  return { name, grants: dedupe(share.map(grantOf)), keep, parameter, bucket };
}

/**
 * What is said about a version beside its bytes.
 * @throws USAGE for words that are longer than Lambda takes
 */
export function layerMetadata(
  { description, license }: Pick<LayerWords, 'description' | 'license'>,
  { arch, plan, licences }: Pick<Publishable, 'arch' | 'plan' | 'licences'>,
): Metadata {
  // Left out when it is too long, rather than half said: the layer has the texts and its SBOM the list.
  const all = licences.map((one) => (/ (OR|WITH) /.test(one) ? `(${one})` : one)).join(' AND ');
  const licence = license ?? (all.length <= longestLicence ? all : '');
  if (licence.length > longestLicence) throw usage(`--license may have ${longestLicence} characters.`, 'Shorten it.');
  return {
    description: describeLayer(description, plan),
    runtimes: ['provided.al2023'],
    architectures: [arch],
    licence,
  };
}

/** @throws LAYER_NAME_INVALID with a name that would do */
export function requireLayerName(name: string): void {
  if (/^[a-zA-Z0-9_-]{1,140}$/.test(name)) return;
  const better = name
    .replace(/[^a-zA-Z0-9_-]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 140);
  throw new MakeRuntimeError('LAYER_NAME_INVALID', `"${name}" cannot be the name of a layer.`, {
    remedy: `Letters, digits, hyphens and underscores, at most 140${better === '' ? '.' : `: for example ${better}.`}`,
  });
}

/**
 * The description of a version: the words, then what it was built from, which `layers` reads back.
 * "our python (CPython 3.13.15 free-threaded x86_64 release, plan 91c028e8961b40d9)"
 * @throws USAGE when it is longer than Lambda takes
 */
export function describeLayer(words: string | undefined, plan: Plan | undefined): string {
  const built = plan
    ? `CPython ${plan.python.version} ${plan.flavor} ${plan.arch} ${plan.profile}, plan ${plan.id}`
    : '';
  const text = words && built ? `${words} (${built})` : words || built;
  if (text.length <= longestDescription) return text;
  const room = longestDescription - (text.length - (words ?? '').length);
  throw usage(`--description may have ${room} characters here, and has ${(words ?? '').length}.`, 'Shorten it.');
}

export interface DescribedBuild {
  readonly python: string;
  readonly flavor: string;
  readonly arch: string;
  readonly profile: string;
  readonly plan: string;
}

/** What describeLayer() put into a description; undefined for layers of somebody else. */
export function readDescription(description: string): DescribedBuild | undefined {
  const match = /CPython (\S+) (\S+) (\S+) (\S+), plan ([0-9a-f]{16})\)?$/.exec(description);
  if (match === null) return undefined;
  const [, python = '', flavor = '', arch = '', profile = '', plan = ''] = match;
  return { python, flavor, arch, profile, plan };
}

/** "public", "account:123456789012", "org:o-a1b2c3d4e5" */
function grantOf(word: string): Grant {
  if (word === 'public') return { id: 'make-runtime-public', principal: '*' };
  const [kind, id = ''] = word.split(/:(.*)/s);
  if (kind === 'account' && /^\d{12}$/.test(id)) return { id: `make-runtime-account-${id}`, principal: id };
  if (kind === 'org' && /^o-[a-z0-9]{10,32}$/.test(id)) {
    return { id: `make-runtime-org-${id}`, principal: '*', organization: id };
  }
  throw usage(`"${word}" is nobody to share with.`, 'Say public, account:123456789012 or org:o-a1b2c3d4e5.');
}

function requireParameterName(name: string): void {
  const reserved = /^\/?(aws|ssm)/i.test(name);
  if (/^[a-zA-Z0-9_.\-/]{1,1011}$/.test(name) && !reserved && (!name.includes('/') || name.startsWith('/'))) return;
  throw usage(
    `"${name}" cannot be the name of an SSM parameter.`,
    'Write it like /runtimes/python313; names that begin with aws or ssm are reserved.',
  );
}

function dedupe(grants: readonly Grant[]): readonly Grant[] {
  return [...new Map(grants.map((grant) => [grant.id, grant])).values()];
}

function usage(message: string, remedy: string): MakeRuntimeError {
  return new MakeRuntimeError('USAGE', message, { remedy });
}
