// Plan -> the exact POSIX shell program that turns one source tarball into an install tree and everything needed to
// link an executable around it. Pure: the same plan gives the same text, so the text is what the compile cache is
// keyed by, what the tests snapshot, and what a container engine will run unchanged.
//
// The program expects in its environment: SOURCE (verified tarball), WORK (empty scratch folder), OUT (empty result
// folder), JOBS (make -j). It announces each step with a line "::step <name>".
import { prefix } from '../recipe/cpython.ts';
import type { Plan, Reasoned } from '../recipe/model.ts';

/** Names the steps announced by the program, for progress and for errors. */
export const scriptSteps: Readonly<Record<string, string>> = {
  unpack: 'unpacking the source',
  libraries: 'collecting static libraries',
  configure: 'configuring',
  compile: 'compiling',
  install: 'installing',
  embed: 'collecting what linking needs',
  bytecode: 'compiling bytecode',
};

export function compileScript(plan: Plan): string {
  const python = plan.python.executable;
  const plain = `python${plan.python.minor}`;
  return `${[
    header(plan),
    step('unpack', [
      'mkdir -p "$WORK/src" "$WORK/build" "$WORK/lib" "$OUT/root"',
      'ln -s "$OUT/root" "$WORK/root"',
      'tar -xf "$SOURCE" -C "$WORK/src" --strip-components=1',
    ]),
    step('libraries', collectLibraries(plan)),
    step('configure', [
      // Relative paths, here and below, keep the scratch folder's name out of the binary (__FILE__, VPATH), and let it
      // have a space, which CPython's Makefile does not quote.
      'cd "$WORK/build"',
      ...findPython(plan),
      configureCommand(plan),
      ...staticModules(plan),
    ]),
    step('compile', [
      '# _NODIST flags reach the interpreter and its extension modules, not what users compile against it later; given',
      '# to make and not to configure because only there they also reach the tools that freeze the first modules.',
      `export CFLAGS_NODIST="${flagWords(plan.cflags)}"`,
      `export LDFLAGS_NODIST="-L../lib ${flagWords(plan.ldflags)}"`,
      'make -j"$JOBS"',
    ]),
    step('install', [
      '# Bytecode is compiled below in one mode; PYTHON_FOR_BUILD=: keeps "make install" from doing it three times.',
      'make install DESTDIR=../root PYTHON_FOR_BUILD=:',
      // One interpreter, one file: free-threaded builds install a second copy without the "t".
      ...(python === plain ? [] : [`ln -sf ${python} "../root${prefix}/bin/${plain}"`]),
    ]),
    step('embed', embed(plan)),
    step('bytecode', [
      `LIB="../root${prefix}/lib/${python}"`,
      '# sysconfig data and pkg-config files name the scratch folder: same plan, same bytes needs one fixed name.',
      `grep -rlIF -e "$WORK" "../root" | while read -r file; do sed -i "s|$WORK|/build|g" "$file"; done`,
      '# unchecked-hash: never reads or hashes the source at import (PEP 552). One process, because parallel',
      '# compilation changes reference flags in the marshalled code (https://github.com/python/cpython/issues/129724).',
      `"../root${prefix}/bin/${python}" -I -B -m compileall -q -f -j1 --invalidation-mode unchecked-hash \\`,
      `  -s "../root" -x 'bad_coding|badsyntax|lib2to3/tests/data' "$LIB"`,
    ]),
  ].join('\n\n')}\n`;
}

function header(plan: Plan): string {
  return [
    '#!/bin/sh',
    `# CPython ${plan.python.version} (${plan.flavor}, ${plan.arch}, ${plan.profile}); generated from the plan, do not edit.`,
    'set -eu',
    '# Everything that could make two builds differ is pinned here.',
    `export SOURCE_DATE_EPOCH=${plan.epoch} LC_ALL=C TZ=UTC PYTHONHASHSEED=0`,
    'unset PYTHONHOME PYTHONPATH PYTHONSTARTUP CFLAGS CPPFLAGS LDFLAGS LIBS MAKEFLAGS MFLAGS',
    'umask 022',
    'step() { printf \'::step %s\\n\' "$1"; }',
  ].join('\n');
}

function step(name: string, lines: readonly string[]): string {
  return [`step ${name}`, ...lines].join('\n');
}

// The first -L folder holds nothing but .a files, so that "-lssl" finds the static archive whatever the version of
// CPython's build system. Pinned libraries built from source will fill the same folder.
function collectLibraries(plan: Plan): string[] {
  return [
    ...plan.libraries.flatMap((library) =>
      library.archives.map(
        (archive) => `cp -L "$(\${CC:-cc} -print-file-name=${archive})" "$WORK/lib/${archive}"   # ${library.name}`,
      ),
    ),
    '# As with our own code: C needs no unwind tables, and what is not there need not be loaded.',
    'for archive in "$WORK"/lib/*.a; do',
    '  [ ! -e "$archive" ] || objcopy -R .eh_frame -R .rela.eh_frame "$archive"',
    'done',
  ];
}

function configureCommand(plan: Plan): string {
  return ['../src/configure -q', ...plan.configure.map(({ value }) => quote(value))].join(' \\\n  ');
}

/** Interpreters a builder may have, in the order they are tried when a build needs one. */
export const pythonNames = ['python3', 'python3.15', 'python3.14', 'python3.13', 'python3.12', 'python3.11'] as const;

// Where a build needs a Python of some version (Tools/jit), configure would take the first it finds, whatever that is:
// Amazon Linux 2023's python3 is 3.9, and its newer ones are python3.11 and up.
function findPython(plan: Plan): string[] {
  const python = plan.requires.find(({ tool }) => tool === 'python');
  if (!python) return [];
  return [
    `for python in ${pythonNames.join(' ')}; do`,
    `  if "$python" -c '${newEnough(python.version)}' 2>/dev/null; then export PYTHON_FOR_REGEN="$python"; break; fi`,
    'done',
  ];
}

/** A program for Python that succeeds in this version and in newer ones. @param version "3.11" */
export function newEnough(version: string): string {
  return `import sys; sys.exit(sys.version_info < (${version.replace('.', ', ')}))`;
}

// Where make does not build the stdlib's extension modules itself, the plan brings Modules/Setup.local.
function staticModules(plan: Plan): string[] {
  const { mechanism, lines } = plan.staticModules;
  return mechanism === 'setup-local' ? ["cat > Modules/Setup.local <<'SETUP'", ...lines, 'SETUP'] : [];
}

function embed(plan: Plan): string[] {
  const python = plan.python.executable;
  return [
    'mkdir -p "$OUT/embed/lib" "$OUT/embed/notices"',
    `cp lib${python}.a "$OUT/embed/lib/"`,
    ...(plan.libraries.length > 0 ? ['cp ../lib/*.a "$OUT/embed/lib/"'] : []),
    '# What the interpreter is linked with, as make knows it; archives of the build tree become -l:NAME.',
    "printf 'include Makefile\\nprint-libs:\\n\\t@echo $(MODLIBS) $(LIBS) $(SYSLIBS)\\n' > print-libs.mk",
    'for word in $(make -s -f print-libs.mk print-libs); do',
    '  case $word in',
    '    *.a) cp "$word" "$OUT/embed/lib/" && printf \'%s\\n\' "-l:${word##*/}" ;;',
    '    *) printf \'%s\\n\' "$word" ;;',
    '  esac',
    'done > "$OUT/embed/libs"',
    `cp -R "../root${prefix}/include/${python}" "$OUT/embed/include"`,
    "# Licences of everything that ends up in the executable; CPython's own is lib/python3.Y/LICENSE.txt.",
    'cp ../src/Doc/license.rst "$OUT/embed/notices/cpython-incorporated.rst"',
    ...plan.libraries.map(
      (library) =>
        `cp -L /usr/share/doc/${library.packages.apt}/copyright "$OUT/embed/notices/${library.name}.txt" 2>/dev/null || ` +
        `printf '%s\\n' ${quote(`${library.name}: ${library.licence}`)} > "$OUT/embed/notices/${library.name}.txt"`,
    ),
  ];
}

/** Flags as one string of words. */
export function flagWords(flags: readonly Reasoned[]): string {
  return flags.map(({ value }) => value).join(' ');
}

/** Quotes one word for a POSIX shell; plain words stay readable. */
export function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
