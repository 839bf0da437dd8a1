// The wheels a plan bakes in: fetched by pip with their hashes for the target's Python, flavour and architecture, and
// unpacked without running any of them. pip is the one of CPython's source; it runs on the build machine's python3,
// which therefore need not be of the target's version or processor.
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import type { Context } from '../lib/context.ts';
import { isMakeRuntimeError, MakeRuntimeError, throwIfCancelled } from '../lib/errors.ts';
import { folderOnce } from '../lib/folder.ts';
import { readZip } from '../package/unzip.ts';
import { shortDigest } from '../recipe/canonical.ts';
import type { Plan } from '../recipe/model.ts';
import { type PinnedPackage, printRequirements } from '../recipe/requirements.ts';
import { digestFile } from '../source/cache.ts';
import { mergeTrees, type Tree } from '../tree/tree.ts';
import { compileBytecode } from './bytecode.ts';
import { bundledPip, pipEnvironment } from './pip.ts';
import { applicable, type Target, unmet } from './resolve.ts';
import { tags } from './tags.ts';
import { BadWheel, type Installed, installWheel, prefixLayout, withBytecode } from './wheel.ts';

export interface Extras {
  /** Paths below the prefix. */
  readonly tree: Tree;
  /** sha256 of each wheel, by the package's normalised name. */
  readonly pins: ReadonlyMap<string, { readonly sha256: string }>;
}

/**
 * Everything a plan's `extras` install below the prefix.
 * @param interpreter an executable of the target's version that runs here, for bytecode; undefined leaves it out
 * @throws EXTRAS_UNAVAILABLE, EXTRAS_HASH_MISMATCH, EXTRAS_INCOMPLETE; what fetching CPython's source throws; DISK_FULL,
 *   CANCELLED
 */
export async function installExtras(plan: Plan, interpreter: string | undefined, ctx: Context): Promise<Extras> {
  const { folder: pip } = await bundledPip(plan, ctx);
  const wanted = (plan.extras ?? []).flatMap(({ packages }) => packages);
  const target: Target = { ...plan.python, arch: plan.arch };
  const packages = await applicable(wanted, target, pip, ctx);
  const folder = join(ctx.cacheDir, 'wheels', shortDigest([packages, tags(plan)]));
  await folderOnce(folder, (scratch) => download(packages, plan, pip, scratch, ctx));

  const trees: Tree[] = [];
  const pins = new Map<string, { sha256: string }>();
  const installed: { one: Installed; requires: string[] }[] = [];
  for (const file of (await readdir(folder)).filter((name) => name.endsWith('.whl')).sort()) {
    throwIfCancelled(ctx.signal);
    const { name, sha256 } = await pinnedAs(join(folder, file), packages, ctx);
    pins.set(name, { sha256 });
    const wheel = await readWheel(join(folder, file));
    let one = await install(wheel, file, plan);
    installed.push({ one, requires: await requirementsOf(wheel) });
    if (interpreter !== undefined)
      one = await withBytecode(one, prefixLayout(plan.python), await compileBytecode(one.tree, interpreter, ctx));
    trees.push(one.tree);
  }
  const missing = await unmet(
    installed.map(({ one: { name, version }, requires }) => ({ name, version, requires })),
    packages,
    target,
    pip,
    ctx,
  );
  if (missing.length > 0) {
    throw new MakeRuntimeError('EXTRAS_INCOMPLETE', 'The extras need packages that are not among them.', {
      remedy:
        'Pin these too: `pip-compile --generate-hashes` and `uv pip compile --generate-hashes` write complete files.',
      detail: missing.join('\n'),
    });
  }
  return { tree: mergeTrees(...trees), pins };
}

async function download(
  packages: readonly PinnedPackage[],
  plan: Plan,
  pip: string,
  scratch: string,
  ctx: Context,
): Promise<void> {
  const requirements = join(scratch, 'requirements.txt');
  await writeFile(requirements, printRequirements(packages));
  if (packages.length === 0) return;
  if (ctx.offline) {
    throw new MakeRuntimeError(
      'EXTRAS_UNAVAILABLE',
      'The extras are not in the cache, and --offline forbids fetching them.',
      {
        remedy: 'Run once without --offline.',
      },
    );
  }
  const argv = [
    join(pip, 'pip'),
    ...['download', '--no-deps', '--only-binary=:all:', '--require-hashes', '--no-input', '--progress-bar=off'],
    ...['--disable-pip-version-check', '--dest', scratch, '--requirement', requirements],
    ...tags(plan),
  ];
  ctx.report({ type: 'progress', stage: 'extras', text: `fetching ${packages.length} packages` });
  const result = await execa('python3', argv, {
    cwd: scratch,
    extendEnv: false,
    env: pipEnvironment(ctx.env),
    reject: false,
    all: true,
    cancelSignal: ctx.signal,
    stdin: 'ignore',
  });
  throwIfCancelled(ctx.signal);
  if (!result.failed) return;
  const said = (result.all ?? result.shortMessage ?? '').trim();
  const errors = said.split('\n').filter((line) => /^\s*(ERROR|Expected|Got)\b/.test(line));
  const detail = (errors.length > 0 ? errors : said.split('\n').slice(-8)).join('\n');
  if (/DO NOT MATCH THE HASHES/.test(said)) {
    throw new MakeRuntimeError('EXTRAS_HASH_MISMATCH', 'A package of the extras is not the one that was pinned.', {
      remedy: 'Find out why before touching the hashes: a release on PyPI never changes its files.',
      detail: said.slice(said.indexOf('THESE PACKAGES')).split('\n').slice(1, 6).join('\n').trim(),
    });
  }
  const abi = plan.python.executable.replace(/^python/, 'CPython ');
  throw new MakeRuntimeError('EXTRAS_UNAVAILABLE', `pip does not get the extras for ${abi} on ${plan.arch}.`, {
    remedy:
      result.exitCode === undefined
        ? 'Install python3: pip runs on it.'
        : 'Check the versions, the network and pip’s settings; each package needs a wheel for this Python, sources are not built here.',
    detail,
  });
}

/** Once more after pip: the folder may be one that an earlier run left in the cache. */
async function pinnedAs(
  path: string,
  packages: readonly PinnedPackage[],
  ctx: Context,
): Promise<{ readonly name: string; readonly sha256: string }> {
  const { sha256 } = await digestFile(path, ctx.signal);
  const pin = packages.find((one) => one.sha256.includes(sha256));
  if (pin) return { name: pin.name, sha256 };
  throw new MakeRuntimeError('EXTRAS_HASH_MISMATCH', `${path} is none of the files that are pinned.`, {
    remedy: 'Remove its folder from the cache and run again.',
    detail: `found sha256 ${sha256}`,
  });
}

async function install(wheel: Tree, file: string, plan: Plan): Promise<Installed> {
  try {
    return await installWheel(wheel, prefixLayout(plan.python));
  } catch (error) {
    throw error instanceof BadWheel ? unusable(file, error.message, error) : error;
  }
}

async function readWheel(path: string): Promise<Tree> {
  try {
    return await readZip(path);
  } catch (error) {
    if (!isMakeRuntimeError(error)) throw error;
    throw unusable(path, error.message.replace(/^.*: |\.$/g, ''), error);
  }
}

function unusable(file: string, why: string, cause: unknown): MakeRuntimeError {
  return new MakeRuntimeError('EXTRAS_UNAVAILABLE', `${file} is not a wheel that can be installed: ${why}.`, {
    remedy: 'Pin another version, or report it to the package.',
    cause,
  });
}

async function requirementsOf(wheel: Tree): Promise<string[]> {
  const path = [...wheel.entries.keys()].find((path) => /^[^/]+\.dist-info\/METADATA$/.test(path));
  const entry = path === undefined ? undefined : wheel.entries.get(path);
  if (entry?.kind !== 'file') return [];
  const [head = ''] = Buffer.from(await entry.read())
    .toString('utf8')
    .split(/\r?\n\r?\n/, 1);
  return [...head.matchAll(/^Requires-Dist:\s*(.+?)\s*$/gm)].map(([, text = '']) => text);
}
