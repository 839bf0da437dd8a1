// What AWS's SDK throws -> one of our errors, in words for whoever is on call: who may not do what to which resource,
// what ran out, what to do. It asks nothing of AWS itself and retries nothing (session.ts does).
// Names of errors: "Common errors" of each API reference, and what STS, S3 and IAM Identity Center say in their place.
import { type ErrorCode, type ErrorDetails, isMakeRuntimeError, MakeRuntimeError } from '../lib/errors.ts';

/** A request as a person would have to know it to allow it. */
export interface Asked {
  /** As in an IAM policy: "lambda:PublishLayerVersion". */
  readonly action: string;
  /** What it is done to, an ARN where there is one. */
  readonly resource: string;
  readonly region: string;
}

export interface AskedBy {
  /** The caller's ARN, once STS has told it. Then the credentials are good, and a region that refuses them is to blame. */
  readonly who?: string | undefined;
  readonly profile?: string | undefined;
  /** How often it was asked, for what is given up. */
  readonly attempts?: number;
}

/** The fields of an error of the SDK that are looked at; no class of the SDK, as each client has its own. */
export interface AwsError extends Error {
  readonly code?: string;
  readonly hostname?: string;
  readonly $fault?: 'client' | 'server';
  readonly $metadata?: { readonly httpStatusCode?: number; readonly requestId?: string; clockSkewCorrected?: true };
}

const expired = ['ExpiredToken', 'ExpiredTokenException', 'RequestExpired', 'TokenRefreshRequired'];
const unknownCredentials = [
  'AuthFailure',
  'IncompleteSignature',
  'InvalidAccessKeyId',
  'InvalidClientTokenId',
  'InvalidSignatureException',
  'InvalidToken',
  'MissingAuthenticationToken',
  'MissingAuthenticationTokenException',
  'OptInRequired',
  'SignatureDoesNotMatch',
  'UnrecognizedClientException',
];
const denied = ['AccessDenied', 'AccessDeniedException', 'AllAccessDisabled', 'UnauthorizedOperation'];
const throttled = [
  'RequestLimitExceeded',
  'RequestThrottled',
  'SlowDown',
  'Throttling',
  'ThrottlingException',
  'TooManyRequestsException',
];
const overQuota = ['CodeStorageExceededException', 'LimitExceededException', 'ServiceQuotaExceededException'];
const brokenConnection = [
  'EAI_AGAIN',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EPIPE',
  'EPROXY', // tunnel.ts
  'ETIMEDOUT',
];

/** How it may go when asked again: after a while, at once (our clock was wrong, the SDK knows by how much), or never. */
export type Again = 'throttled' | 'stumbled' | 'clock' | undefined;

export function mayGoAgain(error: AwsError): Again {
  const status = error.$metadata?.httpStatusCode ?? 0;
  if (error.name === 'AbortError') return undefined;
  // Lambda and ECR use LimitExceeded for quotas that no waiting raises, and 429 for nothing but throttling.
  if (throttled.includes(error.name) || status === 429) return 'throttled';
  if (error.$metadata?.clockSkewCorrected) return 'clock';
  if (status >= 500 || ['TimeoutError', 'RequestTimeout'].includes(error.name)) return 'stumbled';
  return brokenConnection.includes(codeOf(error) ?? '') && codeOf(error) !== 'ENOTFOUND' ? 'stumbled' : undefined;
}

/** The name AWS gave the error: "ResourceNotFoundException". Sees through explainAwsError(). */
export function awsErrorName(error: unknown): string | undefined {
  const raw = isMakeRuntimeError(error) ? error.cause : error;
  return raw instanceof Error && ('$fault' in raw || '$metadata' in raw) ? raw.name : undefined;
}

/**
 * The error to throw for what a call threw: ours where a person can do something about it, unchanged where it is a bug.
 * The raw error is its cause.
 */
export function explainAwsError(raw: unknown, asked: Asked, by: AskedBy = {}): unknown {
  if (!(raw instanceof Error) || isMakeRuntimeError(raw)) return raw;
  const error = raw as AwsError;
  const { action, resource, region } = asked;
  const fail = (code: ErrorCode, message: string, details: ErrorDetails) =>
    new MakeRuntimeError(code, message, { detail: said(error), ...details, cause: raw });

  if (/^(CredentialsProviderError|TokenProviderError|ProviderError)$/.test(error.name)) {
    return /expired|refresh|reauthenticate/i.test(error.message)
      ? fail('AWS_CREDENTIALS_EXPIRED', 'The session that the AWS credentials come from is over.', signIn(by))
      : fail(
          'AWS_NO_CREDENTIALS',
          by.profile === undefined
            ? 'There are no AWS credentials.'
            : `The profile "${by.profile}" gives no AWS credentials.`,
          {
            remedy: `Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name ${by.profile === undefined ? 'a' : 'another'} profile (--profile, AWS_PROFILE; aws configure list-profiles); in CI, assume a role.`,
          },
        );
  }
  if (expired.includes(error.name)) {
    return fail('AWS_CREDENTIALS_EXPIRED', 'The AWS credentials have expired.', signIn(by));
  }
  if (unknownCredentials.includes(error.name)) {
    if (by.who !== undefined) {
      return fail('AWS_REGION_INVALID', `${region} does not know this account: the region is not enabled for it.`, {
        remedy: `Enable ${region} (aws account enable-region --region-name ${region}), or leave it out.`,
      });
    }
    return fail('AWS_CREDENTIALS_INVALID', `AWS does not know these credentials (asked in ${region}).`, {
      remedy: `Check the access key and its secret (aws sts get-caller-identity), and that ${region} is enabled for the account.`,
    });
  }
  if (denied.includes(error.name) || error.$metadata?.httpStatusCode === 403) return deny(error, asked, by, fail);
  if (throttled.includes(error.name) || error.$metadata?.httpStatusCode === 429) {
    return fail('AWS_THROTTLED', `AWS still throttles ${action} in ${region} after ${tries(by)}.`, {
      remedy: 'Wait until whatever else calls this API in the account is done, then run the same command again.',
    });
  }
  if (overQuota.includes(error.name)) {
    return fail('AWS_QUOTA', `A quota of the account is used up in ${region}: ${action} on ${resource} was refused.`, {
      remedy: 'Remove what is no longer used, or ask for more in Service Quotas.',
    });
  }
  const code = codeOf(error);
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') {
    const host = error.hostname ?? `the API of ${region}`;
    return by.who === undefined || code === 'EAI_AGAIN'
      ? fail('AWS_UNREACHABLE', `${host} is not known to the name server.`, {
          remedy: `Check the name of the region (${region}) and the network.`,
        })
      : fail(
          'AWS_REGION_INVALID',
          `There is no such host as ${host}: ${region} is no region, or has no such service.`,
          {
            remedy: 'Check the name of the region (aws account list-regions), or leave it out.',
          },
        );
  }
  if (brokenConnection.includes(code ?? '') || error.name === 'TimeoutError') {
    return fail('AWS_UNREACHABLE', `${action} in ${region} got no answer after ${tries(by)}: ${plain(error)}.`, {
      remedy: 'Check the network, HTTPS_PROXY and AWS_ENDPOINT_URL where they are set, then run it again.',
    });
  }
  if ((error.$metadata?.httpStatusCode ?? 0) >= 500) {
    return fail('AWS_UNREACHABLE', `${action} in ${region} got nothing but errors after ${tries(by)}.`, {
      remedy: `Look at the AWS Health Dashboard for ${region}; run the same command again later.`,
    });
  }
  if (/^getaddrinfo|Region is missing|Invalid Configuration|not valid URI|Invalid URL/i.test(error.message)) {
    return fail('AWS_REGION_INVALID', `AWS's API cannot be found for the region "${region}".`, {
      remedy: 'Check the name of the region, and AWS_ENDPOINT_URL where it is set.',
    });
  }
  if (error.$fault === undefined && error.$metadata?.httpStatusCode === undefined) return raw;
  return fail('AWS_REFUSED', `AWS refused ${action} on ${resource} in ${region}.`, {
    remedy: 'The line above is what AWS said; aws lambda, s3api, ecr or ssm with the same arguments says it too.',
  });
}

function deny(
  error: AwsError,
  asked: Asked,
  by: AskedBy,
  fail: (code: ErrorCode, message: string, details: ErrorDetails) => MakeRuntimeError,
): MakeRuntimeError {
  // "User: arn:... is not authorized to perform: lambda:X on resource: arn:... because no identity-based policy
  // allows the lambda:X action", or "... with an explicit deny in a service control policy".
  const text = error.message;
  const action = /perform: ([\w-]+:\w+)/.exec(text)?.[1] ?? asked.action;
  const resource = /on resource: "?(arn:[^\s"]+)/.exec(text)?.[1] ?? asked.resource;
  const who = /User: (arn:\S+) is not/.exec(text)?.[1] ?? by.who ?? 'This identity';
  const explicit = /explicit deny in an? ([\w -]+?)(?: policy)?(?:$|[.,:;])/.exec(text)?.[1];
  return fail('AWS_DENIED', `${who} may not ${action} on ${resource} (${asked.region}).`, {
    remedy: explicit
      ? `An explicit deny in a ${explicit} policy forbids it: whoever owns that policy can lift it.`
      : `Allow "${action}" on "${resource}" in a policy of that identity.`,
  });
}

function signIn({ profile }: AskedBy): { remedy: string } {
  const which = profile === undefined ? '' : ` --profile ${profile}`;
  return { remedy: `Sign in again (aws sso login${which}, or whatever gave them), and run the same command again.` };
}

function tries({ attempts = 1 }: AskedBy): string {
  return attempts === 1 ? 'one attempt' : `${attempts} attempts`;
}

/** What AWS said itself, for the lines below the sentence. Never the request, which holds a signature. */
function said(error: AwsError): string {
  const { requestId } = error.$metadata ?? {};
  return `${error.name}: ${error.message || plain(error)}${requestId === undefined ? '' : ` (request ${requestId})`}`;
}

function plain(error: AwsError): string {
  if (codeOf(error) === 'EPROXY') return error.message;
  return codeOf(error) ?? error.message.split('\n', 1)[0] ?? error.name;
}

/** The system's own code; Node puts several addresses of a host into an AggregateError. */
function codeOf(error: AwsError & { errors?: readonly { code?: string }[] }): string | undefined {
  return error.code ?? error.errors?.find(({ code }) => code !== undefined)?.code;
}
