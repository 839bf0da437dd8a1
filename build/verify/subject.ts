// The layer under judgement, opened once: its files, what it says about itself, and everything that has to be known
// about single files (ELF, .pyc headers), gathered in one pass because unpacking is the costly part.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { setImmediate as pause } from 'node:timers/promises';
import { MakeRuntimeError, throwIfCancelled } from '../lib/errors.ts';
import { type BuildRecord, readBuildRecord } from '../package/build-json.ts';
import { langFolder } from '../package/layout.ts';
import { openZip, type Zip } from '../package/unzip.ts';
import type { Arch } from '../recipe/model.ts';
import { type Elf, ElfError, readElf } from '../tree/elf.ts';
import { resolvePath, type Tree } from '../tree/tree.ts';

/** The first 8 bytes of a .pyc (PEP 552): magic number of the bytecode and how it is invalidated. */
interface PycHeader {
  readonly magic: number;
  /** 0 timestamp, 1 unchecked hash, 3 checked hash. */
  readonly flags: number;
}

export interface Subject {
  /** How messages call it. */
  readonly name: string;
  readonly tree: Tree;
  /** Undefined when a tree is judged that is not packed. */
  readonly zip: Zip | undefined;
  /** The path or bytes it was opened from, to compare with. */
  readonly source: string | Uint8Array | undefined;
  /** What make-runtime wrote into it; undefined for anybody else's layer. */
  readonly record: BuildRecord | undefined;
  /** What it is for: asked for, recorded in it, or read off its interpreter. */
  readonly arch: Arch | undefined;
  /** The Python executable, links resolved; undefined when there is none, as in a layer with a frozen program. */
  readonly interpreter: string | undefined;
  /** What bootstrap leads to, links resolved. */
  readonly bootstrap: string | undefined;
  /** "lang/lib/python3.13t": the folder of os.py. */
  readonly stdlib: string | undefined;
  readonly elves: ReadonlyMap<string, Elf | ElfError>;
  readonly pycs: ReadonlyMap<string, PycHeader>;
}

export interface SubjectOptions {
  /** Judge it as a layer for this architecture, whatever it says itself. */
  readonly arch?: Arch;
  readonly signal?: AbortSignal;
}

/**
 * Opens a layer zip, also one this tool did not build.
 * Throws ARTIFACT_NOT_FOUND, and ARTIFACT_NOT_A_LAYER when it is no sound zip or has neither bootstrap nor Python.
 */
export async function openSubject(source: string | Uint8Array, options: SubjectOptions = {}): Promise<Subject> {
  const zip = await openZip(source);
  const name = typeof source === 'string' ? source : 'The artifact';
  return examine({ name, tree: zip.tree, zip, source }, options);
}

/** The same for files that are not packed (yet). */
export async function treeSubject(tree: Tree, name: string, options: SubjectOptions = {}): Promise<Subject> {
  return examine({ name, tree, zip: undefined, source: undefined }, options);
}

async function examine(
  opened: Pick<Subject, 'name' | 'tree' | 'zip' | 'source'>,
  { arch, signal }: SubjectOptions,
): Promise<Subject> {
  const { tree, name } = opened;
  const record = await readBuildRecord(tree);
  const { elves, pycs } = await survey(tree, signal);
  const interpreter = findInterpreter(tree, record, elves);
  const bootstrap = resolvePath(tree, 'bootstrap');
  if (!tree.entries.has('bootstrap') && interpreter === undefined) {
    throw new MakeRuntimeError('ARTIFACT_NOT_A_LAYER', `${name} has neither a bootstrap nor a Python in it.`, {
      remedy: 'Give the path of a runtime layer; layers of libraries for a managed runtime are not judged here.',
    });
  }
  return {
    ...opened,
    record,
    arch: arch ?? record?.plan.arch ?? firstArch(elves, [interpreter, bootstrap, ...elves.keys()]),
    interpreter,
    bootstrap,
    stdlib: findStdlib(tree, interpreter),
    elves,
    pycs,
  };
}

function firstArch(elves: Subject['elves'], paths: readonly (string | undefined)[]): Arch | undefined {
  for (const path of paths) {
    const elf = path === undefined ? undefined : elves.get(path);
    if (elf !== undefined && !(elf instanceof ElfError) && elf.arch !== undefined) return elf.arch;
  }
  return undefined;
}

async function survey(tree: Tree, signal: AbortSignal | undefined): Promise<Pick<Subject, 'elves' | 'pycs'>> {
  const elves = new Map<string, Elf | ElfError>();
  const pycs = new Map<string, PycHeader>();
  for (const [path, entry] of tree.entries) {
    // No other file is ELF and named like source or bytecode; everything else has to be looked at.
    if (entry.kind === 'link' || entry.size < 8 || path.endsWith('.py')) continue;
    await pause();
    if (signal) throwIfCancelled(signal);
    const bytes = await entry.read();
    if (path.endsWith('.pyc')) {
      const header = new DataView(bytes.buffer, bytes.byteOffset, 8);
      // The magic number is 16 bits, then CR LF so that a copy in text mode is noticed.
      pycs.set(path, { magic: header.getUint16(0, true), flags: header.getUint32(4, true) });
      continue;
    }
    try {
      const elf = readElf(bytes);
      if (elf) elves.set(path, elf);
    } catch (error) {
      if (!(error instanceof ElfError)) throw error;
      elves.set(path, error);
    }
  }
  return { elves, pycs };
}

function findInterpreter(tree: Tree, record: BuildRecord | undefined, elves: Subject['elves']): string | undefined {
  if (record) {
    const recorded = resolvePath(tree, `${langFolder}/bin/${record.plan.python.executable}`);
    if (recorded !== undefined) return recorded;
  }
  const named = [...tree.entries.keys()].filter((path) => /(^|\/)bin\/python3(\.\d+t?)?$/.test(path));
  // Nearest to the root, then the most specific name.
  named.sort((a, b) => a.split('/').length - b.split('/').length || b.length - a.length);
  return named.map((path) => resolvePath(tree, path)).find((path) => path !== undefined && elves.has(path));
}

/** The standard library that belongs to the interpreter: <prefix>/lib/pythonX.Y[t] beside <prefix>/bin. */
function findStdlib(tree: Tree, interpreter: string | undefined): string | undefined {
  const prefix = interpreter?.split('/').slice(0, -2).join('/');
  const landmarks = [...tree.entries.keys()].filter((path) => /(^|\/)lib\/python3\.\d+t?\/os\.pyc?$/.test(path));
  const own = landmarks.find((path) => path.split('/').slice(0, -3).join('/') === prefix);
  return (own ?? landmarks[0])?.split('/').slice(0, -1).join('/');
}

/** The sha256 of a layer's bytes, hexadecimal: of the file at a path, of bytes, or of chunks as they are made. */
export async function sha256Of(source: string | Uint8Array | AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash('sha256');
  const chunks =
    typeof source === 'string' ? createReadStream(source) : source instanceof Uint8Array ? [source] : source;
  for await (const chunk of chunks) hash.update(chunk);
  return hash.digest('hex');
}
