// A function's zip (or a layer of packages) beside the runtime it shall run on: is its bytecode used, are its extension
// modules of the right Python and processor, does Lambda unpack both. Reads files only; runs nothing.
import { maxUnpackedBytes } from '../package/layout.ts';
import { compareVersions, ElfError, highestGlibc, readElf } from '../tree/elf.ts';
import { type Tree, treeSize } from '../tree/tree.ts';
import { lambdaGlibc } from './libraries.ts';
import type { Subject } from './subject.ts';
import { count, type Finding, firstFew } from './verdict.ts';

export interface Code {
  /** How messages call it. */
  readonly name: string;
  readonly tree: Tree;
}

/** @param magic of the runtime's interpreter; undefined when it could not be asked, and the standard library's counts */
export async function codeChecks(code: Code, subject: Subject, magic: number | undefined): Promise<Finding[]> {
  const expected = magic ?? [...subject.pycs].find(([path]) => path.startsWith(`${subject.stdlib}/`))?.[1].magic;
  return [...(await bytecode(code, expected)), ...(await extensions(code, subject)), size(code, subject)];
}

/**
 * /var/task and /opt are read-only: what is compiled there is lost with the execution environment, so a .pyc that is
 * missing or not used costs its compilation at every cold start.
 */
async function bytecode({ name, tree }: Code, magic: number | undefined): Promise<Finding[]> {
  const check = 'code.pyc';
  const sources = [...tree.entries.keys()].filter((path) => path.endsWith('.py'));
  if (sources.length === 0) return [{ check, level: 'note', message: `${name} has no Python source.` }];
  const reasons = new Map<string, string[]>();
  const because = (reason: string, path: string): void => {
    reasons.set(reason, [...(reasons.get(reason) ?? []), path]);
  };
  const compiled = new Set<string>();
  let used = 0;
  for (const [path, entry] of tree.entries) {
    const [, folder, module] = /^(.*?)__pycache__\/([^/]+?)\.[^/.]+\.pyc$/.exec(path) ?? [];
    if (module === undefined || entry.kind !== 'file') continue;
    const bytes = Buffer.from(await entry.read());
    const source = `${folder}${module}.py`;
    // Of several versions, the right one is enough.
    if (bytes.byteLength < 16 || (magic !== undefined && bytes.readUInt16LE(0) !== magic)) {
      if (!compiled.has(source)) because('for another Python', path);
      continue;
    }
    compiled.add(source);
    const flags = bytes.readUInt32LE(4);
    if (flags === 1) used += 1;
    else if (flags === 3) because('checked against a hash of its source at each import', path);
    else {
      const original = tree.entries.get(source);
      const stale = original?.kind === 'file' && original.size % 2 ** 32 !== bytes.readUInt32LE(12);
      because(stale ? 'older than its source' : 'used only if the date of its source is kept to the second', path);
    }
  }
  const other = reasons.get('for another Python')?.filter((path) => !compiled.has(sourceOf(path)));
  if (other !== undefined) {
    if (other.length > 0) reasons.set('for another Python', other);
    else reasons.delete('for another Python');
  }
  const none = sources.filter((path) => !compiled.has(path) && !(other ?? []).some((pyc) => sourceOf(pyc) === path));
  if (none.length > 0) reasons.set('without bytecode', none);
  if (reasons.size === 0)
    return [
      { check, level: 'pass', message: `${count(used, '.pyc file')} of ${name}, used without a look at the source.` },
    ];
  const remedy =
    '`make-runtime deps --code DIR` makes a zip with bytecode that is used; `python -m compileall --invalidation-mode unchecked-hash` with the interpreter of the layer does it by hand.';
  return [...reasons].map(([reason, paths]) => ({
    check,
    level: 'warn' as const,
    message: `${name}: ${count(paths.length, 'file')} ${reason}, so Lambda compiles or reads more at each cold start: ${firstFew(paths, 3)}.`,
    remedy,
  }));
}

function sourceOf(pyc: string): string {
  return pyc.replace(/__pycache__\/([^/]+?)\.[^/.]+\.pyc$/, '$1.py');
}

async function extensions({ name, tree }: Code, { arch, interpreter }: Subject): Promise<Finding[]> {
  const check = 'code.extensions';
  const tag = interpreter === undefined ? undefined : /python3\.(\d+t?)$/.exec(interpreter)?.[1];
  const findings: Finding[] = [];
  let fine = 0;
  const wrong = { python: [] as string[], abi3: [] as string[], arch: [] as string[], glibc: [] as string[] };
  for (const [path, entry] of tree.entries) {
    if (entry.kind !== 'file' || !/\.so(\.|$)/.test(path)) continue;
    const own = /\.cpython-3(\d+t?)-/.exec(path)?.[1];
    if (own !== undefined && tag !== undefined && own !== tag) wrong.python.push(path);
    if (tag?.endsWith('t') && /\.abi3\.so$/.test(path)) wrong.abi3.push(path);
    try {
      const elf = readElf(await entry.read());
      if (elf === undefined) continue;
      if (arch !== undefined && elf.arch !== arch) wrong.arch.push(path);
      const glibc = highestGlibc(elf);
      if (glibc !== undefined && compareVersions(glibc.split('.').map(Number), lambdaGlibc) > 0) wrong.glibc.push(path);
      fine += 1;
    } catch (error) {
      if (!(error instanceof ElfError)) throw error;
      wrong.arch.push(path);
    }
  }
  const say = (paths: readonly string[], level: 'fail' | 'warn', what: string): void => {
    if (paths.length === 0) return;
    const remedy = 'Install for the target: `make-runtime deps -r requirements.txt --for <the layer>`.';
    findings.push({
      check,
      level,
      message: `${name}: ${count(paths.length, 'file')} ${what}: ${firstFew(paths, 3)}.`,
      remedy,
    });
  };
  say(wrong.arch, 'fail', `that ${arch ?? 'Lambda'} does not load`);
  say(wrong.glibc, 'fail', `that need a newer glibc than ${lambdaGlibc.join('.')}`);
  say(wrong.python, 'warn', `for another Python than 3.${tag}, which never looks at them`);
  say(wrong.abi3, 'warn', 'for the stable ABI of a build with the GIL, which a free-threaded one does not load');
  if (findings.length > 0 || fine === 0) return findings;
  return [{ check, level: 'pass', message: `${count(fine, 'shared object')} of ${name} for ${arch}.` }];
}

function size({ name, tree }: Code, subject: Subject): Finding {
  const check = 'code.size';
  const [code, layer] = [treeSize(tree).bytes, treeSize(subject.tree).bytes];
  const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
  const together = `${name} and the layer are ${megabytes(code)} and ${megabytes(layer)} unpacked`;
  if (code + layer <= maxUnpackedBytes) return { check, level: 'pass', message: `${together}, of 262.1 MB.` };
  return {
    check,
    level: 'fail',
    message: `${together}: Lambda takes 262.1 MB together.`,
    remedy: 'Leave out packages, or use a container image, which may have 10 GB.',
  };
}
