// LambdaContext: values, types and texts, for headers that are there, empty, absent and wrong.
import { app, type Case } from '../case.ts';
import { event } from '../server.ts';

const show = `
def show(c):
    return [repr(c), [(n, type(getattr(c, n)).__name__, repr(getattr(c, n))) for n in NAMES], c.w3c(), str(c) == repr(c)]

NAMES = ['aws_request_id', 'log_group_name', 'log_stream_name', 'function_name', 'memory_limit_in_mb',
         'function_version', 'invoked_function_arn', 'tenant_id', 'client_context', 'identity',
         '_epoch_deadline_time_in_ms']
`;
const files = app('return show(context)', show);

const CLIENT = 'Lambda-Runtime-Client-Context';
const COGNITO = 'Lambda-Runtime-Cognito-Identity';
const TENANT = 'Lambda-Runtime-Aws-Tenant-Id';
const TRACE = 'Lambda-Runtime-Trace-Id';
const REQUEST = 'Lambda-Runtime-Aws-Request-Id';

const headers: Readonly<Record<string, Readonly<Record<string, string | null>>>> = {
  'nothing optional': {},
  'everything optional, empty': { [CLIENT]: '', [COGNITO]: '', [TENANT]: '', [TRACE]: '' },
  'a full client context': {
    [CLIENT]: JSON.stringify({
      client: {
        installation_id: 'i',
        app_title: 'é',
        app_version_name: 'n',
        app_version_code: 'c',
        app_package_name: 'p',
        unknown: 'u',
      },
      custom: { a: 1 },
      env: { b: [2] },
      more: 'm',
    }),
  },
  'an empty client context': { [CLIENT]: '{}' },
  'a client context with an empty client': { [CLIENT]: '{"client": {}, "custom": {}, "env": {}}' },
  'a client context with a null client': { [CLIENT]: '{"client": null, "custom": null}' },
  'a client context that is null': { [CLIENT]: 'null' },
  'a client context that is a list': { [CLIENT]: '[1]' },
  'a client context that is a string': { [CLIENT]: '"text"' },
  'a client that is a string': { [CLIENT]: '{"client": "text"}' },
  'a malformed client context': { [CLIENT]: '{"client": ' },
  'a client context of two values': { [CLIENT]: '{} {}' },
  'a client context with NaN': { [CLIENT]: '{"custom": NaN}' },
  'trace context in the client context': {
    [CLIENT]: '{"w3c": {"traceparent": "00-1", "tracestate": "s", "baggage": "b", "other": "o"}, "custom": {}}',
  },
  'trace context of wrong types': { [CLIENT]: '{"w3c": {"traceparent": 1, "tracestate": null}}' },
  'trace context that is a string': { [CLIENT]: '{"w3c": "00-1", "env": {"a": 1}}' },
  'a Cognito identity': { [COGNITO]: '{"cognitoIdentityId": "id", "cognitoIdentityPoolId": "pool"}' },
  'half a Cognito identity': { [COGNITO]: '{"cognitoIdentityId": "id"}' },
  'an empty Cognito identity': { [COGNITO]: '{}' },
  'a Cognito identity that is null': { [COGNITO]: 'null' },
  'a Cognito identity that is a list': { [COGNITO]: '[]' },
  'a malformed Cognito identity': { [COGNITO]: 'nothing' },
  'both malformed': { [CLIENT]: '{', [COGNITO]: '{' },
  'a tenant': { [TENANT]: 'blue' },
  'a tenant that is not ASCII': { [TENANT]: 'blåbær' },
  'no deadline': { 'Lambda-Runtime-Deadline-Ms': null },
  'an empty deadline': { 'Lambda-Runtime-Deadline-Ms': '' },
  'a deadline that is no number': { 'Lambda-Runtime-Deadline-Ms': 'soon' },
  'a deadline in the past': { 'Lambda-Runtime-Deadline-Ms': '1000' },
  'no function ARN': { 'Lambda-Runtime-Invoked-Function-Arn': null },
  'an empty function ARN': { 'Lambda-Runtime-Invoked-Function-Arn': '' },
  'no request id': { [REQUEST]: null },
  'an empty request id': { [REQUEST]: '' },
  'a request id with a slash and a space': { [REQUEST]: 'a/b c' },
};

export const contexts: readonly Case[] = [
  ...Object.entries(headers).map(([name, values]): Case => ({ name, files, nexts: [event({}, values)] })),
  {
    name: 'header names in other cases',
    files,
    nexts: [
      {
        headers: [
          ['content-type', 'application/json'],
          ['LAMBDA-RUNTIME-AWS-REQUEST-ID', 'request-1'],
          ['lambda-runtime-deadline-ms', '4102444800000'],
          ['lambda-runtime-invoked-function-arn', 'arn'],
          ['lambda-runtime-aws-tenant-id', 'tenant'],
        ],
        body: '{}',
      },
    ],
  },
  {
    name: 'header values with white space around',
    files,
    nexts: [event({}, { [TENANT]: '  blue\t ', [REQUEST]: '  request-2  ' })],
  },
  {
    name: 'the malformed event is reported after the malformed context',
    files,
    nexts: [event('{', { [CLIENT]: '{' }), event('{')],
  },
  {
    name: 'time that is left',
    files: app('ms = context.get_remaining_time_in_millis()\nreturn [type(ms).__name__, ms > 1000, ms == 0]'),
    nexts: [event({}), event({}, { 'Lambda-Runtime-Deadline-Ms': '1000' })],
  },
  {
    name: 'names of the classes',
    files: app(`
c = context
return [type(x).__name__ for x in (c, c.identity, c.client_context, c.client_context.client)] + [
    callable(c.log), callable(c.get_remaining_time_in_millis), hasattr(c, 'nothing')]`),
    nexts: [event({}, { [CLIENT]: '{"client": {}}' })],
  },
  {
    name: 'attributes can be added to the context, and not to what has slots',
    files: app(`
context.mine = 1
context.aws_request_id = 'other'
failed = []
for thing in (context.identity, context.client_context, context.client_context.client):
    try:
        thing.mine = 1
    except AttributeError:
        failed.append(type(thing).__name__)
return [context.mine, failed, repr(context)]`),
    nexts: [event({}, { [CLIENT]: '{"client": {}}' }), event({}, { [CLIENT]: '{"client": {}}' })],
  },
  {
    name: 'the environment of the context is missing',
    files,
    unset: [
      'AWS_LAMBDA_FUNCTION_NAME',
      'AWS_LAMBDA_FUNCTION_VERSION',
      'AWS_LAMBDA_FUNCTION_MEMORY_SIZE',
      'AWS_LAMBDA_LOG_GROUP_NAME',
      'AWS_LAMBDA_LOG_STREAM_NAME',
    ],
  },
  {
    name: 'the environment of the context is empty',
    files,
    env: { AWS_LAMBDA_FUNCTION_NAME: '', AWS_LAMBDA_FUNCTION_MEMORY_SIZE: '', AWS_LAMBDA_LOG_GROUP_NAME: '' },
  },
  {
    name: 'the environment of the context is not ASCII',
    files,
    env: { AWS_LAMBDA_FUNCTION_NAME: 'fünf' },
  },
  {
    name: 'the handler changes the environment of the context',
    files: app('os.environ["AWS_LAMBDA_FUNCTION_NAME"] = "changed"\nreturn context.function_name', 'import os'),
    nexts: [event({}), event({})],
  },
  {
    name: 'the trace id is set and unset',
    files: app(
      `return [os.environ.get('_X_AMZN_TRACE_ID'), subprocess.check_output(['sh', '-c', 'echo $_X_AMZN_TRACE_ID'], text=True)]`,
      'import os, subprocess',
    ),
    nexts: [
      event({}, { [TRACE]: 'Root=1-2-3;Parent=4;Sampled=1' }),
      event({}),
      event({}, { [TRACE]: 'Root=5;Lineage=a:1' }),
      event({}, { [TRACE]: '' }),
    ],
  },
  {
    name: 'the trace id of the environment is not kept',
    files: app(
      'import os\nreturn os.environ.get("_X_AMZN_TRACE_ID")',
      'import os\nprint(os.environ.get("_X_AMZN_TRACE_ID"))',
    ),
    env: { _X_AMZN_TRACE_ID: 'inherited' },
    nexts: [event({}), event({}, { [TRACE]: 'Root=1' })],
  },
  {
    name: 'the invocation id is echoed',
    files: app('return 1 / event'),
    nexts: [
      event(1, { 'Lambda-Runtime-Invocation-Id': 'attempt-1' }),
      event(0, { 'Lambda-Runtime-Invocation-Id': 'attempt-2' }),
      event(1),
      event(0),
      event(1, { 'Lambda-Runtime-Invocation-Id': '' }),
      event(0, { 'Lambda-Runtime-Invocation-Id': '' }),
    ],
  },
];
