// Plan -> the exact POSIX shell program that turns one source tarball into an install tree and everything needed to
// link an executable around it. Pure: the same plan gives the same text, so the text is what the compile cache is
// keyed by, what the tests snapshot, and what a container engine will run unchanged.
//
// The program expects in its environment: SOURCE (verified tarball), WORK (empty scratch folder), OUT (empty result
// folder), JOBS (make -j); where the plan has libraries from source, LIBRARIES (their folder); where it has profiling,
// PROFILE (a tar of .gcda files), or TRAINING (the program to run) for the training build; where it cross-compiles,
// BUILD_PYTHON (build-python.ts). It announces each step with a line "::step <name>".
import { prefix } from '../recipe/cpython.ts';
import type { Plan, Reasoned } from '../recipe/model.ts';
import { buildPython, crossTools, emulator, nativeNames, objcopy, pythonHere } from './cross-script.ts';

/** Names the steps announced by the program, for progress and for errors. */
export const scriptSteps: Readonly<Record<string, string>> = {
  unpack: 'unpacking the source',
  library: 'compiling a library',
  archive: 'collecting its archives',
  libraries: 'collecting static libraries',
  configure: 'configuring',
  compile: 'compiling',
  instrument: 'compiling with counters',
  train: 'running the training program',
  install: 'installing',
  embed: 'collecting what linking needs',
  bytecode: 'compiling bytecode',
};

export function compileScript(plan: Plan): string {
  const python = plan.python.executable;
  const plain = `python${plan.python.minor}`;
  return `${[
    header(plan),
    ...sourcesAndConfigure(plan),
    step('compile', [
      ...(plan.profiling
        ? ['# The counters of the training, beside the objects they belong to.', 'tar -xf "$PROFILE"']
        : []),
      ...exportFlags(plan, plan.profiling?.use ?? []),
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
      ...nativeNames(plan),
      '# unchecked-hash: never reads or hashes the source at import (PEP 552). One process, because parallel',
      '# compilation changes reference flags in the marshalled code (https://github.com/python/cpython/issues/129724).',
      `${pythonHere(plan)} -I -B ${bytecode(plan)}-m compileall -q -f -j1 --invalidation-mode unchecked-hash \\`,
      `  -s "../root" -x 'bad_coding|badsyntax|lib2to3/tests/data' "$LIB"`,
    ]),
  ].join('\n\n')}\n`;
}

/**
 * The program that finds out which paths matter: compiles an instrumented interpreter, lets it run the training program
 * and leaves OUT/profile.tar. Not linked with -flto, because counters are placed before link-time optimisation.
 */
export function trainingScript(plan: Plan): string {
  const { profiling } = plan;
  if (!profiling) throw new TypeError(`${plan.name} has no profile to train`);
  const instrumented = { ...plan, cflags: plan.cflags.filter(({ value }) => !isLto(value)) };
  return `${[
    header(plan),
    ...sourcesAndConfigure(plan),
    step('instrument', [
      ...exportFlags(instrumented, profiling.generate),
      '# "platform" is the interpreter and what it needs to find its library in the source tree.',
      // A cross build takes the build Python for that, and so leaves the interpreter out.
      `make -j"$JOBS" ${plan.builder.cross ? 'python platform' : 'platform'}`,
    ]),
    step('train', [
      '# What the build itself ran (freezing modules) is not what functions do.',
      "find . -name '*.gcda' -delete",
      '# Not -B: from the second time on modules come from .pyc files, as they do on Lambda.',
      `${emulator(plan)}./python -E -s "$TRAINING" ${profiling.arguments.map(quote).join(' ')}`,
      "find . -name '*.gcda' | sort > counters",
      'tar --format=ustar --mtime=@0 --owner=0 --group=0 --numeric-owner -cf "$OUT/profile.tar" -T counters',
    ]),
  ].join('\n\n')}\n`;
}

function sourcesAndConfigure(plan: Plan): readonly string[] {
  return [
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
      ...buildPython(plan),
      ...(fromSource(plan) ? configureForSource(plan) : [configureCommand(plan)]),
      ...staticModules(plan),
    ]),
  ];
}

function configureForSource(plan: Plan): readonly string[] {
  // gcc looks at LIBRARY_PATH only when it is a native compiler (its manual, "Environment Variables").
  const ldflags = plan.builder.cross ? '-no-pie -L../lib' : '-no-pie';
  return [
    '# Searched before the system, and unlike -I and -L not recorded for what users compile later.',
    'export CPATH=../include LIBRARY_PATH=../lib',
    '# The programs that configure tries out are linked with libraries that are not position-independent; what users',
    '# link later is not to be told so.',
    `LDFLAGS=${quote(ldflags)} ${configureCommand(plan)}`,
    `sed -i -e 's/^\\(CONFIGURE_LDFLAGS=\\).*/\\1/' -e "s/ 'LDFLAGS=${ldflags.replace('/', '.')}'//" Makefile.pre Makefile`,
    '# With one date, or make would make the one from the other again.',
    'touch -r Makefile Makefile.pre Modules/config.c Makefile',
  ];
}

function exportFlags(plan: Pick<Plan, 'cflags' | 'ldflags'>, profile: readonly Reasoned[]): readonly string[] {
  const lto = plan.cflags.some(({ value }) => isLto(value));
  const instrument = profile.filter(({ value }) => value === '-fprofile-generate');
  return [
    '# _NODIST flags reach the interpreter and its extension modules, not what users compile against it later; given',
    '# to make and not to configure because only there they also reach the tools that freeze the first modules.',
    `export CFLAGS_NODIST="${flagWords([...plan.cflags, ...profile])}"`,
    ...(lto ? ['# -fno-lto: only the final link, around the bootstrap, optimises the whole.'] : []),
    `export LDFLAGS_NODIST="-L../lib ${flagWords([...plan.ldflags, ...instrument])}${lto ? ' -fno-lto' : ''}"`,
  ];
}

/** True for a compiler flag that asks for link-time optimisation. */
export function isLto(flag: string): boolean {
  return /(^| )-flto\b/.test(flag);
}

function fromSource(plan: Plan): boolean {
  return plan.libraries.some(({ origin }) => origin === 'source');
}

function header(plan: Plan): string {
  return [
    '#!/bin/sh',
    `# CPython ${plan.python.version} (${plan.flavor}, ${plan.arch}, ${plan.profile}); generated from the plan, do not edit.`,
    'set -eu',
    ...pinnedEnvironment(plan.epoch),
    ...crossTools(plan.builder),
  ].join('\n');
}

/** The beginning of every build program: what would otherwise differ from machine to machine. */
export function pinnedEnvironment(epoch: number): readonly string[] {
  return [
    '# Everything that could make two builds differ is pinned here.',
    `export SOURCE_DATE_EPOCH=${epoch} LC_ALL=C TZ=UTC PYTHONHASHSEED=0`,
    'unset PYTHONHOME PYTHONPATH PYTHONSTARTUP CFLAGS CPPFLAGS LDFLAGS LIBS MAKEFLAGS MFLAGS',
    'umask 022',
    'step() { printf \'::step %s\\n\' "$1"; }',
  ];
}

/** One announced step of a build program. */
export function step(name: string, lines: readonly string[]): string {
  return [`step ${name}`, ...lines].join('\n');
}

// The first -L folder holds nothing but .a files, so that "-lssl" finds the static archive whatever the version of
// CPython's build system.
function collectLibraries(plan: Plan): string[] {
  return [
    ...(fromSource(plan) ? ['cp "$LIBRARIES"/lib/*.a "$WORK/lib/"', 'cp -R "$LIBRARIES/include" "$WORK/include"'] : []),
    ...systemOnes(plan).flatMap((library) =>
      library.archives.map(
        (archive) => `cp -L "$(\${CC:-cc} -print-file-name=${archive})" "$WORK/lib/${archive}"   # ${library.name}`,
      ),
    ),
    '# As with our own code: C needs no unwind tables, and what is not there need not be loaded.',
    'for archive in "$WORK"/lib/*.a; do',
    `  [ ! -e "$archive" ] || ${objcopy(plan.builder)} -R .eh_frame -R .rela.eh_frame "$archive"`,
    'done',
    ...systemOnes(plan).flatMap(mergeLibrary),
  ];
}

function mergeLibrary({ name, archives, mergedInto }: Plan['libraries'][number]): string[] {
  if (mergedInto === undefined) return [];
  const lines = ['create merged.a', ...[mergedInto, ...archives].map((archive) => `addlib ${archive}`), 'save', 'end'];
  return [
    `# ${mergedInto} needs ${name}, which the link does not name behind it.`,
    `(cd "$WORK/lib" && printf '%s\\n' ${lines.map(quote).join(' ')} | ar -M && mv merged.a ${mergedInto})`,
  ];
}

function systemOnes(plan: Plan): Plan['libraries'] {
  return plan.libraries.filter(({ origin }) => origin === 'system');
}

function configureCommand(plan: Plan): string {
  const { minor } = plan.python;
  const python =
    plan.builder.cross && minor !== '3.10' ? [`--with-build-python="$WORK/build-python/bin/python${minor}"`] : [];
  return ['../src/configure -q', ...plan.configure.map(({ value }) => quote(value)), ...python].join(' \\\n  ');
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
    ...(fromSource(plan) ? ['cp "$LIBRARIES"/notices/* "$OUT/embed/notices/"'] : []),
    ...systemOnes(plan).map(
      (library) =>
        `cp -L /usr/share/doc/${library.packages.apt}/copyright "$OUT/embed/notices/${library.name}.txt" 2>/dev/null || ` +
        `printf '%s\\n' ${quote(`${library.name}: ${library.licence}`)} > "$OUT/embed/notices/${library.name}.txt"`,
    ),
  ];
}

function bytecode({ bytecode = [] }: Plan): string {
  return bytecode.length === 0 ? '' : `${flagWords(bytecode)} `;
}

/** Flags as one string of words. */
export function flagWords(flags: readonly Reasoned[]): string {
  return flags.map(({ value }) => value).join(' ');
}

/** Quotes one word for a POSIX shell; plain words stay readable. */
export function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
