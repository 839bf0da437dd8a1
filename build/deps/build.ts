// Source distributions -> wheels, compiled by the builder of the runtime's own plan (the same engine, image and
// interpreter), without network: what the build itself needs is fetched before. Refuses to choose versions.
import { copyFile, mkdir, readdir, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { execa } from 'execa';
import { parse } from 'smol-toml';
import { compileKey } from '../compile/compile.ts';
import { type EngineChoice, engineFor } from '../compile/container-engine.ts';
import type { Context } from '../lib/context.ts';
import { MakeRuntimeError, throwIfCancelled } from '../lib/errors.ts';
import { exists } from '../lib/folder.ts';
import { readZip } from '../package/unzip.ts';
import { prefix } from '../recipe/cpython.ts';
import { digestFile } from '../source/cache.ts';
import { compareVersions, ElfError, highestGlibc, readElf } from '../tree/elf.ts';
import { lambdaGlibc } from '../verify/libraries.ts';
import { pipEnvironment } from '../wheels/pip.ts';
import { chooseWheels, type MissingWheel } from './choose.ts';
import type { DepsTarget } from './target.ts';

export interface BuiltWheel {
  /** sha256 of the wheel. */
  readonly sha256: string;
  /** sha256 of the source distribution. */
  readonly source: string;
}

/**
 * Compiles each package, and puts its wheel into `folder`.
 * @param scratch a folder for what is needed on the way
 * @throws DEPS_BUILD_FAILED, DEPS_UNAVAILABLE, DEPS_HASH_MISMATCH; what the plan's engine throws; CANCELLED
 */
export async function buildWheels(
  missing: readonly MissingWheel[],
  folder: string,
  target: DepsTarget,
  choice: EngineChoice,
  scratch: string,
  ctx: Context,
): Promise<BuiltWheel[]> {
  const { plan, pip } = target;
  const interpreter = join(ctx.cacheDir, 'compile', compileKey(plan), 'root', prefix);
  if (!(await exists(join(interpreter, 'include')))) {
    throw new MakeRuntimeError('DEPS_BUILD_FAILED', `The headers of ${plan.name} are not on this machine.`, {
      remedy:
        'Build the runtime here first (make-runtime build): compiling a package needs the interpreter with its headers.',
    });
  }
  const engine = engineFor(plan, choice, ctx);
  await engine.require(plan);
  const built: BuiltWheel[] = [];
  for (const one of missing) {
    throwIfCancelled(ctx.signal);
    const title = `${one.name} ${one.version}`;
    ctx.report({ type: 'progress', stage: 'deps', text: `compiling ${title}` });
    const work = join(scratch, `build-${one.name}-${one.version}`);
    await mkdir(join(work, 'source'), { recursive: true });
    await mkdir(join(work, 'out'));
    const source = await fetchSource(one, join(work, 'source'), target, ctx);
    const needs = join(work, 'needs');
    await mkdir(needs);
    const requirements = join(work, 'build-requirements.txt');
    await writeFile(requirements, `${(await buildRequirements(source.path, ctx)).join('\n')}\n`);
    const tools = await chooseWheels({ requirements: [requirements], folder: join(work, 'tools'), plan, pip }, ctx);
    if (tools.missing.length > 0)
      throw failed(title, 'what it is built with has no wheel', tools.missing.map(({ name }) => name).join(', '));
    for (const { path } of tools.wheels) await copyFile(path, join(needs, basename(path)));
    const log = join(ctx.cacheDir, 'logs', `deps-${one.name}-${one.version}-${plan.name}.log`);
    const tail: string[] = [];
    const status = await engine.run({
      program: buildProgram(plan.python.executable, basename(source.path)),
      folders: {
        ROOT: { path: interpreter },
        PIP: { path: pip },
        SOURCE: { path: join(work, 'source') },
        NEEDS: { path: needs },
        WORK: { path: join(work, 'work'), writable: true },
        OUT: { path: join(work, 'out'), writable: true },
      },
      // The first moment that a zip can name.
      environment: { SOURCE_DATE_EPOCH: '315532800', PYTHONHASHSEED: '0', LC_ALL: 'C.UTF-8' },
      log,
      signal: ctx.signal,
      onLine: (line) => {
        tail.push(line);
        if (tail.length > 25) tail.shift();
      },
    });
    throwIfCancelled(ctx.signal);
    const [file] = (await readdir(join(work, 'out'))).filter((name) => name.endsWith('.whl'));
    if (status !== 0 || file === undefined)
      throw failed(title, `its build ended with status ${status}`, [...tail, `The whole log: ${log}`].join('\n'));
    const wheel = join(work, 'out', file);
    await requireLambdaGlibc(wheel, title);
    const { sha256 } = await digestFile(wheel, ctx.signal);
    await copyFile(wheel, join(folder, file));
    built.push({ sha256, source: source.sha256 });
  }
  return built;
}

/** For /bin/sh, on this machine or in a container. */
function buildProgram(executable: string, source: string): string {
  return `
set -eu
mkdir -p "$WORK/home"
export HOME="$WORK/home" TMPDIR="$WORK"
exec "$ROOT/bin/${executable}" "$PIP/pip" wheel --no-index --find-links "$NEEDS" --no-deps --no-cache-dir \\
  --disable-pip-version-check --no-input --wheel-dir "$OUT" "$SOURCE/${source}"
`;
}

// pip download would run the package's own code to look at it; this fetches the file and nothing else, with the
// proxies, certificates and credentials that pip has.
const fetchProgram = `
import os, sys
from pip._internal.network.session import PipSession
url, path = sys.argv[1:]
session = PipSession(retries=3, index_urls=[one for one in [os.environ.get("PIP_INDEX_URL"), *os.environ.get("PIP_EXTRA_INDEX_URL", "").split()] if one])
if os.environ.get("PIP_CERT"):
    session.verify = os.environ["PIP_CERT"]
answer = session.get(url, headers={"Accept-Encoding": "identity"}, stream=True)
answer.raise_for_status()
with open(path, "wb") as file:
    for chunk in answer.iter_content(1 << 20):
        file.write(chunk)
`;

async function fetchSource(
  { name, version, source }: MissingWheel,
  folder: string,
  { pip }: DepsTarget,
  ctx: Context,
): Promise<{ readonly path: string; readonly sha256: string }> {
  if (source === undefined) throw failed(`${name} ${version}`, 'there is no source of it', '');
  const path = join(folder, source.file);
  const result = await execa('python3', ['-c', fetchProgram, source.link, path], {
    extendEnv: false,
    env: { ...pipEnvironment(ctx.env), PYTHONPATH: pip, PYTHONDONTWRITEBYTECODE: '1' },
    reject: false,
    all: true,
    cancelSignal: ctx.signal,
    stdin: 'ignore',
  });
  throwIfCancelled(ctx.signal);
  if (result.failed) {
    throw new MakeRuntimeError('DEPS_UNAVAILABLE', `The source of ${name} ${version} cannot be fetched.`, {
      remedy: 'Check the network and pip’s settings.',
      detail: (result.all ?? '').trim().split('\n').at(-1) ?? '',
    });
  }
  const { sha256 } = await digestFile(path, ctx.signal);
  if (source.sha256 !== undefined && source.sha256 !== sha256) {
    throw new MakeRuntimeError('DEPS_HASH_MISMATCH', `${source.file} is not the file that the index names.`, {
      remedy: 'Try again; if it stays so, the index or a proxy serves something else.',
      detail: `expected sha256 ${source.sha256}\nfound    sha256 ${sha256}`,
    });
  }
  return { path, sha256 };
}

/** PEP 518's; setuptools where there are none, and in any case, because its hooks ask for it and for wheel. */
async function buildRequirements(sdist: string, ctx: Context): Promise<string[]> {
  const archive = sdist.endsWith('.zip')
    ? execa('unzip', ['-p', sdist, '*/pyproject.toml'], { reject: false, cancelSignal: ctx.signal })
    : execa('tar', ['-xOf', sdist, '--wildcards', '--no-wildcards-match-slash', '*/pyproject.toml'], {
        reject: false,
        cancelSignal: ctx.signal,
      });
  const { exitCode, stdout } = await archive;
  throwIfCancelled(ctx.signal);
  const usual = ['setuptools', 'wheel'];
  if (exitCode !== 0 || stdout.trim() === '') return usual;
  try {
    const system = parse(stdout)['build-system'] as { requires?: unknown } | undefined;
    const requires = Array.isArray(system?.requires) ? system.requires.map(String) : usual;
    // A bound of the package's own must not meet ours as a second line without one: pip takes both.
    return [...new Set([...requires, ...usual])];
  } catch {
    return usual;
  }
}

/** A builder newer than Lambda can make what Lambda cannot load. */
async function requireLambdaGlibc(wheel: string, title: string): Promise<void> {
  for (const [path, entry] of (await readZip(wheel)).entries) {
    if (entry.kind !== 'file' || !/\.so(\.|$)/.test(path)) continue;
    let elf: ReturnType<typeof readElf>;
    try {
      elf = readElf(await entry.read());
    } catch (error) {
      if (!(error instanceof ElfError)) throw error;
      continue;
    }
    const needs = elf && highestGlibc(elf);
    if (needs === undefined || compareVersions(needs.split('.').map(Number), lambdaGlibc) <= 0) continue;
    throw new MakeRuntimeError(
      'DEPS_BUILD_FAILED',
      `${title} was compiled, and needs glibc ${needs}: Lambda has 2.34.`,
      {
        remedy:
          'Compile it where the runtime is built in Amazon Linux 2023: build the runtime with --engine and --builder.',
        detail: `in ${path}`,
      },
    );
  }
}

function failed(title: string, why: string, detail: string): MakeRuntimeError {
  return new MakeRuntimeError('DEPS_BUILD_FAILED', `${title} cannot be compiled: ${why}.`, {
    remedy:
      'Look into the log; a package that needs more than a C compiler and pip’s packages has to be built by hand.',
    detail,
  });
}
