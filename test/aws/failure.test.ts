// What the SDK throws, told to a person. The cases that no server in this process can bring about.
import { expect, test } from 'vitest';
import { awsErrorName, explainAwsError } from '../../build/aws/failure.ts';
import { MakeRuntimeError } from '../../build/lib/errors.ts';

const asked = { action: 'lambda:ListLayers', resource: '*', region: 'eu-wset-1' };
const who = 'arn:aws:iam::123456789012:user/ci';
const error = (fields: object, message = 'no') => Object.assign(new Error(message), fields);

test.each([
  [{ code: 'ENOTFOUND', hostname: 'lambda.eu-wset-1.amazonaws.com' }, undefined, 'AWS_UNREACHABLE'],
  [{ code: 'ENOTFOUND', hostname: 'lambda.eu-wset-1.amazonaws.com' }, who, 'AWS_REGION_INVALID'],
  [{ code: 'EAI_AGAIN', hostname: 'lambda.eu-wset-1.amazonaws.com' }, who, 'AWS_UNREACHABLE'],
  [{ errors: [{ code: 'ECONNREFUSED' }, { code: 'ENETUNREACH' }] }, who, 'AWS_UNREACHABLE'],
  [{ name: 'TimeoutError' }, who, 'AWS_UNREACHABLE'],
  [{ name: 'UnrecognizedClientException', $metadata: { httpStatusCode: 403 } }, undefined, 'AWS_CREDENTIALS_INVALID'],
  [{ name: 'UnrecognizedClientException', $metadata: { httpStatusCode: 403 } }, who, 'AWS_REGION_INVALID'],
  [{ name: 'SomethingElse', $fault: 'client', $metadata: { httpStatusCode: 403 } }, who, 'AWS_DENIED'],
  [{ name: 'ValidationException', $fault: 'client', $metadata: { httpStatusCode: 400 } }, who, 'AWS_REFUSED'],
  [{ name: 'TokenProviderError' }, undefined, 'AWS_NO_CREDENTIALS'],
] as const)('%o, known to be %s: %s', (fields, known, code) => {
  const raw = error(fields);
  const told = explainAwsError(raw, asked, { who: known, attempts: 8 });
  expect(told).toMatchObject({ code, cause: raw, remedy: expect.stringMatching(/\S{3}/) });
  expect((told as Error).message).toMatch(/^\S.*\.$/);
});

test('bugs and our own errors stay what they are', () => {
  for (const raw of [
    new TypeError('x is undefined'),
    new MakeRuntimeError('CANCELLED', 'Stopped.'),
    'text',
    undefined,
  ]) {
    expect(explainAwsError(raw, asked)).toBe(raw);
  }
});

test('the name AWS gave it is known through ours, and of nothing else', () => {
  const raw = error({ name: 'ResourceNotFoundException', $fault: 'client', $metadata: { httpStatusCode: 404 } });
  expect(awsErrorName(raw)).toBe('ResourceNotFoundException');
  expect(awsErrorName(explainAwsError(raw, asked))).toBe('ResourceNotFoundException');
  expect(awsErrorName(new TypeError('x'))).toBeUndefined();
  expect(awsErrorName(new MakeRuntimeError('CANCELLED', 'Stopped.'))).toBeUndefined();
});
