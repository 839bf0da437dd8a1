// The environment variables of an OS-only zip function, exactly: what Lambda sets, what a user may add or override, and
// how the list changes where the sandbox cannot offer the real paths. Pure; reads no environment itself.
// Source: public environment dumps of `provided.al2023` functions and the configuration-envvars page.
import { MakeRuntimeError } from '../lib/errors.ts';

/** What an invocation needs to know about the function. */
export interface FunctionSettings {
  /** `module.function`, handed to the runtime as is. */
  readonly handler: string;
  readonly functionName: string;
  /** Megabytes, 128 to 10240. */
  readonly memoryMb: number;
  /** Seconds an invocation may take. */
  readonly timeoutSeconds: number;
  readonly region: string;
  /** Twelve digits; appears in the ARN only. */
  readonly accountId: string;
  readonly functionVersion: string;
  /** What the user sets on the function, and credentials when the caller wants to pass them. */
  readonly env: Readonly<Record<string, string>>;
}

/** Where the sandbox shows the code and the layer: `/var/task` and `/opt`, or folders where paths are only mapped. */
export interface Places {
  readonly taskRoot: string;
  readonly layerRoot: string;
}

export const lambdaPlaces: Places = { taskRoot: '/var/task', layerRoot: '/opt' };

/** Lambda refuses these in a function's configuration. */
const reserved = new Set([
  '_HANDLER',
  '_X_AMZN_TRACE_ID',
  'AWS_EXECUTION_ENV',
  'AWS_LAMBDA_FUNCTION_NAME',
  'AWS_LAMBDA_FUNCTION_MEMORY_SIZE',
  'AWS_LAMBDA_FUNCTION_VERSION',
  'AWS_LAMBDA_INITIALIZATION_TYPE',
  'AWS_LAMBDA_LOG_GROUP_NAME',
  'AWS_LAMBDA_LOG_STREAM_NAME',
  'AWS_LAMBDA_MAX_CONCURRENCY',
  'AWS_LAMBDA_METADATA_API',
  'AWS_LAMBDA_METADATA_TOKEN',
  'AWS_LAMBDA_RUNTIME_API',
  'LAMBDA_TASK_ROOT',
  'LAMBDA_RUNTIME_DIR',
]);

/**
 * Reserved by Lambda too, but Lambda fills them in from the function's role and region, which exist only where the
 * caller gives them: so they are taken from `--env` and never invented.
 */
const fromTheRole = new Set([
  'AWS_ACCESS_KEY_ID',
  'AWS_SECRET_ACCESS_KEY',
  'AWS_SESSION_TOKEN',
  'AWS_REGION',
  'AWS_DEFAULT_REGION',
]);

/** Lambda's limit for all variables of a function together, names included. */
const maxEnvBytes = 4096;

/** Throws USAGE for variables that Lambda would refuse in the function's configuration. */
export function checkUserEnv(env: Readonly<Record<string, string>>): void {
  const names = Object.keys(env);
  const taken = names.filter((name) => reserved.has(name));
  if (taken.length > 0)
    throw new MakeRuntimeError(
      'USAGE',
      `Lambda reserves ${taken.join(', ')}; a function cannot set ${taken.length > 1 ? 'them' : 'it'}.`,
      {
        remedy: 'Leave it out of --env; the sandbox sets it as Lambda would.',
      },
    );
  const odd = names.find((name) => !/^[a-zA-Z][a-zA-Z0-9_]+$/.test(name));
  if (odd !== undefined)
    throw new MakeRuntimeError(
      'USAGE',
      `${JSON.stringify(odd)} is not a name Lambda accepts for an environment variable.`,
      {
        remedy: 'Use at least two letters, digits or underscores, and begin with a letter.',
      },
    );
  const nul = names.find((name) => env[name]!.includes('\0'));
  if (nul !== undefined)
    throw new MakeRuntimeError(
      'USAGE',
      `The value of ${nul} contains a NUL character, which no environment can hold.`,
      {
        remedy: 'Encode the value, for example as base64.',
      },
    );
  const counted = names.filter((name) => !fromTheRole.has(name));
  const size = counted.reduce((sum, name) => sum + Buffer.byteLength(name) + Buffer.byteLength(env[name]!), 0);
  if (size > maxEnvBytes)
    throw new MakeRuntimeError('USAGE', `The environment variables take ${size} bytes; Lambda allows ${maxEnvBytes}.`, {
      remedy: 'Move large values into a file of the function or into Parameter Store.',
    });
}

/** What the platform sets for a function, without the user's own variables. `runtimeApi` is `host:port`. */
export function platformEnv(
  settings: FunctionSettings,
  { taskRoot, layerRoot }: Places,
  runtimeApi: string,
  logStream: string,
): Record<string, string> {
  const mapped = layerRoot !== lambdaPlaces.layerRoot;
  return {
    PATH: `/usr/local/bin:/usr/bin/:/bin:${layerRoot}/bin`,
    LD_LIBRARY_PATH: `/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:${taskRoot}:${taskRoot}/lib:${layerRoot}/lib`,
    TZ: ':UTC',
    LANG: 'en_US.UTF-8',
    PWD: taskRoot,
    LAMBDA_TASK_ROOT: taskRoot,
    LAMBDA_RUNTIME_DIR: '/var/runtime',
    _HANDLER: settings.handler,
    AWS_REGION: settings.region,
    AWS_DEFAULT_REGION: settings.region,
    AWS_LAMBDA_FUNCTION_NAME: settings.functionName,
    AWS_LAMBDA_FUNCTION_MEMORY_SIZE: String(settings.memoryMb),
    AWS_LAMBDA_FUNCTION_VERSION: settings.functionVersion,
    AWS_LAMBDA_INITIALIZATION_TYPE: 'on-demand',
    AWS_LAMBDA_LOG_GROUP_NAME: `/aws/lambda/${settings.functionName}`,
    AWS_LAMBDA_LOG_STREAM_NAME: logStream,
    AWS_LAMBDA_RUNTIME_API: runtimeApi,
    // Lambda names a link-local daemon. Here nothing listens, and an SDK's datagrams must stay on this machine.
    _AWS_XRAY_DAEMON_ADDRESS: '127.0.0.1',
    _AWS_XRAY_DAEMON_PORT: '2000',
    AWS_XRAY_DAEMON_ADDRESS: '127.0.0.1:2000',
    AWS_XRAY_CONTEXT_MISSING: 'LOG_ERROR',
    // Our bootstrap's word for "the layer is not at /opt"; Lambda itself has no such variable.
    ...(mapped ? { MAKE_RUNTIME_LAYER_ROOT: layerRoot } : {}),
  };
}

/** The name of the function in events and context. */
export function functionArn({ region, accountId, functionName }: FunctionSettings): string {
  return `arn:aws:lambda:${region}:${accountId}:function:${functionName}`;
}
