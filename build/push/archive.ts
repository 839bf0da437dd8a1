// A tar as a set of files that can be read in any order: where each begins and ends. Reads headers only. It knows what
// `docker save`, skopeo, podman and we write (ustar, pax, GNU's long names) and nothing of what the files are.
import { open } from 'node:fs/promises';
import { throwIfCancelled } from '../lib/errors.ts';

export interface Extent {
  /** Byte of the archive at which the file begins. */
  readonly start: number;
  /** Bytes. */
  readonly size: number;
}

/** The file is no tar; the text says why and begins in lower case. */
export class NotATar extends Error {
  override readonly name = 'NotATar';
}

const block = 512;
/** Extended headers are paths; anything longer is not what these programs write. */
const maxHeader = 1 << 20;

/**
 * The regular files of an archive by their path, of two with one path the last (as tar unpacks it).
 * @throws NotATar; the system's error when it cannot be read
 */
export async function readArchive(path: string, signal: AbortSignal): Promise<Map<string, Extent>> {
  const files = new Map<string, Extent>();
  const file = await open(path);
  try {
    const { size: whole } = await file.stat();
    const read = async (at: number, length: number): Promise<Buffer> => {
      const bytes = Buffer.alloc(length);
      const { bytesRead } = await file.read(bytes, 0, length, at);
      if (bytesRead < length) throw new NotATar('it ends in the middle');
      return bytes;
    };
    let more: { path?: string; size?: number } = {};
    for (let at = 0; at + block <= whole; ) {
      throwIfCancelled(signal);
      const header = await read(at, block);
      if (header.every((byte) => byte === 0)) return files;
      if (header.readUInt16BE(0) === 0x1f8b) throw new NotATar('it is compressed: unpack it with gunzip first');
      if (!isHeader(header)) throw new NotATar(at === 0 ? 'it is no tar' : 'it is damaged');
      const type = String.fromCharCode(header[156]!);
      const size = more.size ?? number(header.subarray(124, 136));
      const start = at + block;
      at = start + Math.ceil(size / block) * block;
      if (start + size > whole) throw new NotATar('it ends in the middle');
      if (type === 'x' || type === 'L') {
        if (size > maxHeader) throw new NotATar('it is damaged');
        const content = await read(start, size);
        more = { ...more, ...(type === 'x' ? paxOf(content) : { path: text(content) }) };
        continue;
      }
      if (type === 'g' || type === 'K') continue;
      if (type === '0' || type === '\0')
        files.set((more.path ?? nameOf(header)).replace(/^(\.?\/)+/, ''), { start, size });
      more = {};
    }
    throw new NotATar('it ends in the middle');
  } finally {
    await file.close();
  }
}

/** The sum of all bytes, with the checksum's own counted as spaces. */
function isHeader(header: Buffer): boolean {
  const sum = header.reduce((total, byte, at) => total + (at >= 148 && at < 156 ? 32 : byte), 0);
  return sum === number(header.subarray(148, 156));
}

function nameOf(header: Buffer): string {
  const prefix = header.toString('latin1', 257, 262) === 'ustar' ? text(header.subarray(345, 500)) : '';
  const name = text(header.subarray(0, 100));
  return prefix === '' ? name : `${prefix}/${name}`;
}

/** Octal digits, or GNU's binary form for what does not fit. */
function number(field: Buffer): number {
  if ((field[0]! & 0x80) !== 0) return Number(BigInt(`0x${field.toString('hex')}`) & ((1n << 62n) - 1n));
  return Number.parseInt(text(field).trim() || '0', 8);
}

function text(field: Buffer): string {
  const end = field.indexOf(0);
  return field.toString('utf8', 0, end === -1 ? field.length : end);
}

/** "<length> <key>=<value>\n", again and again. */
function paxOf(content: Buffer): { path?: string; size?: number } {
  const found: { path?: string; size?: number } = {};
  for (let at = 0; at < content.length; ) {
    const space = content.indexOf(0x20, at);
    const length = Number.parseInt(content.toString('latin1', at, space), 10);
    if (space === -1 || !(length > 0)) throw new NotATar('it is damaged');
    const record = content.toString('utf8', space + 1, at + length - 1);
    const equals = record.indexOf('=');
    if (record.slice(0, equals) === 'path') found.path = record.slice(equals + 1);
    if (record.slice(0, equals) === 'size') found.size = Number(record.slice(equals + 1));
    at += length;
  }
  return found;
}
