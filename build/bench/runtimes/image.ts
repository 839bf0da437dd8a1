// A container image: its file system is taken out of an engine once, and what the image starts runs in it directly, in a
// mount namespace (native/surroundings.c). So what is timed is the runtime, by the same clock as every other one's, and
// not an engine's way of making containers. Refuses to know which runtime is inside.
import { lstat, mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import {
  type ContainerEngine,
  containerClis,
  firstContainerEngine,
  lastLines,
  noneAnswered,
  openContainerEngine,
} from '../../compile/container-cli.ts';
import type { Context } from '../../lib/context.ts';
import { MakeRuntimeError, throwIfCancelled } from '../../lib/errors.ts';
import { folderOnce } from '../../lib/folder.ts';
import { type About, askAbout, compileWords, type FunctionMaker, makeFunction, pythonName } from '../functions.ts';
import { type Command, runSteps, type Tools } from '../harness.ts';
import { lambdaEnv, type Runtime } from './runtime.ts';

/** What docker, podman, finch and nerdctl say of an image, as far as it is used. */
interface Inspected {
  readonly Id: string;
  readonly Config: {
    readonly Entrypoint?: readonly string[] | null;
    readonly Env?: readonly string[] | null;
    readonly WorkingDir?: string;
  };
}

const task = '/var/task';

/**
 * @param reference as the engine knows it; pulled when it does not
 * @param options.pip an interpreter with pip: an image may have none
 * @throws ENGINE_UNKNOWN, ENGINE_UNAVAILABLE, ENGINE_DENIED, ARTIFACT_NOT_FOUND for no such image, ARTIFACT_NOT_A_LAYER
 * for one that starts nothing or has no Python
 */
export async function openImage(
  reference: string,
  { engine: wanted, tools, pip }: { engine: string; tools: Tools; pip: string },
  ctx: Context,
): Promise<(name: string) => Runtime> {
  const engine = await chooseEngine(wanted, ctx);
  const { Id, Config } = await inspect(reference, engine);
  const entry = Config.Entrypoint ?? [];
  if (entry[0] === undefined) {
    throw new MakeRuntimeError('ARTIFACT_NOT_A_LAYER', `${reference} has no ENTRYPOINT, so it is no Lambda image.`, {
      remedy: 'Lambda images start a runtime and are given the handler: AWS’s, ours (make-runtime image), or your own.',
    });
  }
  const id = Id.replace(/^sha256:/, '').slice(0, 16);
  const folder = join(ctx.cacheDir, 'bench', `image-${id}`);
  await folderOnce(folder, (scratch) => takeOut(reference, engine, scratch, ctx));
  const own = Object.fromEntries((Config.Env ?? []).map((line) => splitOnce(line)));
  const command = (argv: Command['argv'], shown: string, env: Readonly<Record<string, string>>): Command => ({
    argv,
    env: { ...lambdaEnv(task, {}), ...own, LAMBDA_TASK_ROOT: task, ...env },
    cwd: '/',
    files: [folder, shown],
    root: {
      folder,
      work: Config.WorkingDir || '/',
      show: [
        [shown, task],
        ['/proc', '/proc'],
        ['/dev', '/dev'],
      ],
    },
  });
  const python = await findPython(folder, reference);
  const inside = (words: readonly string[], shown: string): Promise<unknown> =>
    runSteps(tools, command([python, ...words], shown, {}), '/dev/null', ['exit'], ctx);
  const about = await ask(inside, join(ctx.cacheDir, 'bench', `image-${id}-about`));
  const maker: FunctionMaker = {
    about,
    pip: { python: pip, own: false },
    compile: async (shown) => void (await inside(compileWords(task), shown)),
  };
  return (name) => ({
    name,
    kind: 'image',
    python: pythonName(about),
    identity: `${reference}, ${Id}`,
    start: (code, env = {}) => command([entry[0] as string, ...entry.slice(1), 'app.handler'], code.folder, env),
    fn: (title, source, packages = []) => makeFunction(maker, { name: title, source, packages }, ctx),
  });
}

async function chooseEngine(wanted: string, ctx: Context): Promise<ContainerEngine> {
  const cli = containerClis.find(({ name }) => name === wanted);
  if (cli !== undefined) return openContainerEngine(cli, ctx);
  if (wanted !== 'auto' && wanted !== 'container') {
    throw new MakeRuntimeError('ENGINE_UNKNOWN', `Images come from a container engine, and ${wanted} is none.`, {
      remedy: `Choose one with --engine: ${containerClis.map(({ name }) => name).join(', ')}.`,
    });
  }
  const { engine, refusals } = await firstContainerEngine(ctx);
  if (engine === undefined) throw noneAnswered(refusals);
  return engine;
}

async function inspect(reference: string, engine: ContainerEngine): Promise<Inspected> {
  const look = () => engine.call(['image', 'inspect', reference]);
  let answer = await look();
  if (!answer.ok) {
    const pulled = await engine.call(['pull', '--quiet', reference]);
    if (!pulled.ok) {
      throw new MakeRuntimeError('ARTIFACT_NOT_FOUND', `${engine.cli.name} has no image called ${reference}.`, {
        remedy: 'Load it first (docker load, podman load), or give the name that a registry knows.',
        detail: lastLines(pulled.stderr),
      });
    }
    answer = await look();
  }
  const [found] = JSON.parse(answer.stdout) as Inspected[];
  return found as Inspected;
}

/** The image's file system as a folder. The container that it takes is never started. */
async function takeOut(reference: string, engine: ContainerEngine, scratch: string, ctx: Context): Promise<void> {
  ctx.report({ type: 'progress', stage: 'bench', text: `taking ${reference} out of ${engine.cli.name}` });
  const created = await engine.call(['create', reference, 'app.handler']);
  if (!created.ok) throw failed(reference, created.stderr);
  const container = created.stdout.trim().split('\n').at(-1) ?? '';
  const tar = `${scratch}.tar`;
  try {
    const exported = await engine.call(['export', '-o', tar, container]);
    if (!exported.ok) throw failed(reference, exported.stderr);
    // Devices, if an image has any, are the host's that are shown there later.
    const words = ['-xf', tar, '-C', scratch, '--no-same-owner', '--exclude=dev/*', '--exclude=./dev/*'];
    const unpacked = await execa('tar', words, { reject: false, cancelSignal: ctx.signal, stdin: 'ignore' });
    throwIfCancelled(ctx.signal);
    if (unpacked.failed) throw failed(reference, unpacked.stderr || (unpacked.shortMessage ?? ''));
  } finally {
    await rm(tar, { force: true });
    await engine.call(['rm', '--force', container], { evenIfAborted: true });
  }
  for (const path of ['proc', 'dev', 'tmp', task]) await mkdir(join(scratch, path), { recursive: true });
}

const failed = (reference: string, detail: string): MakeRuntimeError =>
  new MakeRuntimeError('ENGINE_FAILED', `The file system of ${reference} could not be taken out of its image.`, {
    remedy: 'The lines above are of the engine or of tar.',
    detail: lastLines(detail),
  });

/** Lambda's place first, then where Python's own image and distributions have it. Links are the image's, not the host's. */
async function findPython(folder: string, reference: string): Promise<string> {
  for (const place of ['/var/lang/bin', '/usr/local/bin', '/usr/bin']) {
    const names = await readdir(join(folder, place)).catch((): string[] => []);
    const name = ['python3', ...names.filter((one) => /^python3\.\d+t?$/.test(one)).sort()].find((one) =>
      names.includes(one),
    );
    if (name !== undefined && (await lstat(join(folder, place, name)))) return `${place}/${name}`;
  }
  throw new MakeRuntimeError('ARTIFACT_NOT_A_LAYER', `${reference} has no Python that could be found.`, {
    remedy: 'It is looked for in /var/lang/bin, /usr/local/bin and /usr/bin.',
  });
}

/** Standard output goes nowhere in a benchmark, so the answer is a file in a folder that is shown. */
async function ask(
  inside: (words: readonly string[], shown: string) => Promise<unknown>,
  folder: string,
): Promise<About> {
  await folderOnce(folder, async (scratch) => {
    const script = `import sys; sys.stdout = open('${task}/about.json', 'w')\n${askAbout}`;
    await inside(['-I', '-c', script], scratch);
  });
  return JSON.parse(await readFile(join(folder, 'about.json'), 'utf8')) as About;
}

function splitOnce(line: string): [string, string] {
  const at = line.indexOf('=');
  return at < 0 ? [line, ''] : [line.slice(0, at), line.slice(at + 1)];
}
