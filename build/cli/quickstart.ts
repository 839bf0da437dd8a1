// `npm run quickstart`: from nothing to a sample handler invoked on a free-threaded CPython compiled here. It may
// install system packages, and says so first; every other command only says what is missing.
import { join } from 'node:path';
import { execa } from 'execa';
import { installCommand, probeHost } from '../compile/host.ts';
import { readEvents } from '../lambda/event.ts';
import { functionFailure } from '../lambda/failure.ts';
import { invokeArtifact } from '../lambda/invoke.ts';
import type { InvokeResult } from '../lambda/invoke-result.ts';
import type { LogLine } from '../lambda/log-lines.ts';
import { isMakeRuntimeError, MakeRuntimeError } from '../lib/errors.ts';
import { unpackLayer } from '../package/unpack.ts';
import { type Built, buildRuntime, resolvePlan } from '../pipeline.ts';
import { readLock } from '../source/lock.ts';
import { olderObtainable } from '../source/obtain.ts';
import type { Edge } from './edge.ts';

const recipe = '3.13t';
/** What is missing is installed on this machine, so this machine builds. */
const engine = 'host';

export async function quickstart(output: string, edge: Edge): Promise<void> {
  const { ctx } = edge;
  await installMissing(edge);
  const built = await buildNewestAvailable(output, edge);
  const sample = join(ctx.packageDir, 'recipes', 'samples', 'hello');
  const request = {
    layerDirs: [await unpackLayer(built.layer.path, undefined, ctx)],
    codeDir: sample,
    handler: 'app.handler',
    events: await readEvents([`@${join(sample, 'event.json')}`], () => Promise.resolve(Buffer.alloc(0))),
    memoryMb: 512,
    onLog: ({ text }: LogLine) => edge.say(text),
  };
  const results: InvokeResult[] = [];
  for await (const result of invokeArtifact(request, ctx)) results.push(result);
  const [result] = results as [InvokeResult];
  const failure = functionFailure(result);
  if (failure) throw failure;
  const response = JSON.parse(result.payload.toString());
  const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
  if (edge.json) {
    edge.print(
      JSON.stringify({
        response,
        initMs: result.initMs,
        layer: built.layer.path,
        layerBytes: built.layer.size,
        unpackedBytes: built.layer.unpacked,
        gilEnabled: response.gilEnabled,
      }),
    );
    return;
  }
  edge.print(
    [
      '',
      `response                 ${JSON.stringify(response)}`,
      `init                     ${result.initMs?.toFixed(1)} ms (process start to first request for work)`,
      `layer                    ${megabytes(built.layer.size)} zipped, ${megabytes(built.layer.unpacked)} unpacked: ${built.layer.path}`,
      `sys._is_gil_enabled()    ${response.gilEnabled ? 'True' : 'False'}`,
      '',
      'Next: make-runtime invoke, inspect and verify take that layer.zip; make-runtime --help tells the rest.',
      '',
    ].join('\n'),
  );
}

/** The one place that falls back by itself to an older pinned patch release, because a first try should work. */
async function buildNewestAvailable(output: string, edge: Edge): Promise<Built> {
  const { ctx } = edge;
  const plan = await resolvePlan({ recipe, engine }, ctx);
  try {
    return await buildRuntime(plan, output, ctx);
  } catch (error) {
    if (!isMakeRuntimeError(error) || error.code !== 'SOURCE_OLDER_AVAILABLE') throw error;
    const older = await olderObtainable(plan.source, await readLock(ctx.packageDir), ctx);
    if (!older) throw error;
    ctx.report({ type: 'warn', message: `${error.message} Going on with ${older.version}.` });
    return await buildRuntime(await resolvePlan({ recipe, engine, python: older.version }, ctx), output, ctx);
  }
}

async function installMissing(edge: Edge): Promise<void> {
  const { ctx } = edge;
  const plan = await resolvePlan({ recipe, engine }, ctx);
  const probe = await probeHost({ libraries: plan.libraries, requires: [] }, ctx.env);
  if (probe.missing.length === 0) return;
  const command = installCommand(probe);
  if (!command || process.getuid?.() !== 0) return; // The compile stage says what is missing and how to get it.
  edge.say(`Installing what compiling CPython needs (${probe.missing.map(({ name }) => name).join(', ')}):`);
  const steps = probe.packageManager?.name === 'apt' ? [['apt-get', 'update', '-q'], command] : [command];
  for (const [program, ...args] of steps as [string, ...string[]][]) {
    edge.say(`> ${[program, ...args].join(' ')}`);
    const result = await execa(program, args, {
      stdin: 'ignore',
      all: true,
      reject: false,
      env: { DEBIAN_FRONTEND: 'noninteractive' },
      cancelSignal: ctx.signal,
    });
    if (result.failed) {
      throw new MakeRuntimeError(
        'COMPILER_MISSING',
        `Installing the system packages failed: ${program} exited with ${result.exitCode}.`,
        {
          remedy: `Run it by hand and see what it says: ${[program, ...args].join(' ')}`,
          detail: (result.all ?? '').split('\n').slice(-8).join('\n'),
        },
      );
    }
  }
}
