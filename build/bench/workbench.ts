// What scenarios are made of: the runtimes that are compared, plain Python of the first artifact's build, the floor in C,
// functions and events. Everything is prepared here, so that starting is all that is left to time.
import { createHash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Context } from '../lib/context.ts';
import { exists, writeWhole } from '../lib/folder.ts';
import { type Counters, findCounters } from './counters.ts';
import { pythonName } from './functions.ts';
import { type Command, compileTools, type Tools } from './harness.ts';
import { type Artifact, openArtifact } from './runtimes/artifact.ts';
import { clientOn, clientRuntime } from './runtimes/awslambdaric.ts';
import { openImage } from './runtimes/image.ts';
import { plainEnv, type Runtime } from './runtimes/runtime.ts';

/** What is asked for. */
export interface Entrants {
  /** Layers; the first is the one whose targets are judged. At least one. */
  readonly artifacts: readonly string[];
  /** Interpreters of this machine for AWS's client. */
  readonly clients: readonly string[];
  /** Whether AWS's client also runs on each artifact's own interpreter. */
  readonly sameClient: boolean;
  readonly images: readonly string[];
  readonly engine: string;
}

/** An artifact and AWS's client on the same interpreter. */
export interface Pair {
  readonly ours: Artifact;
  readonly client: Runtime | undefined;
}

export interface Workbench {
  readonly tools: Tools;
  readonly counters: Counters;
  /** In the order of tables: each artifact and its client, then images, then clients on other interpreters. */
  readonly runtimes: readonly Runtime[];
  readonly pairs: readonly Pair[];
  /** The first artifact. */
  readonly first: Artifact;
  /** The C program that answers at once. */
  answer(...args: string[]): Command;
  /** A file with this text. */
  event(name: string, text: string): Promise<string>;
  /** A path for something that is written during a run and read after it. */
  scratch(name: string): string;
  /** What a reader has to know: who could not take part, and why. */
  readonly notes: readonly string[];
}

/**
 * @throws ARTIFACT_NOT_FOUND, ARTIFACT_NOT_A_LAYER, SOURCE_UNREACHABLE, COMPILER_MISSING, ENGINE_UNAVAILABLE, USAGE
 */
export async function prepareWorkbench(entrants: Entrants, ctx: Context): Promise<Workbench> {
  const tools = await compileTools(ctx);
  const folder = join(ctx.cacheDir, 'bench');
  await mkdir(folder, { recursive: true });
  const notes: string[] = [];
  const others = [];
  for (const path of entrants.clients) others.push(await clientOn(path, ctx));
  // The machine's own, when nothing else has pip: it installs wheels for others, and runs nothing of them.
  const pip = others[0]?.python ?? 'python3';
  const opened = [];
  for (const path of entrants.artifacts)
    opened.push(await openArtifact(path, { withClient: entrants.sameClient, pip }, ctx));

  const taken = new Set<string>();
  const unique = (name: string, more: string): string => {
    let free = taken.has(name) ? `${name}, ${more}` : name;
    for (let nth = 2; taken.has(free); nth += 1) free = `${name}, ${more} (${nth})`;
    taken.add(free);
    return free;
  };
  const only = opened.length === 1;
  const clients = new Map<string, Runtime>();
  const pairs = opened.map(({ plan, client, named }): Pair => {
    const ours = named(unique(only ? 'make-runtime' : plan.name, plan.id.slice(0, 8)));
    if (client === undefined) {
      if (entrants.sameClient)
        notes.push(`${ours.name} was not built on this machine: AWS's client is not on its interpreter.`);
      return { ours, client: undefined };
    }
    // Two layers of one interpreter, such as before and after a change of the bootstrap, have one client.
    let runtime = clients.get(client.python);
    if (runtime === undefined) {
      const name = `awslambdaric ${client.about.client}`;
      runtime = clientRuntime(
        unique(only ? name : `${name}, ${pythonName(client.about)}`, plan.id.slice(0, 8)),
        client,
        ctx,
      );
      clients.set(client.python, runtime);
    }
    return { ours, client: runtime };
  });
  const images = [];
  for (const reference of entrants.images) {
    const named = await openImage(
      reference,
      { engine: entrants.engine, tools, pip: opened[0]?.client?.python ?? pip },
      ctx,
    );
    images.push(named(unique(`image ${basename(reference)}`, 'again')));
  }
  const extra = others.map((client) =>
    clientRuntime(unique(`awslambdaric ${client.about.client}, ${pythonName(client.about)}`, 'again'), client, ctx),
  );
  const first = pairs[0]?.ours;
  if (first === undefined) throw new Error('a benchmark needs an artifact');
  const listed = pairs.flatMap(({ ours, client }) => [ours, ...(client === undefined ? [] : [client])]);
  return {
    tools,
    counters: await findCounters(ctx),
    runtimes: [...new Set([...listed, ...images, ...extra])],
    pairs,
    first,
    answer: (...args) => ({ argv: [tools.answer, ...args], env: plainEnv, cwd: folder, files: [tools.answer] }),
    event: async (name, text) => {
      const path = join(folder, `${name}-${createHash('sha256').update(text).digest('hex').slice(0, 12)}.json`);
      if (!(await exists(path))) await writeWhole(path, text);
      return path;
    },
    scratch: (name) => join(folder, `scratch-${process.pid}-${name}`),
    notes,
  };
}
