// Library of a plan -> the POSIX shell program that compiles it from pinned source. Pure, like script.ts: the text is
// what its cache is keyed by, what the tests snapshot, and what any engine runs unchanged.
//
// The program expects in its environment: SOURCE (verified archive), WORK (empty scratch folder), OUT (empty result
// folder), JOBS (make -j). It leaves OUT/lib, OUT/include and OUT/notices.
import type { Library, Plan } from '../recipe/model.ts';
import { crossTools, objcopy } from './cross-script.ts';
import { flagWords, pinnedEnvironment, quote, step } from './script.ts';

/** @throws TypeError for a library that is not built from source: a bug of the caller's */
export function libraryScript(library: Library, plan: Pick<Plan, 'arch' | 'epoch' | 'builder'>): string {
  const { source, build } = library;
  if (!source || !build) throw new TypeError(`${library.name} is not built from source`);
  return `${[
    [
      '#!/bin/sh',
      `# ${library.name} ${source.version} for ${plan.arch}; generated from the plan, do not edit.`,
      'set -eu',
      ...pinnedEnvironment(plan.epoch),
      ...(plan.builder.cross ? crossTools(plan.builder) : ['export CC="${CC:-cc}"']),
    ].join('\n'),
    step('library', [
      'mkdir -p "$WORK/src" "$OUT/lib" "$OUT/include" "$OUT/notices"',
      'tar -xf "$SOURCE" -C "$WORK/src" --strip-components=1',
      // Relative from here on, so that no file name that the compiler records names the scratch folder.
      'cd "$WORK/src"',
      `export CFLAGS=${quote(flagWords(build.cflags))}`,
      `OPTIONS=${quote(flagWords(build.options))}`,
      ...build.commands,
    ]),
    step('archive', [
      '# The same bytes whenever and by whomever: no dates, no owners, no debugging information.',
      'for archive in "$OUT"/lib/*.a; do',
      `  ${objcopy(plan.builder)} --strip-debug --enable-deterministic-archives "$archive"`,
      'done',
      `cp ${build.notice} "$OUT/notices/${library.name}.txt" 2>/dev/null ||`,
      `  printf '%s\\n' ${quote(`${library.name} ${source.version}: ${library.licence}`)} > "$OUT/notices/${library.name}.txt"`,
    ]),
  ].join('\n\n')}\n`;
}
