// AWS's own runtime client as the judge of our Runtime API server and sandbox: it must find here what it finds on Lambda.
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ExecutionEnvironment } from '../../build/lambda/environment.ts';
import { machinePython, remove, scratch, settings, testContext } from '../lambda/support/function.ts';

const folder = scratch('awslambdaric');
const layer = join(folder, 'layer');
const code = join(folder, 'code');
const python = machinePython();
afterAll(() => remove(folder));

const app = `
import json, logging, os, sys
logging.getLogger().setLevel("INFO")

def handler(event, context):
    print("printed")
    logging.info("logged")
    if event == "raise":
        raise KeyError("missing")
    if event == "object":
        return object()
    if event == "large":
        return "x" * 7_000_000
    if event == "exit":
        os._exit(4)
    return {
        "event": event,
        "id": context.aws_request_id,
        "memory": context.memory_limit_in_mb,
        "arn": context.invoked_function_arn,
        "remaining": context.get_remaining_time_in_millis(),
        "identity": context.identity.cognito_identity_id,
        "custom": context.client_context and context.client_context.custom,
        "tenant": context.tenant_id,
        "trace": os.environ.get("_X_AMZN_TRACE_ID"),
        "cwd": os.getcwd(),
    }
`;

beforeAll(() => {
  mkdirSync(code, { recursive: true });
  mkdirSync(join(layer, 'python'), { recursive: true });
  missing = install();
  writeFileSync(join(code, 'app.py'), app);
  writeFileSync(join(code, 'broken.py'), 'import no_such_module\n');
  writeFileSync(
    join(layer, 'bootstrap'),
    `#!/bin/sh\nexport PYTHONPATH=/opt/python:/var/task\nexec ${python.command} -m awslambdaric "$_HANDLER"\n`,
  );
  chmodSync(join(layer, 'bootstrap'), 0o755);
});

/** Why AWS's client cannot be installed here, or undefined when it was. */
let missing: string | undefined;

/** Into a folder, not into the machine's Python, which may lack pip: any pip will do. */
function install(): string | undefined {
  const reasons: string[] = [];
  for (const pip of [python.command, 'python3']) {
    const target = ['install', '--quiet', '--target', join(layer, 'python'), 'awslambdaric'];
    const args = pip === python.command ? target : ['--python', python.command, ...target];
    try {
      execFileSync(pip, ['-m', 'pip', ...args], { stdio: 'pipe' });
      return undefined;
    } catch (error) {
      reasons.push(String((error as { stderr?: Buffer }).stderr ?? error).trim());
    }
  }
  return `awslambdaric cannot be installed: ${reasons.join('; ')}`;
}

const environment = (handler: string): Promise<ExecutionEnvironment> =>
  ExecutionEnvironment.create(
    {
      layerDirs: [layer],
      codeDir: code,
      visible: python.visible,
      settings: settings(handler, { timeoutSeconds: 10, memoryMb: 256 }),
    },
    testContext(folder),
  );

test('events, context, errors, crashes and large responses', async ({ skip }) => {
  skip(missing !== undefined, missing);
  const made = await environment('app.handler');
  const invoke = (event: unknown, options = {}) => made.invoke(Buffer.from(JSON.stringify(event)), options);
  const first = await invoke(
    { a: ['ü'] },
    {
      requestId: 'r-1',
      invocationId: 'i-1',
      traceId: 'Root=1-2-3',
      clientContext: '{"custom":{"k":"v"},"env":{},"client":{}}',
      cognitoIdentity: '{"cognitoIdentityId":"who","cognitoIdentityPoolId":"pool"}',
      tenantId: 'blue',
    },
  );
  const { remaining, ...rest } = JSON.parse(first.payload.toString()) as { remaining: number };
  expect(rest).toEqual({
    event: { a: ['ü'] },
    id: 'r-1',
    memory: '256',
    arn: 'arn:aws:lambda:eu-central-1:123456789012:function:tested',
    identity: 'who',
    custom: { k: 'v' },
    tenant: 'blue',
    trace: 'Root=1-2-3',
    cwd: '/var/task',
  });
  expect(remaining).toBeGreaterThan(0);
  expect(remaining).toBeLessThanOrEqual(10_000);
  expect(first.logs.map(({ text }) => text)).toEqual(
    expect.arrayContaining(['printed', expect.stringMatching(/^\[INFO\]\t.*\tr-1\tlogged$/)]),
  );
  expect(made.session.echoedInvocationId).toBe('i-1');
  expect(made.session.release).toMatch(/^aws-lambda-python\//);

  expect(await invoke('raise')).toMatchObject({
    statusKind: 'error',
    errorType: 'KeyError',
    errorMessage: "'missing'",
  });
  expect(await invoke('object')).toMatchObject({ errorType: 'Runtime.MarshalError' });
  expect(await invoke('large')).toMatchObject({ statusKind: 'response-too-large' });
  expect(await invoke(1)).toMatchObject({ statusKind: 'ok' });
  expect(made.violations).toEqual([]);
  expect(await invoke('exit')).toMatchObject({
    statusKind: 'exit',
    errorMessage: expect.stringContaining('exit status 4'),
  });
  expect(await invoke(2)).toMatchObject({ statusKind: 'ok' });
  await made.shutdown();
});

test.for([
  ['broken.handler', 'Runtime.ImportModuleError'],
  ['app.absent', 'Runtime.HandlerNotFound'],
  ['nodot', 'Runtime.MalformedHandlerName'],
])('%s fails in init with %s', async ([handler, errorType], { skip }) => {
  skip(missing !== undefined, missing);
  const made = await environment(handler!);
  expect(await made.invoke(Buffer.from('{}'))).toMatchObject({ statusKind: 'init-error', errorType });
  expect(made.violations).toEqual([]);
  await made.shutdown();
});
