// The pip that CPython's own source carries for ensurepip: pinned by the source's hash, so the same plan has the same
// pip, and it is at hand for an artifact that was built long ago or for another machine.
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import type { Context } from '../lib/context.ts';
import { explainSystemError, MakeRuntimeError, throwIfCancelled } from '../lib/errors.ts';
import { folderOnce } from '../lib/folder.ts';
import { readZip } from '../package/unzip.ts';
import type { Plan } from '../recipe/model.ts';
import { readLock } from '../source/lock.ts';
import { fetchPlanSource } from '../source/obtain.ts';
import { writeTree } from '../tree/tree.ts';
import { compileBytecode } from './bytecode.ts';
import { type Installed, installWheel, prefixLayout, withBytecode } from './wheel.ts';

export interface BundledPip {
  /** The wheel. */
  readonly wheel: string;
  /** Its content as a folder, for running it here: from a zip, Python would compile it anew each time. */
  readonly folder: string;
}

/**
 * The pip inside of a plan's CPython source, in the cache.
 * @throws as fetchPlanSource(); DISK_FULL, CANCELLED
 */
export async function bundledPip(plan: Plan, ctx: Context): Promise<BundledPip> {
  const folder = join(ctx.cacheDir, 'ensurepip', plan.source.sha256);
  await folderOnce(folder, async (scratch) => {
    const source = await fetchPlanSource(plan, await readLock(ctx.packageDir), ctx);
    const unpacked = join(scratch, 'unpacked');
    await mkdir(unpacked);
    const argv = [
      '-xf',
      source,
      '-C',
      unpacked,
      '--strip-components=4',
      '--wildcards',
      '*/Lib/ensurepip/_bundled/pip-*.whl',
    ];
    const result = await execa('tar', argv, { reject: false, cancelSignal: ctx.signal, stdin: 'ignore' });
    throwIfCancelled(ctx.signal);
    const [wheel] = await readdir(unpacked);
    if (result.failed || wheel === undefined) {
      throw explainSystemError(
        new MakeRuntimeError('EXTRAS_UNAVAILABLE', `There is no pip in ${plan.source.file}.`, {
          remedy: 'Make the image with --without-pip.',
          detail: result.stderr || result.shortMessage || '',
        }),
        'unpacking pip',
      );
    }
    await rename(join(unpacked, wheel), join(scratch, wheel));
    await rm(unpacked, { recursive: true });
    await writeTree(await readZip(join(scratch, wheel)), unpacked, ctx.signal);
  });
  const wheel = (await readdir(folder)).find((name) => name.endsWith('.whl')) ?? '';
  return { wheel: join(folder, wheel), folder: join(folder, 'unpacked') };
}

/**
 * pip as installed below the prefix, with the commands pip, pip3 and pip3.Y.
 * @param interpreter compiles its bytecode; without one there is none, and Python writes it when pip is first used
 */
export async function installPip(
  { wheel }: Pick<BundledPip, 'wheel'>,
  plan: Pick<Plan, 'python'>,
  interpreter: string | undefined,
  ctx: Context,
): Promise<Installed> {
  const { python } = plan;
  const layout = prefixLayout(python);
  // pip installs itself under these three names whatever its wheel says (pip/_internal/operations/install/wheel.py);
  // the wheel's own third name, where there is one, is of the Python that packed it.
  const names = ['pip', 'pip3', `pip${python.minor}`];
  const commands = new Map(names.map((name) => [name, 'pip._internal.cli.main:main']));
  const installed = await installWheel(await readZip(wheel), layout, commands);
  if (interpreter === undefined) return installed;
  return withBytecode(installed, layout, await compileBytecode(installed.tree, interpreter, ctx));
}

/** The settings of pip and of proxies that the user has; nothing that would change what it does. */
export function pipEnvironment(env: Context['env']): Record<string, string> {
  const wanted =
    /^(PATH|HOME|TMPDIR|LANG|XDG_\w+|SSL_CERT_(FILE|DIR)|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|NETRC|(https?|no|all)_proxy|PIP_\w+)$/i;
  const passed = Object.entries(env).filter(
    (row): row is [string, string] => wanted.test(row[0]) && row[1] !== undefined,
  );
  return { ...Object.fromEntries(passed), PIP_REQUIRE_VIRTUALENV: '0' };
}
