// What Lambda's own API says when it refuses a request: status, error type and the sentence, as AWS words it. Data only;
// api.ts writes it. Sources: the API reference of Invoke, and for sentences that it does not have, answers of the
// service quoted in public issues (faultline#12, ASFHyP3/hyp3#2241).
import { maxEventBytes, maxRequestBytes } from './limits.ts';

export interface Fault {
  readonly status: number;
  readonly type: string;
  readonly message: string;
  /** Further members of the body. */
  readonly more?: Readonly<Record<string, unknown>>;
}

export const faults = {
  unknownFunction: (arn: string): Fault => ({
    status: 404,
    type: 'ResourceNotFoundException',
    message: `Function not found: ${arn}`,
    more: { Type: 'User' },
  }),
  notJson: (why: string): Fault => ({
    status: 400,
    type: 'InvalidRequestContentException',
    message: `Could not parse request body into json: Could not parse payload into json: ${why}`,
    more: { Type: 'User' },
  }),
  badClientContext: {
    status: 400,
    type: 'InvalidRequestContentException',
    message: 'Client context must be a valid Base64-encoded JSON object.',
    more: { Type: 'User' },
  },
  largeClientContext: {
    status: 400,
    type: 'InvalidRequestContentException',
    message: 'Client context must be no more than 3583 bytes.',
    more: { Type: 'User' },
  },
  tooLarge: {
    status: 413,
    type: 'RequestEntityTooLargeException',
    message: `Request must be smaller than ${maxRequestBytes} bytes for the InvokeFunction operation`,
    more: { Type: 'User' },
  },
  eventTooLarge: (size: number): Fault => ({
    status: 413,
    type: 'RequestEntityTooLargeException',
    message: `${size} byte payload is too large for the Event invocation type (limit ${maxEventBytes} bytes)`,
    more: { Type: 'User' },
  }),
  throttled: {
    status: 429,
    type: 'TooManyRequestsException',
    message: 'Rate Exceeded.',
    more: { Reason: 'ReservedFunctionConcurrentInvocationLimitExceeded', Type: 'User' },
  },
  qualifiersDiffer: {
    status: 400,
    type: 'InvalidParameterValueException',
    message: 'The derived qualifier from the function name does not match the specified qualifier.',
    more: { Type: 'User' },
  },
  noTenants: {
    status: 400,
    type: 'InvalidParameterValueException',
    message: 'The invoked function is not enabled with tenancy configuration.',
    more: { Type: 'User' },
  },
  invalid: (value: string, member: string, constraint: string): Fault => ({
    status: 400,
    type: 'ValidationException',
    message: `1 validation error detected: Value '${value}' at '${member}' failed to satisfy constraint: ${constraint}`,
  }),
  unknownOperation: { status: 404, type: 'UnknownOperationException', message: '' },
  service: (message: string): Fault => ({
    status: 500,
    type: 'ServiceException',
    message,
    more: { Type: 'Service' },
  }),
} as const;

export function isFault(value: object): value is Fault {
  return 'status' in value && 'type' in value && 'message' in value;
}
