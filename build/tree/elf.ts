// What an ELF file asks of the system that runs it: machine, libraries, symbol versions, stack, relocations.
// Reads what the loader reads (program headers and the dynamic segment), so stripped files give the same answer.
// ELF64 little-endian, the only kind Lambda runs. It does not know which answers are acceptable.
// Layouts: System V gABI chapters 4 and 5, and the LSB Core "Symbol Versioning" chapter.
import type { Arch } from '../recipe/model.ts';

export interface Elf {
  /** e_machine; `arch` is the same by name, for the two that Lambda has. */
  readonly machine: number;
  readonly arch: Arch | undefined;
  readonly type: 'relocatable' | 'executable' | 'shared' | 'core' | 'other';
  /** Program interpreter, as in "/lib64/ld-linux-x86-64.so.2"; undefined for libraries and static programs. */
  readonly interpreter: string | undefined;
  readonly needed: readonly string[];
  readonly soname: string | undefined;
  /** DT_RPATH and DT_RUNPATH, split at ':'. */
  readonly rpath: readonly string[];
  readonly runpath: readonly string[];
  /** Symbol versions that must be there at load time, by library. */
  readonly versionNeeds: readonly { readonly library: string; readonly versions: readonly string[] }[];
  /** Undefined symbols that are bound to a version: what to name when that version is too new. */
  readonly versionedSymbols: readonly {
    readonly symbol: string;
    readonly library: string;
    readonly version: string;
  }[];
  /** What PT_GNU_STACK asks for. Without the header the kernel may choose an executable stack. */
  readonly stack: 'plain' | 'executable' | 'unmarked';
  readonly relro: boolean;
  readonly bindNow: boolean;
  /** Relocations in read-only segments (DT_TEXTREL). */
  readonly textRelocations: boolean;
}

/** A file that starts like an ELF file and then is not one we can read. The message completes "x is not usable: ". */
export class ElfError extends Error {
  override readonly name = 'ElfError';
}

const archOfMachine: Readonly<Record<number, Arch>> = { 62: 'x86_64', 183: 'arm64' };
const elfTypes = ['other', 'relocatable', 'executable', 'shared', 'core'] as const;

// Names as in <elf.h>.
const [PT_LOAD, PT_DYNAMIC, PT_INTERP, PT_GNU_STACK, PT_GNU_RELRO] = [1, 2, 3, 0x6474e551, 0x6474e552];
const PF_X = 1;
const SHT_DYNSYM = 11;
const [DT_NULL, DT_NEEDED, DT_HASH, DT_STRTAB, DT_SYMTAB, DT_STRSZ, DT_SONAME, DT_RPATH] = [0, 1, 4, 5, 6, 10, 14, 15];
const [DT_TEXTREL, DT_BIND_NOW, DT_RUNPATH, DT_FLAGS] = [22, 24, 29, 30];
const [DT_VERSYM, DT_FLAGS_1, DT_VERNEED] = [0x6ffffff0, 0x6ffffffb, 0x6ffffffe];
const [DF_TEXTREL, DF_BIND_NOW, DF_1_NOW] = [4, 8, 1];
/** Entries of the dynamic segment that hold addresses of tables: where one begins, the one before it ends. */
const addressTags = [DT_HASH, DT_STRTAB, DT_SYMTAB, DT_VERSYM, DT_VERNEED, 7, 12, 13, 17, 23, 25, 26, 0x6ffffef5];

/** Bounds on what a sane file holds, so that a crafted one costs no more time than a large one. */
const maxNameLength = 4096;
const maxNameBytes = 64 * 1024 * 1024;
const maxVersionNeeds = 65_536;
const maxSymbols = 4_000_000;

/**
 * Reads an ELF file.
 * @returns undefined when the bytes do not start as an ELF file does.
 * Throws ElfError for a file that is damaged or of another class or byte order; never anything else.
 */
export function readElf(bytes: Uint8Array): Elf | undefined {
  if (bytes.byteLength < 4 || bytes[0] !== 0x7f || bytes[1] !== 0x45 || bytes[2] !== 0x4c || bytes[3] !== 0x46) {
    return undefined;
  }
  const file = reader(bytes);
  if (file.u8(4) !== 2) throw new ElfError('it is a 32-bit ELF file');
  if (file.u8(5) !== 1) throw new ElfError('it is a big-endian ELF file');
  const segments = readSegments(file);
  const dynamic = readDynamic(file, segments);
  const machine = file.u16(18);
  const flags = dynamic.value(DT_FLAGS) ?? 0;
  const interp = segments.find((segment) => segment.type === PT_INTERP);
  const stack = segments.find((segment) => segment.type === PT_GNU_STACK);
  const versions = readVersionNeeds(file, dynamic);
  return {
    machine,
    arch: archOfMachine[machine],
    type: elfTypes[file.u16(16)] ?? 'other',
    interpreter: interp && file.text(interp.offset, interp.offset + interp.fileSize),
    needed: dynamic.values(DT_NEEDED).map(dynamic.string),
    soname: dynamic.values(DT_SONAME).map(dynamic.string)[0],
    rpath: dynamic.values(DT_RPATH).flatMap((at) => dynamic.string(at).split(':')),
    runpath: dynamic.values(DT_RUNPATH).flatMap((at) => dynamic.string(at).split(':')),
    versionNeeds: versions.needs,
    versionedSymbols: readVersionedSymbols(file, dynamic, versions.byIndex),
    stack: stack === undefined ? 'unmarked' : stack.flags & PF_X ? 'executable' : 'plain',
    relro: segments.some((segment) => segment.type === PT_GNU_RELRO),
    bindNow:
      dynamic.value(DT_BIND_NOW) !== undefined ||
      (flags & DF_BIND_NOW) !== 0 ||
      ((dynamic.value(DT_FLAGS_1) ?? 0) & DF_1_NOW) !== 0,
    textRelocations: dynamic.value(DT_TEXTREL) !== undefined || (flags & DF_TEXTREL) !== 0,
  };
}

interface Reader {
  readonly size: number;
  readonly u8: (at: number) => number;
  readonly u16: (at: number) => number;
  readonly u32: (at: number) => number;
  readonly u64: (at: number) => number;
  /** The NUL-terminated text at `at`, which must end before `end`. */
  readonly text: (at: number, end: number) => string;
}

function reader(bytes: Uint8Array): Reader {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const at = (offset: number, length: number): number => {
    if (!(offset >= 0 && offset + length <= buffer.byteLength)) throw new ElfError('it is cut short or damaged');
    return offset;
  };
  let nameBytes = 0;
  return {
    size: buffer.byteLength,
    u8: (offset) => buffer.readUInt8(at(offset, 1)),
    u16: (offset) => buffer.readUInt16LE(at(offset, 2)),
    u32: (offset) => buffer.readUInt32LE(at(offset, 4)),
    u64: (offset) => {
      // Beyond 2^53 a value is no offset into any file: it fails the next bounds check, rounded or not.
      return buffer.readUInt32LE(at(offset, 8)) + buffer.readUInt32LE(offset + 4) * 0x1_0000_0000;
    },
    text: (offset, end) => {
      const limit = Math.min(end, buffer.byteLength, offset + maxNameLength);
      const stop = buffer.subarray(0, Math.max(limit, 0)).indexOf(0, at(offset, 1));
      nameBytes += stop - offset;
      if (stop === -1 || nameBytes > maxNameBytes) throw new ElfError('a name in it does not end');
      return buffer.toString('utf8', offset, stop);
    },
  };
}

interface Segment {
  readonly type: number;
  readonly flags: number;
  readonly offset: number;
  readonly address: number;
  readonly fileSize: number;
}

function readSegments(file: Reader): Segment[] {
  const [start, entrySize, count] = [file.u64(32), file.u16(54), file.u16(56)];
  if (count > 0 && entrySize < 56) throw new ElfError('its program headers are damaged');
  return Array.from({ length: count }, (_, index) => {
    const at = start + index * entrySize;
    return {
      type: file.u32(at),
      flags: file.u32(at + 4),
      offset: file.u64(at + 8),
      address: file.u64(at + 16),
      fileSize: file.u64(at + 32),
    };
  });
}

interface Dynamic {
  readonly values: (tag: number) => readonly number[];
  readonly value: (tag: number) => number | undefined;
  /** The file offset of the table a tag points to. */
  readonly table: (tag: number) => number | undefined;
  /** A name in the dynamic string table. */
  readonly string: (at: number) => string;
  /** Bytes from the table's start to the next table or the end of its segment: an upper bound of its size. */
  readonly room: (tag: number) => number;
}

function readDynamic(file: Reader, segments: readonly Segment[]): Dynamic {
  const tags = new Map<number, number[]>();
  const segment = segments.find(({ type }) => type === PT_DYNAMIC);
  if (segment) {
    for (let at = segment.offset; at + 16 <= segment.offset + segment.fileSize; at += 16) {
      const tag = file.u64(at);
      if (tag === DT_NULL) break;
      const values = tags.get(tag) ?? [];
      values.push(file.u64(at + 8));
      tags.set(tag, values);
    }
  }
  const loads = segments.filter(({ type }) => type === PT_LOAD);
  const loadOf = (address: number): Segment => {
    const found = loads.find((load) => address >= load.address && address < load.address + load.fileSize);
    if (!found) throw new ElfError('its dynamic segment points outside the file');
    return found;
  };
  const value = (tag: number) => tags.get(tag)?.[0];
  const table = (tag: number) => {
    const address = value(tag);
    if (address === undefined) return undefined;
    const load = loadOf(address);
    return address - load.address + load.offset;
  };
  const strings = table(DT_STRTAB);
  const stringsEnd = (strings ?? 0) + (value(DT_STRSZ) ?? 0);
  return {
    values: (tag) => tags.get(tag) ?? [],
    value,
    table,
    string: (at) => {
      if (strings === undefined) throw new ElfError('it has names but no string table');
      return file.text(strings + at, stringsEnd);
    },
    room: (tag) => {
      const address = value(tag);
      if (address === undefined) return 0;
      const load = loadOf(address);
      const later = addressTags.flatMap((other) => tags.get(other) ?? []).filter((other) => other > address);
      return Math.min(load.address + load.fileSize, ...later) - address;
    },
  };
}

interface VersionNeeds {
  readonly needs: Elf['versionNeeds'];
  /** What the numbers in .gnu.version stand for. */
  readonly byIndex: ReadonlyMap<number, { readonly library: string; readonly version: string }>;
}

function readVersionNeeds(file: Reader, dynamic: Dynamic): VersionNeeds {
  const byIndex = new Map<number, { library: string; version: string }>();
  const byLibrary = new Map<string, string[]>();
  let count = 0;
  for (let need = dynamic.table(DT_VERNEED); need !== undefined; ) {
    count += 1;
    const library = dynamic.string(file.u32(need + 4));
    const versions = byLibrary.get(library) ?? [];
    byLibrary.set(library, versions);
    for (let aux: number | undefined = need + file.u32(need + 8); aux !== undefined; ) {
      count += 1;
      if (count > maxVersionNeeds) throw new ElfError('its symbol versions do not end');
      const version = dynamic.string(file.u32(aux + 8));
      versions.push(version);
      byIndex.set(file.u16(aux + 6) & 0x7fff, { library, version });
      aux = following(aux, file.u32(aux + 12));
    }
    need = following(need, file.u32(need + 12));
  }
  return { needs: [...byLibrary].map(([library, versions]) => ({ library, versions })), byIndex };
}

/** The next record of a chain that is linked by distances: 0 ends it, and a distance is never negative. */
function following(at: number, distance: number): number | undefined {
  return distance === 0 ? undefined : at + distance;
}

function readVersionedSymbols(
  file: Reader,
  dynamic: Dynamic,
  byIndex: VersionNeeds['byIndex'],
): Elf['versionedSymbols'] {
  const [symbols, versions] = [dynamic.table(DT_SYMTAB), dynamic.table(DT_VERSYM)];
  if (symbols === undefined || versions === undefined) return [];
  const found: { symbol: string; library: string; version: string }[] = [];
  // Entry 0 is the reserved one.
  for (let index = 1, count = countSymbols(file, dynamic); index < count; index++) {
    const need = byIndex.get(file.u16(versions + 2 * index) & 0x7fff);
    const at = symbols + 24 * index;
    const undefinedSymbol = file.u16(at + 6) === 0;
    if (need !== undefined && undefinedSymbol) found.push({ symbol: dynamic.string(file.u32(at)), ...need });
  }
  return found;
}

/**
 * The dynamic segment does not say how many symbols there are. DT_HASH does; where there is only DT_GNU_HASH (which
 * does not cover undefined symbols) the section header does; without sections, the room up to the next table.
 */
function countSymbols(file: Reader, dynamic: Dynamic): number {
  const hash = dynamic.table(DT_HASH);
  const room = Math.floor(dynamic.room(DT_SYMTAB) / 24);
  const claimed = hash === undefined ? dynsymCount(file) : file.u32(hash + 4);
  return Math.min(claimed ?? room, room, maxSymbols);
}

function dynsymCount(file: Reader): number | undefined {
  const [start, entrySize, count] = [file.u64(40), file.u16(58), file.u16(60)];
  if (start === 0 || entrySize < 64 || start + entrySize * count > file.size) return undefined;
  for (let index = 0; index < count; index++) {
    const at = start + index * entrySize;
    if (file.u32(at + 4) === SHT_DYNSYM) return Math.floor(file.u64(at + 32) / 24);
  }
  return undefined;
}

/** "GLIBC_2.34" -> [2, 34]; undefined for versions that are not numbered (GLIBC_PRIVATE, GLIBC_ABI_DT_RELR). */
export function glibcNumber(version: string): readonly number[] | undefined {
  const match = /^GLIBC_(\d+(?:\.\d+)*)$/.exec(version);
  return match?.[1]?.split('.').map(Number);
}

/** Negative, zero or positive, as in a sort, for dotted version numbers: [2, 4] comes before [2, 34]. */
export function compareVersions(a: readonly number[], b: readonly number[]): number {
  for (let index = 0; index < Math.max(a.length, b.length); index++) {
    const difference = (a[index] ?? 0) - (b[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** The highest numbered glibc version that the file needs, as "2.34"; undefined when it needs none. */
export function highestGlibc(elf: Elf): string | undefined {
  const numbers = elf.versionNeeds.flatMap(({ versions }) => versions.flatMap((one) => [glibcNumber(one) ?? []]));
  const sorted = numbers.filter((number) => number.length > 0).sort(compareVersions);
  return sorted.at(-1)?.join('.');
}
