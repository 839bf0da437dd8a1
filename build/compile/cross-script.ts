// The parts of a build program that differ where it compiles for a processor that the builder is not: whose tools, which
// interpreter, what runs the result. Text only, and none at all where builder and target are the same.
import { prefix } from '../recipe/cpython.ts';
import { emulators } from '../recipe/cross.ts';
import type { Plan } from '../recipe/model.ts';

/** The target's tools by their full names, whatever CC is for the builder's own; nothing where they are the same. */
export function crossTools({ cross }: Pick<Plan['builder'], 'cross'>): readonly string[] {
  if (!cross) return [];
  const { host } = cross;
  return [`export CC=${host}-gcc AR=${host}-ar RANLIB=${host}-ranlib`];
}

/** objcopy for the target's files. */
export function objcopy({ cross }: Pick<Plan['builder'], 'cross'>): string {
  return cross ? `${cross.host}-objcopy` : 'objcopy';
}

/**
 * Where the result cannot be run, CPython's build runs an interpreter of the same version that can: by
 * --with-build-python since 3.11; 3.10 looks for one on PATH.
 */
export function buildPython(plan: Plan): string[] {
  if (!plan.builder.cross) return [];
  return [
    '# Under WORK, whose name is edited out of the result below. It is not to be changed by being used.',
    'ln -s "$BUILD_PYTHON" "$WORK/build-python"',
    'export PYTHONDONTWRITEBYTECODE=1',
    ...(plan.python.minor === '3.10' ? ['export PATH="$WORK/build-python/bin:$PATH"'] : []),
  ];
}

/** An interpreter of the target's version that runs on the builder, for a shell in the build folder. */
export function pythonHere(plan: Plan): string {
  return plan.builder.cross
    ? `"$WORK/build-python/bin/python${plan.python.minor}"`
    : `"../root${prefix}/bin/${plan.python.executable}"`;
}

/** sysconfig and the Makefile are for those who compile on the target, where the tools have no prefix. */
export function nativeNames({ builder: { cross } }: Plan): string[] {
  if (!cross) return [];
  const named = `${cross.host}-(gcc|g[+][+]|cpp|objcopy|readelf|ranlib|strip|ar|ld|nm)`;
  return [
    '# They also name the cross compiler, which is just the compiler where they are going.',
    `grep -rlIE -e "${named}" "../root" | while read -r file; do`,
    `  sed -i -E 's/${named}/\\1/g' "$file"`,
    'done',
  ];
}

/** What runs a program of the target's: nothing where the builder can, and a word with its blank where it cannot. */
export function emulator({ arch, builder: { cross } }: Plan): string {
  return cross ? `${emulators[arch]} -L /usr/${cross.host} ` : '';
}
