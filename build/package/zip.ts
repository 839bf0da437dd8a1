// Tree -> zip, with bytes that depend on nothing but the tree: sorted names, no folder entries, one fixed date, three
// modes, and a compressor that is pinned like any other source (node:zlib's output differs between Node releases).
// Only the container is ours, the deflate stream is fflate's: its zipSync keeps the whole archive in memory and does
// not let go of the event loop. Reading is unzip.ts.
import { setImmediate as pause } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import { deflateSync } from 'fflate';
import { MakeRuntimeError, throwIfCancelled } from '../lib/errors.ts';
import { deflate } from '../recipe/plan.ts';
import type { Entry, Tree } from '../tree/tree.ts';

/** The plan says how hard to try, because it decides the bytes; every level takes fflate about as long. */
const level = Number(deflate.split('/')[1]) as 9;

/**
 * 1980-01-01 00:00, the first moment a zip can name. DOS dates are local time, so a date made by the clock's rules
 * would differ between time zones; the number does not. Year - 1980 in bits 9-15, month in 5-8, day in 0-4.
 */
const dosDate = (0 << 9) | (1 << 5) | 1;
const dosTime = 0;

/** Upper byte 3: Unix, so that readers take the modes; lower byte 20: nothing newer than deflate (APPNOTE 4.4.2). */
const madeBy = (3 << 8) | 20;
const versionNeeded = 20;
/** General purpose bit 11: the name is UTF-8 (APPNOTE appendix D). */
const utf8Flag = 1 << 11;
const unixFile = 0o100000;
const unixLink = 0o120000;

/** Without zip64 the counts are 16 bits and the offsets 32: both far above what Lambda takes. */
const maxEntries = 0xfffe;
const maxOffset = 0xfffffffe;

/**
 * The archive, in pieces to be written one after the other. Holds one file at a time.
 * Throws CANCELLED when the signal fires, PACK_TOO_LARGE where the format would need zip64.
 */
export async function* zipChunks(tree: Tree, signal?: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
  if (tree.entries.size > maxEntries) throw tooLarge(`${tree.entries.size} files`);
  const directory: Uint8Array[] = [];
  let offset = 0;
  for (const [path, entry] of tree.entries) {
    // Compressing is synchronous: between two files is where Ctrl-C and the progress display get their turn.
    await pause();
    if (signal) throwIfCancelled(signal);
    const member = await compress(path, entry);
    const local = localHeader(member);
    directory.push(centralHeader(member, offset));
    offset += local.byteLength + member.data.byteLength;
    if (offset > maxOffset) throw tooLarge(`${offset} bytes`);
    yield local;
    yield member.data;
  }
  const central = Buffer.concat(directory);
  yield central;
  yield endOfDirectory(directory.length, central.byteLength, offset);
}

/** The archive as one buffer: for small trees and tests. */
export async function zipBytes(tree: Tree, signal?: AbortSignal): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of zipChunks(tree, signal)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

interface Member {
  readonly name: Buffer;
  readonly flags: number;
  readonly mode: number;
  readonly method: 0 | 8;
  readonly crc: number;
  readonly size: number;
  readonly data: Uint8Array;
}

async function compress(path: string, entry: Entry): Promise<Member> {
  const name = Buffer.from(path);
  if (name.byteLength > 0xffff) throw tooLarge(`a path of ${name.byteLength} bytes`);
  const content = entry.kind === 'file' ? await entry.read() : Buffer.from(entry.target);
  if (entry.kind === 'file' && content.byteLength !== entry.size) {
    throw new Error(`${path} has ${content.byteLength} bytes, not ${entry.size}: it changed while it was packed.`);
  }
  // Links are stored: readers that make symlinks take the target from the raw bytes.
  const deflated = entry.kind === 'file' ? deflateSync(content, { level }) : content;
  const smaller = deflated.byteLength < content.byteLength;
  return {
    name,
    flags: name.byteLength === path.length ? 0 : utf8Flag,
    mode: entry.kind === 'file' ? unixFile | entry.mode : unixLink | 0o777,
    method: smaller ? 8 : 0,
    crc: crc32(content),
    size: content.byteLength,
    data: smaller ? deflated : content,
  };
}

function localHeader(member: Member): Buffer {
  const header = Buffer.alloc(30);
  header.writeUInt32LE(0x04034b50, 0);
  header.writeUInt16LE(versionNeeded, 4);
  writeShared(header, 6, member);
  return Buffer.concat([header, member.name]);
}

function centralHeader(member: Member, offset: number): Buffer {
  const header = Buffer.alloc(46);
  header.writeUInt32LE(0x02014b50, 0);
  header.writeUInt16LE(madeBy, 4);
  header.writeUInt16LE(versionNeeded, 6);
  writeShared(header, 8, member);
  header.writeUInt32LE((member.mode << 16) >>> 0, 38);
  header.writeUInt32LE(offset, 42);
  return Buffer.concat([header, member.name]);
}

/** The 24 bytes that both headers have in the same order: flags to the length of the (absent) extra field. */
function writeShared(header: Buffer, at: number, member: Member): void {
  header.writeUInt16LE(member.flags, at);
  header.writeUInt16LE(member.method, at + 2);
  header.writeUInt16LE(dosTime, at + 4);
  header.writeUInt16LE(dosDate, at + 6);
  header.writeUInt32LE(member.crc, at + 8);
  header.writeUInt32LE(member.data.byteLength, at + 12);
  header.writeUInt32LE(member.size, at + 16);
  header.writeUInt16LE(member.name.byteLength, at + 20);
}

function endOfDirectory(count: number, size: number, offset: number): Buffer {
  const record = Buffer.alloc(22);
  record.writeUInt32LE(0x06054b50, 0);
  record.writeUInt16LE(count, 8);
  record.writeUInt16LE(count, 10);
  record.writeUInt32LE(size, 12);
  record.writeUInt32LE(offset, 16);
  return record;
}

function tooLarge(what: string): MakeRuntimeError {
  return new MakeRuntimeError('PACK_TOO_LARGE', `A zip cannot hold ${what}, and neither can Lambda.`, {
    remedy: 'Add prune rules to the recipe until the tree is below 262,144,000 bytes.',
  });
}
