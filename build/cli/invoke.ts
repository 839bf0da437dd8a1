// `make-runtime invoke`: events through the real bootstrap; responses on stdout, logs on stderr, and an exit status
// that tells how the last failed event failed.
import { buffer } from 'node:stream/consumers';
import { readEvents } from '../lambda/event.ts';
import { functionFailure } from '../lambda/failure.ts';
import { type InvokeRequest, invokeArtifact } from '../lambda/invoke.ts';
import type { InvokeResult } from '../lambda/invoke-result.ts';
import type { MakeRuntimeError } from '../lib/errors.ts';
import { unpackLayer } from '../package/unpack.ts';
import type { Edge } from './edge.ts';
import { describeFailure } from './failure.ts';
import { readVariable } from './variable.ts';

export interface InvokeOptions {
  readonly artifact: string;
  readonly handler: string;
  readonly code: string;
  readonly event: readonly string[];
  readonly env: readonly string[];
  readonly layer: readonly string[];
  readonly timeout: number;
  readonly memory: number;
}

export async function invoke(options: InvokeOptions, edge: Edge): Promise<void> {
  const { ctx } = edge;
  const events = await readEvents(options.event, () => buffer(process.stdin));
  const env = Object.fromEntries(options.env.map(readVariable));
  const layerDirs: string[] = [];
  for (const layer of [options.artifact, ...options.layer]) layerDirs.push(await unpackLayer(layer, undefined, ctx));
  const request: InvokeRequest = {
    layerDirs,
    codeDir: options.code,
    handler: options.handler,
    events,
    env,
    timeoutSeconds: options.timeout,
    memoryMb: options.memory,
    onLog: ({ text }) => edge.say(text),
  };
  let failure: MakeRuntimeError | undefined;
  for await (const result of invokeArtifact(request, ctx)) {
    edge.print(edge.json ? JSON.stringify(forMachines(result)) : result.payload.toString());
    const failed = functionFailure(result);
    if (failed && failure) process.stderr.write(describeFailure(failure, edge).text);
    failure = failed ?? failure;
  }
  if (failure) throw failure;
}

function forMachines({ payload, logs, ...result }: InvokeResult): unknown {
  return { ...result, payload: payload.toString(), logs: logs.map(({ text }) => text) };
}
