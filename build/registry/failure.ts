// What goes wrong between us and a registry, in words, for those who read from it and for those who write to it.
import { MakeRuntimeError } from '../lib/errors.ts';
import { printReference, type Reference } from './reference.ts';

/** What a conversation is for: it decides which permissions are asked for, and what a refusal means. */
export type Purpose = 'pull' | 'push';

/** A registry's own words (OCI distribution specification, "Error Codes"), without secrets. */
export interface Said {
  /** "NAME_UNKNOWN"; empty when the registry names none. */
  readonly code: string;
  /** Code and message, cropped; empty when there is nothing to quote. */
  readonly text: string;
}

export const nothingSaid: Said = { code: '', text: '' };

/** Reads the body of an error; what is not in the specification's form says nothing. */
export function parseSaid(body: string): Said {
  try {
    const { code, message } = JSON.parse(body).errors[0];
    const text = [code, message].filter((one) => typeof one === 'string' && one !== '').join(': ');
    return { code: typeof code === 'string' ? code : '', text: text.slice(0, 400) };
  } catch {
    return nothingSaid;
  }
}

/** AWS's sentence about a missing permission, as ECR hands it through (IAM User Guide, "Access denied messages"). */
const notAuthorized = /is not authorized to perform:? (\S+?)(?: on resource:? (\S+))?(?:\s|$)/i;

export function denied(name: string, purpose: Purpose, status: number, said: Said): MakeRuntimeError {
  const detail = said.text === '' ? {} : { detail: `the registry says: ${said.text}` };
  if (purpose === 'pull') {
    return new MakeRuntimeError(
      'REGISTRY_DENIED',
      `${name} may not be read without signing in, or does not exist (HTTP ${status}).`,
      {
        remedy:
          'Check the name. For an image that is not public, copy it first: skopeo copy docker://... oci:DIR, then --base layout:DIR.',
        ...detail,
      },
    );
  }
  const [, action, resource] = notAuthorized.exec(said.text) ?? [];
  if (action !== undefined) {
    const where = resource === undefined ? '' : ` on ${resource.replace(/[.,]$/, '')}`;
    return new MakeRuntimeError('REGISTRY_DENIED', `${name} may not be written: ${action} is not allowed${where}.`, {
      remedy: `Allow ${action} to whoever pushes, in an IAM policy or the repository's policy, and run again.`,
      ...detail,
    });
  }
  if (/expired/i.test(said.text)) {
    return new MakeRuntimeError('REGISTRY_DENIED', `The sign-in at ${name} has expired (HTTP ${status}).`, {
      remedy: 'Sign in again (docker login, or a fresh AWS session) and run again: what has arrived is kept.',
      ...detail,
    });
  }
  const sentence =
    status === 401
      ? `The registry of ${name} does not know who we are (HTTP 401).`
      : `${name} may not be written by whom we are signed in as (HTTP ${status}).`;
  return new MakeRuntimeError('REGISTRY_DENIED', sentence, {
    remedy: `Check the name and sign in: docker login ${name.split('/')[0]}.`,
    ...detail,
  });
}

export function throttled(name: string, reason: string): MakeRuntimeError {
  return new MakeRuntimeError('REGISTRY_THROTTLED', `The registry of ${name} has had too many requests from here.`, {
    remedy: 'Wait some minutes and run again: what has arrived is kept.',
    detail: `it ${reason}`,
  });
}

export function unreachable(
  name: string,
  purpose: Purpose,
  detail: string,
  cause: unknown = undefined,
): MakeRuntimeError {
  const sentence = purpose === 'pull' ? 'does not give what it was asked for' : 'does not take what it is sent';
  return new MakeRuntimeError('REGISTRY_UNREACHABLE', `The registry of ${name} ${sentence}.`, {
    remedy: 'Check the network and the proxy settings and run again: what has arrived is kept.',
    detail,
    cause,
  });
}

export function notThere(reference: Reference): MakeRuntimeError {
  return new MakeRuntimeError('BASE_NOT_FOUND', `There is no image ${printReference(reference)}.`, {
    remedy: 'Check registry, repository and tag; references look like public.ecr.aws/lambda/provided:al2023.',
  });
}

/** A redirect, or the place of an upload, that nothing may be sent to. */
export function unsafePlace(name: string, place: URL, why: string): MakeRuntimeError {
  return new MakeRuntimeError(
    'REGISTRY_UNREACHABLE',
    `${name} redirects to ${place.protocol}//${place.host}, which is ${why}.`,
    { remedy: 'The registry is set up wrongly, or something between here and it answers in its place.' },
  );
}

/** Statuses below 500 that are no matter of permission: the repository is not there, or what was sent is not wanted. */
export function notAccepted(name: string, status: number, said: Said): MakeRuntimeError {
  if (status === 401 || status === 403) return denied(name, 'push', status, said);
  const detail = said.text === '' ? `it answered HTTP ${status}` : `the registry says: ${said.text}`;
  if (status === 404 || said.code === 'NAME_UNKNOWN') {
    return new MakeRuntimeError('REPOSITORY_MISSING', `There is no repository ${name}.`, {
      remedy: 'Create it, with --create where the registry is ECR, or check the name.',
      detail,
    });
  }
  if (said.code === 'NAME_INVALID') {
    return new MakeRuntimeError('REFERENCE_INVALID', `The registry does not allow the name ${name}.`, {
      remedy: 'Choose another repository name.',
      detail,
    });
  }
  return new MakeRuntimeError('PUSH_REFUSED', `${name} does not take the image (HTTP ${status}).`, {
    remedy: 'See what the registry says; its limits and rules decide.',
    detail,
  });
}

export function tagTaken(name: string, said: Said = nothingSaid): MakeRuntimeError {
  return new MakeRuntimeError('TAG_TAKEN', `${name} is taken by another image, and may not be moved.`, {
    remedy: 'Choose another tag.',
    ...(said.text === '' ? {} : { detail: `the registry says: ${said.text}` }),
  });
}
