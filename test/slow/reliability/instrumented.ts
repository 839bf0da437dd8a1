// CPythons that tell on us: built --with-pydebug (every reference counted, assertions on) and, free-threaded, with ThreadSanitizer
// besides; and our bootstrap linked into them. Kept below the cache by what went into them, because each takes minutes.
// Refuses to know what they are asked.
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { execa } from 'execa';
import { folderOnce } from '../../../build/lib/folder.ts';
import { pinsOf } from '../../../build/recipe/plan.ts';
import { fetchSource, isObtainable } from '../../../build/source/download.ts';
import { readLock } from '../../../build/source/lock.ts';
import { sources } from '../../bootstrap/support/built.ts';
import { testContext } from '../../lambda/support/function.ts';
import { root } from '../judges/layer.ts';

export interface Instrumented {
  /** "3.13t" and what was done to it. */
  readonly name: string;
  readonly series: string;
  readonly freeThreaded: boolean;
  readonly threadSanitizer: boolean;
}

export const instrumented: readonly Instrumented[] = [
  { name: '3.13t', series: '3.13', freeThreaded: true, threadSanitizer: true },
  { name: '3.13', series: '3.13', freeThreaded: false, threadSanitizer: false },
  { name: '3.11', series: '3.11', freeThreaded: false, threadSanitizer: false },
];

const cache = process.env['MAKE_RUNTIME_CACHE'] ?? path.join(os.homedir(), '.cache', 'make-runtime');

/** The tree in which it was built: the newest release that can be had here. */
export async function cpython(one: Instrumented): Promise<string> {
  const env = Object.fromEntries(Object.entries(process.env).filter(([, value]) => value !== undefined)) as Record<
    string,
    string
  >;
  const ctx = { ...testContext(cache), cacheDir: cache, packageDir: root, env, offline: false };
  const lock = await readLock(root);
  for (const pin of pinsOf(lock, one.series)) {
    if (!(await isObtainable(pin, ctx))) continue;
    const options = [
      `CC=${compiler(one)}`,
      ...['--with-pydebug', '--disable-test-modules', '--without-ensurepip'],
      ...(one.freeThreaded ? ['--disable-gil'] : []),
      ...(one.threadSanitizer ? ['--with-thread-sanitizer'] : []),
    ];
    const key = createHash('sha256')
      .update(JSON.stringify([pin.sha256, options]))
      .digest('hex')
      .slice(0, 16);
    const tree = path.join(cache, 'instrumented', `${one.name}-${key}`);
    const archive = await fetchSource(pin, ctx);
    await mkdir(path.dirname(tree), { recursive: true });
    await folderOnce(tree, async (cwd) => {
      await execa('tar', ['-xf', archive, '--strip-components=1', '--no-same-owner', '-C', cwd]);
      await execa(path.join(cwd, 'configure'), options, { cwd });
      await execa('make', ['-j', String(os.availableParallelism())], { cwd, env: { TSAN_OPTIONS: 'report_bugs=0' } });
      await execa('find', ['.', '-name', '*.o', '-delete'], { cwd });
    });
    return tree;
  }
  throw new Error(`no release of CPython ${one.series} can be had here`);
}

/** CPython's list of suppressions is made with clang, which is what its own tests under ThreadSanitizer use. */
const compiler = ({ threadSanitizer }: Instrumented): string => (threadSanitizer ? 'clang' : 'cc');

/**
 * Our bootstrap on it, in a folder of its own that the caller removes.
 * @param header C text that every file of ours is compiled after: a fault to be found
 */
export async function home(one: Instrumented, header = ''): Promise<string> {
  const tree = await cpython(one);
  const folder = await mkdtemp(path.join(os.tmpdir(), 'instrumented-'));
  const library = path.join(folder, 'lib', `python${one.name}`);
  await mkdir(path.join(folder, 'bin'));
  await mkdir(path.join(library, 'site-packages'), { recursive: true });
  for (const entry of await readdir(path.join(tree, 'Lib')))
    if (!['site-packages', 'test', '__pycache__', 'lib-dynload'].includes(entry))
      await symlink(path.join(tree, 'Lib', entry), path.join(library, entry));
  const modules = (await readFile(path.join(tree, 'pybuilddir.txt'), 'utf8')).trim();
  const archive = (await readdir(tree)).find((name) => /^libpython3.*\.a$/.test(name))!;
  await symlink(path.join(tree, modules), path.join(library, 'lib-dynload'));
  await writeFile(path.join(folder, 'before.h'), header);
  const sanitize = one.threadSanitizer ? '-fsanitize=thread' : '';
  const executable = path.join(folder, 'bin', `python${one.name}`);
  await execa(path.join(sources, 'build.sh'), {
    env: {
      CC: compiler(one),
      CFLAGS: `-O1 -g ${sanitize} -include ${path.join(folder, 'before.h')}`,
      LDFLAGS: sanitize,
      PYTHON: path.join(tree, 'python'),
      INCLUDES: `-I${tree} -I${tree}/Include`,
      LIBS: `-Wl,-export-dynamic -Wl,--whole-archive ${path.join(tree, archive)} -Wl,--no-whole-archive -lpthread -ldl -lutil -lm`,
      OUT: executable,
      WORK: path.join(folder, 'work'),
    },
  });
  await symlink(`bin/python${one.name}`, path.join(folder, 'bootstrap'));
  return folder;
}

/** Why it cannot be built here, or undefined. */
export async function missing(one: Instrumented): Promise<string | undefined> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'instrumented-'));
  const file = path.join(folder, 'empty.c');
  await writeFile(file, 'int main(void) { return 0; }\n');
  const flags = one.threadSanitizer ? ['-fsanitize=thread'] : [];
  const { exitCode } = await execa(compiler(one), [...flags, '-o', path.join(folder, 'empty'), file], {
    reject: false,
  });
  await rm(folder, { recursive: true });
  if (exitCode === 0) return undefined;
  return one.threadSanitizer
    ? 'clang with ThreadSanitizer is needed (apt-get install clang libclang-rt-dev llvm)'
    : 'a C compiler is needed';
}

/** CPython's own list, of races that are its own. */
export async function suppressions(one: Instrumented): Promise<string> {
  const file = path.join(await cpython(one), 'Tools', 'tsan', 'suppressions_free_threading.txt');
  if (!existsSync(file)) throw new Error(`${file} is gone: where does CPython keep its list now?`);
  return file;
}
