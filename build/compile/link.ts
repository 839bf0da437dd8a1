// The interpreter's parts + bootstrap-src -> the one executable. Relinks in seconds when only the bootstrap changed.
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import type { Context } from '../lib/context.ts';
import { shortDigest } from '../recipe/canonical.ts';
import type { Arch, Plan, SymbolBinding } from '../recipe/model.ts';
import type { Build } from './compile.ts';
import { contentOnce } from './content.ts';
import { crossTools } from './cross-script.ts';
import { diagnose } from './diagnose.ts';
import { type Engine, hostEngine } from './engine.ts';
import { flagWords, isLto, quote } from './script.ts';

export interface Executable {
  readonly path: string;
  readonly cached: boolean;
}

/** @throws LINK_FAILED, DISK_FULL, CANCELLED */
export async function link(
  plan: Plan,
  build: Pick<Build, 'key' | 'prefix' | 'embed' | 'buildPython'>,
  ctx: Context,
  engine: Engine = hostEngine(ctx),
): Promise<Executable> {
  const key = shortDigest([build.key, plan.bootstrap, plan.cflags, plan.ldflags, plan.symbolBindings]);
  const folder = join(ctx.cacheDir, 'link', key);
  const log = join(ctx.cacheDir, 'logs', `${plan.name}-link-${key}.log`);
  const { cached } = await contentOnce(folder, ctx, async (scratch) => {
    await engine.require(plan);
    const work = join(scratch, 'work');
    await mkdir(work);
    const tail: string[] = [];
    const status = await engine.run({
      program: linkScript(plan),
      folders: {
        BOOTSTRAP: { path: join(ctx.packageDir, 'bootstrap-src') },
        EMBED: { path: build.embed },
        PREFIX: { path: build.prefix },
        ...(build.buildPython === undefined ? {} : { BUILD_PYTHON: { path: build.buildPython } }),
        WORK: { path: work, writable: true },
        OUT: { path: scratch, writable: true },
      },
      environment: {},
      log,
      signal: ctx.signal,
      onLine: (line) => {
        tail.push(line);
        if (tail.length > 60) tail.shift();
      },
    });
    if (status !== 0) {
      throw diagnose(
        { what: 'Linking the bootstrap', tail, step: undefined, log, status, fallback: 'LINK_FAILED' },
        plan.libraries,
      );
    }
    await rm(work, { recursive: true });
  });
  return { path: join(folder, 'executable'), cached };
}

/**
 * The program that links, for any engine. It expects BOOTSTRAP (bootstrap-src/), EMBED and PREFIX (what compile made),
 * WORK (empty, the folder it starts in) and OUT; and BUILD_PYTHON where what compile made does not run.
 */
export function linkScript(plan: Plan): string {
  const python = plan.python.executable;
  const libs = [
    'glibc_floor.S',
    ...plan.symbolBindings.map(({ symbol }) => `-Wl,--wrap=${symbol}`),
    // Whole: extension modules that users bring may call any function of the C API.
    `-Wl,--whole-archive -l:lib${python}.a -Wl,--no-whole-archive`,
  ];
  return `${[
    '#!/bin/sh',
    `# The executable of CPython ${plan.python.version} (${plan.flavor}, ${plan.arch}, ${plan.profile}).`,
    'set -eu',
    `export SOURCE_DATE_EPOCH=${plan.epoch} LC_ALL=C TZ=UTC PYTHONHASHSEED=0`,
    'umask 022',
    "cat > glibc_floor.S <<'ASSEMBLY'",
    glibcFloor(plan.symbolBindings, plan.arch).trimEnd(),
    'ASSEMBLY',
    '# The flags are lists of words, so they must not hold a path that may have a space: everything is relative.',
    'ln -s "$EMBED" embed',
    `CFLAGS=${quote(`-O2 -DNDEBUG ${flagWords(plan.cflags)}`)}`,
    '# -s: symbols of the final executable are only needed for debugging, and are a third of its size.',
    `LDFLAGS=${quote(`${lto(plan)}-Lembed/lib ${flagWords(plan.ldflags)} -s -Wl,-export-dynamic`)}`,
    '# What the interpreter itself is linked with comes last.',
    `LIBS=${quote(libs.join(' '))}" $(cat embed/libs)"`,
    ...crossTools(plan.builder),
    `PYTHON="${plan.builder.cross ? `$BUILD_PYTHON/bin/python${plan.python.minor}` : `$PREFIX/bin/${python}`}"`,
    'export CFLAGS LDFLAGS LIBS PYTHON',
    'INCLUDES=-Iembed/include OUT=executable WORK=objects sh "$BOOTSTRAP/build.sh"',
    'mv executable "$OUT/executable"',
  ].join('\n')}\n`;
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
