// Whether the standard library's bytecode is there, for the right interpreter, and in a mode that never reads or hashes
// the source (PEP 552). /opt is read-only: a .pyc that is missing or stale is compiled again at every cold start.
import { posix } from 'node:path';
import { langFolder } from '../package/layout.ts';
import { ruleMatcher } from '../tree/prune.ts';
import type { Subject } from './subject.ts';
import { count, type Finding, firstFew } from './verdict.ts';

/** @param magic importlib.util.MAGIC_NUMBER of the interpreter as a number, when it could be asked. */
export function pycChecks({ tree, stdlib, pycs, record }: Subject, magic: number | undefined): Finding[] {
  if (stdlib === undefined) return [];
  // Ours promises it; in anybody else's it is merely slow.
  const level = record ? 'fail' : 'warn';
  const remedy =
    'Compile it with `python -m compileall --invalidation-mode unchecked-hash`, with the interpreter of the layer.';
  const indexOf = ruleMatcher(record?.plan.prune ?? []);
  const ours = [...pycs].filter(([path]) => path.startsWith(`${stdlib}/`));
  return [present(), header('pyc.mode', modes()), header('pyc.magic', magics())].flat();

  function present(): Finding[] {
    const check = 'pyc.present';
    const compiled = new Set(ours.map(([path]) => path.replace(/__pycache__\/([^/]+?)\.[^/.]+\.pyc$/, '$1.py')));
    const sources = [...tree.entries.keys()].filter(
      (path) => path.startsWith(`${stdlib}/`) && path.endsWith('.py') && !path.startsWith(`${stdlib}/site-packages/`),
    );
    const missing = sources
      .filter((path) => !compiled.has(path) && !leftOut(path))
      .map((path) => path.slice(stdlib!.length + 1));
    if (missing.length === 0) {
      return [{ check, level: 'pass', message: `${count(ours.length, '.pyc file')}, one for every source.` }];
    }
    return [
      { check, level, message: `${count(missing.length, 'source')} without a .pyc: ${firstFew(missing)}.`, remedy },
    ];
  }

  /** A prune rule took the .pyc on purpose: the module is frozen into the executable. */
  function leftOut(source: string): boolean {
    if (record === undefined) return false;
    const tag = `cpython-${record.plan.python.minor.replace('.', '')}`;
    const { dir, name } = posix.parse(source.slice(langFolder.length + 1));
    return indexOf(`${dir}/__pycache__/${name}.${tag}.pyc`) !== -1;
  }

  function header(check: string, { wrong, right }: { wrong: readonly string[]; right: string }): Finding[] {
    if (ours.length === 0) return [];
    if (wrong.length === 0) return [{ check, level: 'pass', message: right }];
    return [
      {
        check,
        level,
        message: `${count(wrong.length, '.pyc file')} will be compiled or checked again: ${firstFew(wrong, 3)}.`,
        remedy,
      },
    ];
  }

  function modes() {
    const names = ['timestamp', 'unchecked-hash', 'flags 2', 'checked-hash'];
    const wrong = ours.flatMap(([path, { flags }]) =>
      flags === 1 ? [] : [`${path} (${names[flags] ?? `flags ${flags}`})`],
    );
    return { wrong, right: 'Every .pyc is unchecked-hash: its source is never read at import.' };
  }

  function magics() {
    const expected = magic ?? ours[0]?.[1].magic;
    const wrong = ours.flatMap(([path, one]) =>
      one.magic === expected ? [] : [`${path} (${one.magic}, not ${expected})`],
    );
    const by = magic === undefined ? 'all the same' : 'the interpreter’s own';
    return { wrong, right: `The magic number is ${by}: ${expected}.` };
  }
}
