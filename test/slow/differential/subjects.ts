// The two runtimes that are compared: AWS's client as the managed runtime starts it, and our bootstrap, on the same
// CPython. Knows where they come from (pip, a build, a layer); refuses to know what they are asked.
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, realpath, rename, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { execa } from 'execa';
import { unpackLayer } from '../../../build/package/unpack.ts';
import { builtRuntimes } from '../../bootstrap/support/built.ts';
import { testContext } from '../../lambda/support/function.ts';
import type { Runtime } from './case.ts';

export interface Subject {
  readonly argv: readonly [string, ...string[]];
  /** Set for this one only. */
  readonly env: Readonly<Record<string, string>>;
  /** Folders and files that it may show, with the names to compare them by. */
  readonly names: ReadonlyArray<readonly [value: string | RegExp, name: string]>;
}

/** The place of a case's folder that stands for /opt, in `argv` and `env`. */
export const LAYERS = '{layers}';

export interface Pair {
  /** "3.13", or "3.13t, layer". */
  readonly name: string;
  readonly runtime: Runtime;
  /** Of awslambdaric. */
  readonly clientVersion: string;
  readonly there: Subject;
  readonly here: Subject;
}

const folder = import.meta.dirname;

/** A layer's Python may be 3.13.5 where the machine has 3.13.0: lines of the library, not of the function, move. */
const OTHER_RELEASE: Subject['names'] = [
  [
    /((?:<library>[^"\s]*|<frozen (?:importlib\._bootstrap(?:_external)?|site)>)(?:\\?", line|", "line":)) \d+/g,
    '$1 0',
  ],
];

/**
 * The newest and the oldest CPython of this machine that there is a client for, and the layer that
 * MAKE_RUNTIME_TEST_LAYER names, if it does.
 * @returns why nothing can be compared, where that is so
 */
export async function pairs(): Promise<Pair[] | string> {
  const built = await builtRuntimes();
  const runtimes = built.map((one) => ({
    name: one.version,
    runtime: { minor: one.minor, layer: false },
    python: one.python,
    bootstrap: one.bootstrap,
  }));
  const given = process.env['MAKE_RUNTIME_TEST_LAYER'];
  if (given !== undefined) {
    const opt = await unpackLayer(given, undefined, testContext(await cache()));
    const bin = path.join(opt, 'lang/bin');
    const version = (await readdir(bin)).find((name) => /^python3\.\d+t$/.test(name)) ?? 'python3';
    const minor = Number(
      (await execa(path.join(bin, version), ['-c', 'import sys; print(sys.version_info[1])'])).stdout,
    );
    runtimes.push({
      name: `3.${minor}${version.endsWith('t') ? 't' : ''}, layer`,
      runtime: { minor, layer: true },
      python: path.join(bin, version),
      bootstrap: path.join(opt, 'bootstrap'),
    });
  }
  const plain = runtimes.filter(({ name }) => /^3\.\d+$/.test(name));
  const wanted = new Set([plain[0], plain.at(-1), ...runtimes.filter(({ runtime }) => runtime.layer)]);
  const found: Pair[] = [];
  const reasons: string[] = [];
  for (const one of wanted) {
    if (one === undefined) continue;
    // The client's wheels for free-threaded builds stop at an old version: the same Python with a GIL judges those.
    const judge = plain.find(({ runtime }) => runtime.minor === one.runtime.minor) ?? one;
    const python = await interpreterOf(judge.python);
    const client = await installed(python);
    if (!client.ok) {
      reasons.push(`Python ${one.name}: ${client.reason}`);
      continue;
    }
    found.push({
      name: one.name,
      runtime: one.runtime,
      clientVersion: client.version,
      there: {
        argv: [python, '-s', path.join(folder, 'managed/bootstrap.py'), client.folder, LAYERS],
        env: { AWS_EXECUTION_ENV: `AWS_Lambda_python3.${one.runtime.minor}` },
        names: [
          [await libraryOf(python), '<library>'],
          [client.folder, '<client>'],
          [path.join(folder, 'managed'), '<managed>'],
          ...(one.runtime.layer ? OTHER_RELEASE : []),
        ],
      },
      here: {
        argv: [one.bootstrap],
        env: { MAKE_RUNTIME_LAYER_ROOT: LAYERS },
        names: [
          [await libraryOf(one.python), '<library>'],
          [one.bootstrap, '<bootstrap>'],
          ...(one.runtime.layer ? OTHER_RELEASE : []),
        ],
      },
    });
  }
  if (found.length > 0) return found;
  return reasons.length > 0 ? reasons.join('; ') : 'there is no CPython with headers and library to build against';
}

async function libraryOf(python: string): Promise<string> {
  return (await execa(python, ['-I', '-c', 'import os; print(os.path.dirname(os.__file__))'])).stdout;
}

/** The real interpreter behind one of ours, whose standard library is made of links to that one's. */
async function interpreterOf(ours: string): Promise<string> {
  const library = path.dirname(await realpath(path.join(await libraryOf(ours), 'os.py')));
  const real = path.join(library, '../../bin', path.basename(library));
  return existsSync(real) ? real : ours;
}

async function cache(): Promise<string> {
  const root = path.join(os.tmpdir(), `make-runtime-differential-${process.getuid?.() ?? 0}`);
  await mkdir(root, { recursive: true, mode: 0o700 });
  return root;
}

type Client = { ok: true; folder: string; version: string } | { ok: false; reason: string };

/** AWS's client in a folder of its own, asked for once a day. Any pip will do: the machine's, or a venv's. */
async function installed(python: string): Promise<Client> {
  const root = await cache();
  const target = path.join(root, `${new Date().toISOString().slice(0, 10)}-${python.replaceAll('/', '_')}`);
  if (!existsSync(target)) {
    const venv = path.join(root, 'pip');
    const pip = path.join(venv, 'bin/python');
    if (!existsSync(pip)) {
      const made = await execa('python3', ['-m', 'venv', venv], { reject: false, all: true });
      if (made.failed) return { ok: false, reason: `no pip: ${made.all}` };
    }
    const draft = await mkdtemp(path.join(root, 'draft-'));
    // Wheels only: building the client needs autotools, and builds libcurl.
    const options = ['--quiet', '--only-binary', ':all:', '--target', draft];
    const got = await execa(
      pip,
      ['-m', 'pip', '--python', python, 'install', ...options, '-r', path.join(folder, 'requirements.txt')],
      { reject: false, all: true },
    );
    if (got.failed) {
      await rm(draft, { recursive: true });
      return { ok: false, reason: `awslambdaric cannot be installed: ${got.all}` };
    }
    await rename(draft, target).catch(() => rm(draft, { recursive: true }));
  }
  const source = await readFile(path.join(target, 'awslambdaric/__init__.py'), 'utf8');
  return { ok: true, folder: target, version: /__version__ = "(.*)"/.exec(source)?.[1] ?? 'unknown' };
}
