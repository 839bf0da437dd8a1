// A function as GetFunction, GetFunctionConfiguration and ListFunctions describe it: AWS's own field names. Only what is
// true here; what has no counterpart (roles, S3) is left out or says so.
import { logFormatOf } from '../lambda/platform-records.ts';
import type { LocalFunction } from './function.ts';
import type { Functions } from './names.ts';

export async function configurationOf(fn: LocalFunction, qualifier: string | undefined): Promise<unknown> {
  const { settings } = fn;
  const { sha256, size } = await fn.code();
  // Credentials are the role's on Lambda, and never shown.
  const shown = Object.entries(settings.env).filter(
    ([name]) => !/^AWS_(ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN|REGION|DEFAULT_REGION)$/.test(name),
  );
  return {
    FunctionName: fn.name,
    FunctionArn: qualifier === undefined ? fn.arn : `${fn.arn}:${qualifier}`,
    Runtime: 'provided.al2023',
    Role: `arn:aws:iam::${settings.accountId}:role/${fn.name}`,
    Handler: settings.handler,
    CodeSize: size,
    Description: '',
    Timeout: settings.timeoutSeconds,
    MemorySize: settings.memoryMb,
    LastModified: fn.lastModified.toISOString().replace('Z', '+0000'),
    CodeSha256: sha256,
    Version: settings.functionVersion,
    ...(shown.length === 0 ? {} : { Environment: { Variables: Object.fromEntries(shown) } }),
    TracingConfig: { Mode: 'PassThrough' },
    RevisionId: fn.revisionId,
    State: 'Active',
    LastUpdateStatus: 'Successful',
    PackageType: 'Zip',
    Architectures: [process.arch === 'arm64' ? 'arm64' : 'x86_64'],
    EphemeralStorage: { Size: 512 },
    SnapStart: { ApplyOn: 'None', OptimizationStatus: 'Off' },
    LoggingConfig: { LogFormat: logFormatOf(settings.env), LogGroup: `/aws/lambda/${fn.name}` },
  };
}

export async function functionOf(fn: LocalFunction, qualifier: string | undefined): Promise<unknown> {
  return {
    Configuration: await configurationOf(fn, qualifier),
    Code: { RepositoryType: 'local' },
    ...(fn.managed ? {} : { Concurrency: { ReservedConcurrentExecutions: fn.concurrency } }),
  };
}

/** The first function has the bare host, the others a name in front of it (function-url.ts). */
export function functionUrlOf(fn: LocalFunction, all: Functions, port: number | undefined): string {
  const [first] = all.keys();
  const name = fn.name.toLowerCase().replaceAll('_', '-');
  return `http://${fn.name === first ? '' : `${name}.`}localhost:${port}/`;
}
