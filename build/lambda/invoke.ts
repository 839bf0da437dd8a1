// The story of `make-runtime invoke`: an execution environment for unpacked layers and code, one event after the other,
// and the environment gone at the end. Leaves the wording of failures to failure.ts and the printing to the caller.
import type { Context } from '../lib/context.ts';
import { type EnvironmentOptions, ExecutionEnvironment } from './environment.ts';
import type { Event } from './event.ts';
import type { InvokeResult } from './invoke-result.ts';

export interface InvokeRequest extends Pick<EnvironmentOptions, 'kinds' | 'visible' | 'onLog' | 'runtimeVersion'> {
  /** Unpacked layers, in list order. */
  readonly layerDirs: readonly string[];
  readonly codeDir: string;
  /** `module.function`. */
  readonly handler: string;
  readonly events: readonly Event[];
  /** The function's variables, with credentials when it shall have some. Nothing else is passed on. */
  readonly env?: Readonly<Record<string, string>>;
  readonly timeoutSeconds?: number;
  readonly memoryMb?: number;
  readonly functionName?: string;
  readonly region?: string;
}

/** Lambda's own defaults. */
const defaults = { timeoutSeconds: 3, memoryMb: 128, functionName: 'function', region: 'us-east-1' } as const;

/** AWS's example account: there is no real one here. */
const accountId = '123456789012';

/**
 * Invokes the function once per event, in order, in one environment, and yields each result as it is there.
 * A failed invocation is a result (see functionFailure), not an exception. Throws what ExecutionEnvironment.create and
 * `invoke` throw. Leaves nothing behind, also when the consumer stops early.
 */
export async function* invokeArtifact(request: InvokeRequest, context: Context): AsyncGenerator<InvokeResult, void> {
  const { events, handler, timeoutSeconds, memoryMb, functionName, region, env, ...options } = request;
  const settings = {
    handler,
    timeoutSeconds: timeoutSeconds ?? defaults.timeoutSeconds,
    memoryMb: memoryMb ?? defaults.memoryMb,
    functionName: functionName ?? defaults.functionName,
    region: region ?? env?.AWS_REGION ?? defaults.region,
    accountId,
    functionVersion: '$LATEST',
    env: env ?? {},
  };
  const environment = await ExecutionEnvironment.create({ ...options, settings }, context);
  try {
    for (const { payload } of events) yield await environment.invoke(payload);
  } finally {
    await environment.shutdown();
  }
}
