// zip -> Tree, for any artifact somebody hands us: strict where a lenient reader would let one file mean two things.
// The central directory is the truth; local headers must agree with it. It does not know what a layer is.
import { open, stat } from 'node:fs/promises';
import { promisify } from 'node:util';
import { crc32, inflateRaw } from 'node:zlib';
import { MakeRuntimeError } from '../lib/errors.ts';
import { type Entry, folderClash, linkTo, makeTree, pathProblem, type Tree } from '../tree/tree.ts';

/** One row of the central directory, as far as somebody judges it. */
interface ZipMember {
  /** Folders end in '/'. */
  readonly path: string;
  readonly kind: 'file' | 'link' | 'folder';
  /** Unix type and permission bits; undefined when the archive was not made with Unix modes. */
  readonly mode: number | undefined;
  readonly size: number;
  readonly compressedSize: number;
  /** 0 stored, 8 deflated. */
  readonly method: number;
  /** Local time, as written: "1980-01-01 00:00:00". */
  readonly date: string;
}

export interface Zip {
  /** Contents are checked against size and CRC when they are read. */
  readonly tree: Tree;
  readonly members: readonly ZipMember[];
  /** Of the archive itself, bytes. */
  readonly size: number;
}

/**
 * What all members together may unpack to: four times Lambda's own limit, so that a layer that is merely too big is
 * still told so by name, and a decompression bomb is not even started on.
 */
const maxUnpacked = 4 * 262_144_000;
const maxLinkTarget = 4096;
const folderType = 0o040000;
const fileType = 0o100000;
const linkType = 0o120000;

/** The archive as a tree. Same arguments and errors as openZip. */
export async function readZip(source: string | Uint8Array): Promise<Tree> {
  return (await openZip(source)).tree;
}

/**
 * Reads the central directory and the symlinks; other contents stay where they are until a caller reads them.
 * @param source a path or the archive's bytes. A file must stay in place as long as the tree is used.
 * Throws ARTIFACT_NOT_FOUND, and ARTIFACT_NOT_A_LAYER for everything that is not a plain, sound zip.
 */
export async function openZip(source: string | Uint8Array): Promise<Zip> {
  const archive = typeof source === 'string' ? await archiveFile(source) : archiveBytes(source);
  const rows = parseDirectory(archive, await readDirectory(archive));
  refuseOverlaps(archive, rows);
  const entries = new Map<string, Entry>();
  for (const row of rows) {
    if (row.kind === 'folder') continue;
    if (entries.has(row.path)) throw archive.unsound(`it holds ${JSON.stringify(row.path)} twice`);
    entries.set(row.path, await toEntry(archive, row));
  }
  const clash = folderClash(entries);
  // Also the trick that makes a careless unpacker write through a symlink: "a -> /etc" and then "a/passwd".
  if (clash)
    throw archive.unsound(`${JSON.stringify(clash[0])} is a file, and ${JSON.stringify(clash[1])} lies below it`);
  return { tree: makeTree(entries), members: rows, size: archive.size };
}

interface Archive {
  readonly size: number;
  readonly read: (offset: number, length: number) => Promise<Buffer>;
  readonly unsound: (why: string, cause?: unknown) => MakeRuntimeError;
}

function notSound(name: string, why: string, cause: unknown): MakeRuntimeError {
  return new MakeRuntimeError('ARTIFACT_NOT_A_LAYER', `${name} is not a layer that can be used: ${why}.`, {
    remedy: 'Give the path of a layer zip, such as the layer.zip that `make-runtime build` writes.',
    cause,
  });
}

function archiveBytes(bytes: Uint8Array): Archive {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const unsound: Archive['unsound'] = (why, cause) => notSound('The archive', why, cause);
  const read = async (offset: number, length: number) => {
    if (offset + length > buffer.byteLength) throw unsound('it ends too early');
    return buffer.subarray(offset, offset + length);
  };
  return { size: buffer.byteLength, read, unsound };
}

async function archiveFile(path: string): Promise<Archive> {
  const unsound: Archive['unsound'] = (why, cause) => notSound(path, why, cause);
  const found = await stat(path).catch((cause) => {
    throw new MakeRuntimeError('ARTIFACT_NOT_FOUND', `There is no artifact at ${path}.`, {
      remedy: 'Check the path, or build one first: make-runtime build 3.13t',
      cause,
    });
  });
  if (!found.isFile()) throw unsound('it is not a file');
  const read = async (offset: number, length: number) => {
    const file = await open(path);
    try {
      const buffer = Buffer.alloc(length);
      const { bytesRead } = await file.read(buffer, 0, length, offset);
      if (bytesRead !== length) throw unsound('it ends too early');
      return buffer;
    } finally {
      await file.close();
    }
  };
  return { size: found.size, read, unsound };
}

interface Directory {
  readonly bytes: Buffer;
  readonly offset: number;
  readonly count: number;
}

async function readDirectory(archive: Archive): Promise<Directory> {
  // The end record is 22 bytes and a comment of at most 65,535.
  const tailSize = Math.min(archive.size, 22 + 0xffff);
  const tail = await archive.read(archive.size - tailSize, tailSize);
  let end = -1;
  for (let at = tail.byteLength - 22; at >= 0 && end === -1; at--) {
    if (tail.readUInt32LE(at) === 0x06054b50 && at + 22 + tail.readUInt16LE(at + 20) === tail.byteLength) end = at;
  }
  if (end === -1) throw archive.unsound('it is not a zip file, or its end is missing');
  const count = tail.readUInt16LE(end + 10);
  const size = tail.readUInt32LE(end + 12);
  const offset = tail.readUInt32LE(end + 16);
  if (count === 0xffff || size === 0xffffffff || offset === 0xffffffff) {
    throw archive.unsound('it is in zip64 format, which nothing that fits on Lambda needs');
  }
  if (tail.readUInt16LE(end + 4) !== 0 || tail.readUInt16LE(end + 8) !== count) {
    throw archive.unsound('it is one part of a split archive');
  }
  if (offset + size !== archive.size - tailSize + end) throw archive.unsound('its directory is not where it should be');
  return { bytes: await archive.read(offset, size), offset, count };
}

interface Row extends ZipMember {
  readonly crc: number;
  readonly offset: number;
  readonly nameLength: number;
}

function parseDirectory(archive: Archive, { bytes, offset: limit, count }: Directory): Row[] {
  const rows: Row[] = [];
  let unpacked = 0;
  let at = 0;
  while (rows.length < count) {
    if (at + 46 > bytes.byteLength || bytes.readUInt32LE(at) !== 0x02014b50) {
      throw archive.unsound('its directory is damaged');
    }
    const nameLength = bytes.readUInt16LE(at + 28);
    const next = at + 46 + nameLength + bytes.readUInt16LE(at + 30) + bytes.readUInt16LE(at + 32);
    if (next > bytes.byteLength) throw archive.unsound('its directory is damaged');
    const path = decodeName(archive, bytes.subarray(at + 46, at + 46 + nameLength));
    const shown = JSON.stringify(path);
    const flags = bytes.readUInt16LE(at + 8);
    if ((flags & (1 | (1 << 6) | (1 << 13))) !== 0) throw archive.unsound(`${shown} is encrypted`);
    const method = bytes.readUInt16LE(at + 10);
    if (method !== 0 && method !== 8)
      throw archive.unsound(`${shown} is compressed with method ${method}, not deflate`);
    const compressedSize = bytes.readUInt32LE(at + 20);
    const size = bytes.readUInt32LE(at + 24);
    const offset = bytes.readUInt32LE(at + 42);
    if (compressedSize === 0xffffffff || size === 0xffffffff || offset === 0xffffffff) {
      throw archive.unsound(`${shown} is in zip64 format, which nothing that fits on Lambda needs`);
    }
    if (offset + 30 + nameLength + compressedSize > limit) throw archive.unsound(`${shown} ends beyond the archive`);
    unpacked += size;
    if (unpacked > maxUnpacked) throw archive.unsound('it unpacks to more than four times what Lambda accepts');
    const mode = unixMode(bytes.readUInt16LE(at + 4), bytes.readUInt32LE(at + 38));
    rows.push({
      path,
      kind: kindOf(archive, path, mode),
      mode,
      size,
      compressedSize,
      method,
      date: dosDateTime(bytes.readUInt16LE(at + 14), bytes.readUInt16LE(at + 12)),
      crc: bytes.readUInt32LE(at + 16),
      offset,
      nameLength,
    });
    at = next;
  }
  if (at !== bytes.byteLength) throw archive.unsound('its directory is longer than it says');
  return rows;
}

function decodeName(archive: Archive, bytes: Buffer): string {
  let path: string;
  try {
    path = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw archive.unsound(`the name ${JSON.stringify(bytes.toString('latin1'))} is not UTF-8`);
  }
  if (path.includes('\\'))
    throw archive.unsound(`the name ${JSON.stringify(path)} has backslashes, as Windows paths have`);
  const problem = pathProblem(path.endsWith('/') ? path.slice(0, -1) : path);
  if (problem !== undefined) throw archive.unsound(`the name ${JSON.stringify(path)} ${problem}`);
  return path;
}

/** Hosts 3 (Unix) and 19 (macOS) put st_mode into the upper half of the external attributes (APPNOTE 4.4.2, 4.4.15). */
function unixMode(madeBy: number, attributes: number): number | undefined {
  const host = madeBy >>> 8;
  const mode = attributes >>> 16;
  return (host === 3 || host === 19) && mode !== 0 ? mode : undefined;
}

function kindOf(archive: Archive, path: string, mode: number | undefined): ZipMember['kind'] {
  if (path.endsWith('/')) return 'folder';
  // Some writers leave the type bits out: then it is a file.
  const type = (mode ?? 0) & 0o170000;
  if (type === 0 || type === fileType) return 'file';
  if (type === linkType) return 'link';
  if (type === folderType) throw archive.unsound(`${JSON.stringify(path)} is a folder by mode and a file by name`);
  throw archive.unsound(`${JSON.stringify(path)} is a device, a pipe or a socket`);
}

function dosDateTime(date: number, time: number): string {
  const two = (value: number) => String(value).padStart(2, '0');
  const day = `${1980 + (date >>> 9)}-${two((date >>> 5) & 15)}-${two(date & 31)}`;
  return `${day} ${two(time >>> 11)}:${two((time >>> 5) & 63)}:${two((time & 31) * 2)}`;
}

/** Bombs are small because their members share one compressed stream: members that overlap are refused. */
function refuseOverlaps(archive: Archive, rows: readonly Row[]): void {
  let end = 0;
  for (const row of [...rows].sort((a, b) => a.offset - b.offset)) {
    if (row.offset < end) throw archive.unsound(`${JSON.stringify(row.path)} overlaps another member`);
    end = row.offset + 30 + row.nameLength + row.compressedSize;
  }
}

async function toEntry(archive: Archive, row: Row): Promise<Entry> {
  const read = () => readMember(archive, row);
  if (row.kind === 'file') {
    return { kind: 'file', mode: (row.mode ?? 0) & 0o111 ? 0o755 : 0o644, size: row.size, read };
  }
  if (row.size === 0 || row.size > maxLinkTarget) {
    throw archive.unsound(`the symbolic link ${JSON.stringify(row.path)} has a target of ${row.size} bytes`);
  }
  const target = Buffer.from(await read()).toString();
  if (target.includes('\0'))
    throw archive.unsound(`the symbolic link ${JSON.stringify(row.path)} has a damaged target`);
  return linkTo(target);
}

const inflate = promisify<Uint8Array, { maxOutputLength: number }, Buffer>(inflateRaw);

async function readMember(archive: Archive, row: Row): Promise<Uint8Array> {
  const shown = JSON.stringify(row.path);
  const header = await archive.read(row.offset, 30 + row.nameLength);
  const sameName = decodeName(archive, header.subarray(30)) === row.path;
  if (header.readUInt32LE(0) !== 0x04034b50 || header.readUInt16LE(26) !== row.nameLength || !sameName) {
    throw archive.unsound(`the header of ${shown} does not match the directory`);
  }
  const start = row.offset + 30 + row.nameLength + header.readUInt16LE(28);
  const data = await archive.read(start, row.compressedSize);
  let content: Uint8Array = data;
  if (row.method === 8) {
    // The limit is the declared size (at least 1: zlib does not take 0), so a stream cannot grow beyond its word.
    content = await inflate(data, { maxOutputLength: Math.max(row.size, 1) }).catch((cause) => {
      throw archive.unsound(`${shown} does not unpack to the ${row.size} bytes it declares`, cause);
    });
  }
  if (content.byteLength !== row.size)
    throw archive.unsound(`${shown} has ${content.byteLength} bytes, not ${row.size}`);
  if (crc32(content) !== row.crc) throw archive.unsound(`${shown} is damaged: its checksum is wrong`);
  return content;
}
