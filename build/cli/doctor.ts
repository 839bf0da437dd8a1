// What this machine can and cannot do, each gap with the command that closes it.
import { constants } from 'node:fs';
import { access, mkdir, statfs } from 'node:fs/promises';
import { containerClis, openContainerEngine } from '../compile/container-cli.ts';
import { defaultBuilder, pinnedBuilder } from '../compile/container-engine.ts';
import { ownArch } from '../compile/engine.ts';
import { type HostProbe, installCommand, probeHost } from '../compile/host.ts';
import { andList } from '../compile/requirement.ts';
import { probeEmulation, probeSandbox } from '../lambda/sandbox.ts';
import type { Context } from '../lib/context.ts';
import { isMakeRuntimeError } from '../lib/errors.ts';
import { resolvePlan, surveyPlan } from '../pipeline.ts';
import { minorsWith, requirements } from '../recipe/cpython.ts';
import { crossFor } from '../recipe/cross.ts';
import { toolName, whereToGet } from '../recipe/tools.ts';
import { readLock } from '../source/lock.ts';
import type { Edge } from './edge.ts';

interface Finding {
  readonly topic: string;
  readonly state: 'ok' | 'missing' | 'optional';
  readonly message: string;
  readonly fix?: string;
}

export async function doctor(edge: Edge): Promise<void> {
  const { ctx } = edge;
  // The release with the most libraries stands for all of them.
  const plan = await resolvePlan({ recipe: '3.14', engine: 'host' }, ctx);
  const probe = await probeHost({ libraries: plan.libraries, requires: [] }, ctx.env);
  const findings: Finding[] = [
    node(),
    ...compiler(probe),
    ...(
      await Promise.all([disk(ctx.cacheDir), sandbox(ctx), engines(edge), release(edge), jit(edge), otherArch(edge)])
    ).flat(),
  ];
  if (edge.json) {
    edge.print(JSON.stringify(findings));
  } else {
    const mark = { ok: edge.colors.green('✓'), missing: edge.colors.red('✗'), optional: edge.colors.dim('-') };
    const width = Math.max(...findings.map(({ topic }) => topic.length));
    edge.print(
      findings
        .flatMap(({ topic, state, message, fix }) => [
          `${mark[state]} ${topic.padEnd(width)}  ${message}`,
          ...(fix ? [`  ${' '.repeat(width)}  ${edge.colors.green('try')} ${fix}`] : []),
        ])
        .join('\n'),
    );
  }
  if (findings.some(({ state }) => state === 'missing')) process.exitCode = 1;
}

function node(): Finding {
  const major = Number(process.versions.node.split('.')[0]);
  return {
    topic: 'node',
    state: 'ok',
    message: `${process.version}${major < 22 ? ' works; 22 or newer is recommended' : ''}`,
  };
}

function compiler(probe: HostProbe): Finding[] {
  const fix = installCommand(probe)?.join(' ');
  const tools = probe.missing.filter(({ kind }) => kind === 'tool');
  const libraries = probe.missing.filter(({ kind }) => kind !== 'tool');
  const state = (list: readonly unknown[]): Finding['state'] => (list.length === 0 ? 'ok' : 'missing');
  return [
    { topic: 'system', state: 'ok', message: `${probe.builder.system}, ${process.arch}` },
    {
      topic: 'compiler',
      state: state(tools),
      message:
        tools.length === 0 ? (probe.builder.compiler ?? '') : `not found: ${tools.map(({ name }) => name).join(', ')}`,
      ...(tools.length > 0 && fix ? { fix } : {}),
    },
    {
      topic: 'libraries',
      state: state(libraries),
      message:
        libraries.length === 0
          ? 'headers and static archives of every C library are there'
          : `not found: ${libraries.map(({ name, modules }) => `${name} (${modules.join(', ')})`).join('; ')}`,
      ...(libraries.length > 0 && fix ? { fix } : {}),
    },
  ];
}

async function disk(cacheDir: string): Promise<Finding> {
  await mkdir(cacheDir, { recursive: true });
  const writable = await access(cacheDir, constants.W_OK).then(
    () => true,
    () => false,
  );
  if (!writable) {
    return {
      topic: 'cache',
      state: 'missing',
      message: `${cacheDir} is not writable`,
      fix: 'export MAKE_RUNTIME_CACHE=<folder>',
    };
  }
  const { bavail, bsize } = await statfs(cacheDir);
  const free = (bavail * bsize) / 1e9;
  // The source alone unpacks to 0.12 GB, the result of one build is 0.1 GB, and several builds may share the cache.
  return free < 2
    ? {
        topic: 'cache',
        state: 'missing',
        message: `${cacheDir}: ${free.toFixed(1)} GB free, a build needs 2`,
        fix: 'export MAKE_RUNTIME_CACHE=<folder on a larger disk>',
      }
    : { topic: 'cache', state: 'ok', message: `${cacheDir}: ${free.toFixed(0)} GB free` };
}

async function sandbox(ctx: Context): Promise<Finding> {
  const { kind, why } = await probeSandbox(ctx);
  return kind === 'mapped'
    ? { topic: 'sandbox', state: 'optional', message: `mapped paths only: ${why}`, fix: 'apt-get install bubblewrap' }
    : { topic: 'sandbox', state: 'ok', message: `${kind}: handlers run with Lambda's own paths` };
}

/** Each engine by its own words: installed is not running, and running is not permitted. */
async function engines({ ctx }: Edge): Promise<Finding[]> {
  const pinned = pinnedBuilder(await readLock(ctx.packageDir));
  const rows = await Promise.all(
    containerClis.map(async (cli): Promise<Finding | undefined> => {
      try {
        const { rootless } = await openContainerEngine(cli, ctx);
        return { topic: cli.name, state: 'ok', message: `answers${rootless ? ', without root' : ''}` };
      } catch (error) {
        if (!isMakeRuntimeError(error) || error.code === 'CANCELLED') throw error;
        if (error.message.endsWith('is not installed.')) return undefined;
        const fix = error.remedy === undefined ? {} : { fix: error.remedy };
        return { topic: cli.name, state: 'optional', message: error.message, ...fix };
      }
    }),
  );
  const found = rows.filter((row) => row !== undefined);
  const engine = found.find(({ state }) => state === 'ok')?.topic;
  return [
    { topic: 'engine', state: 'ok', message: engine === undefined ? 'host' : `host, ${engine}` },
    ...found,
    ...(found.length > 0
      ? []
      : [{ topic: 'containers', state: 'optional', message: 'no container engine is installed' } as const]),
    pinned === undefined
      ? {
          topic: 'builder',
          state: 'optional',
          message: `${defaultBuilder} is not pinned: container engines need --builder <image>`,
          fix: 'make-runtime lock --builder',
        }
      : { topic: 'builder', state: 'ok', message: pinned },
  ];
}

/** What the release profile needs beside the compiler: tools that its libraries' own build systems call. */
async function release({ ctx }: Edge): Promise<Finding> {
  const topic = 'release';
  const { plan, gaps } = await surveyPlan({ recipe: '3.14', profile: 'release', engine: 'host' }, ctx);
  if (gaps.length === 0)
    return { topic, state: 'ok', message: 'the release profile can be built: pinned libraries, PGO, LTO' };
  const fix = whereToGet(plan.requires);
  return { topic, state: 'optional', message: `the release profile lacks ${andList(gaps)}`, fix };
}

/** Whether each version's JIT could be built here: the requirements of its plan. */
async function jit({ ctx }: Edge): Promise<Finding[]> {
  return Promise.all(
    minorsWith('jit').map(async (minor): Promise<Finding> => {
      const topic = `jit ${minor}`;
      const requires = requirements(minor, 'jit');
      const { gaps } = await probeHost({ libraries: [], requires }, ctx.env);
      if (gaps.length === 0)
        return { topic, state: 'ok', message: `${requires.map(toolName).join(' and ')} are there` };
      const fix = whereToGet(gaps.map(({ requirement }) => requirement));
      return { topic, state: 'optional', message: `not found: ${andList(gaps)}`, fix };
    }),
  );
}

/** Whether Lambda's other architecture can be built for and tried here. */
async function otherArch({ ctx }: Edge): Promise<Finding[]> {
  const own = ownArch();
  const arch = own === 'arm64' ? 'x86_64' : 'arm64';
  const cross = crossFor(own, arch);
  const probe = await probeHost({ libraries: [], requires: [], ...(cross ? { cross } : {}) }, ctx.env);
  const fix = installCommand(probe)?.join(' ');
  const build: Finding =
    probe.missing.length === 0
      ? { topic: arch, state: 'ok', message: `can be cross-compiled for: ${probe.builder.compiler}` }
      : {
          topic: arch,
          state: 'optional',
          message: `cannot be compiled for: no ${probe.missing.map(({ name }) => name).join(', ')}`,
          ...(fix ? { fix } : {}),
        };
  const topic = `run ${arch}`;
  try {
    return [build, { topic, state: 'ok', message: `by ${await probeEmulation(arch, ctx)}, in a sandbox of its own` }];
  } catch (error) {
    if (!isMakeRuntimeError(error) || error.code === 'CANCELLED') throw error;
    const remedy = error.remedy === undefined ? {} : { fix: error.remedy };
    return [build, { topic, state: 'optional', message: error.message, ...remedy }];
  }
}
