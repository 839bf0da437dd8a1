// The interpreter's parts + bootstrap-src -> the one executable. Relinks in seconds when only the bootstrap changed.
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { execa } from 'execa';
import type { Context } from '../lib/context.ts';
import { throwIfCancelled } from '../lib/errors.ts';
import { folderOnce, writeWhole } from '../lib/folder.ts';
import { shortDigest } from '../recipe/canonical.ts';
import type { Arch, Plan, SymbolBinding } from '../recipe/model.ts';
import type { Build } from './compile.ts';
import { diagnose } from './diagnose.ts';
import { flagWords, isLto } from './script.ts';

export interface Executable {
  readonly path: string;
  readonly cached: boolean;
}

/** @throws LINK_FAILED, DISK_FULL, CANCELLED */
export async function link(plan: Plan, build: Build, ctx: Context): Promise<Executable> {
  const key = shortDigest([build.key, plan.bootstrap, plan.cflags, plan.ldflags, plan.symbolBindings]);
  const folder = join(ctx.cacheDir, 'link', key);
  const python = plan.python.executable;
  const { cached } = await folderOnce(folder, async (scratch) => {
    await mkdir(join(scratch, 'work'));
    await writeFile(join(scratch, 'work', 'glibc_floor.S'), glibcFloor(plan.symbolBindings, plan.arch));
    // The flags are lists of words, so they must not hold a path that may have a space: everything is relative.
    await symlink(build.embed, join(scratch, 'embed'));
    const words = (await readFile(join(build.embed, 'libs'), 'utf8')).trim().split(/\s+/);
    const result = await execa('sh', [join(ctx.packageDir, 'bootstrap-src', 'build.sh')], {
      cwd: scratch,
      extendEnv: false,
      env: {
        PATH: ctx.env['PATH'] ?? '/usr/local/bin:/usr/bin:/bin',
        LC_ALL: 'C',
        SOURCE_DATE_EPOCH: String(plan.epoch),
        PYTHONHASHSEED: '0',
        CC: ctx.env['CC'] ?? 'cc',
        CFLAGS: `-O2 -DNDEBUG ${flagWords(plan.cflags)}`,
        // -s: symbols of the final executable are only needed for debugging, and are a third of its size.
        LDFLAGS: `${lto(plan)}-Lembed/lib ${flagWords(plan.ldflags)} -s -Wl,-export-dynamic`,
        PYTHON: join(build.prefix, 'bin', python),
        INCLUDES: '-Iembed/include',
        LIBS: [
          'work/glibc_floor.S',
          ...plan.symbolBindings.map(({ symbol }) => `-Wl,--wrap=${symbol}`),
          // Whole: extension modules that users bring may call any function of the C API.
          `-Wl,--whole-archive -l:lib${python}.a -Wl,--no-whole-archive`,
          ...words,
        ].join(' '),
        OUT: 'executable',
        WORK: 'work',
      },
      all: true,
      reject: false,
      cancelSignal: ctx.signal,
      stdin: 'ignore',
    });
    throwIfCancelled(ctx.signal);
    if (result.failed) {
      const log = join(ctx.cacheDir, 'logs', `${plan.name}-link-${key}.log`);
      await writeWhole(log, result.all ?? '');
      const tail = (result.all ?? '').split('\n').slice(-60);
      throw diagnose(
        {
          what: 'Linking the bootstrap',
          tail,
          step: undefined,
          log,
          status: result.exitCode ?? 1,
          fallback: 'LINK_FAILED',
        },
        plan.libraries,
      );
    }
    await rm(join(scratch, 'work'), { recursive: true });
    await rm(join(scratch, 'embed'));
  });
  return { path: join(folder, 'executable'), cached };
}

/** Code is generated at the link then, so the link needs the compiler's flags; `auto`: on as many cores as there are. */
function lto(plan: Plan): string {
  if (!plan.cflags.some(({ value }) => isLto(value))) return '';
  return `${flagWords(plan.cflags)} -flto=auto -fuse-linker-plugin `;
}

/**
 * Assembly that sends calls of a re-versioned glibc function to the older version of itself, which every glibc since
 * then still carries. Works on any object, also those in the distribution's archives, because the linker's --wrap
 * renames the reference; and needs no prototype, because it only jumps.
 */
export function glibcFloor(bindings: readonly SymbolBinding[], arch: Arch): string {
  const jump = arch === 'x86_64' ? 'jmp' : 'b';
  const plt = arch === 'x86_64' ? '@PLT' : '';
  return [
    ...bindings.flatMap(({ symbol, target = symbol, version, reason }) => [
      `/* ${symbol}: ${reason} */`,
      `.symver make_runtime_${symbol}, ${target}@${version}`,
      `.globl __wrap_${symbol}`,
      `.type __wrap_${symbol}, %function`,
      `__wrap_${symbol}: ${jump} make_runtime_${symbol}${plt}`,
    ]),
    '.section .note.GNU-stack, "", %progbits',
    '',
  ].join('\n');
}

/** sha256 over what bootstrap-src/ compiles into the executable: names and contents, tests left out. */
export async function bootstrapDigest(packageDir: string): Promise<string> {
  const root = join(packageDir, 'bootstrap-src');
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  const files = entries
    .filter((entry) => entry.isFile() && /\.(c|h|py|sh)$/.test(entry.name))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .filter((path) => !path.startsWith('test/') && !path.includes('__pycache__'))
    .sort();
  const hash = createHash('sha256');
  for (const path of files)
    hash
      .update(`${path}\0`)
      .update(await readFile(join(root, path)))
      .update('\0');
  return hash.digest('hex');
}
