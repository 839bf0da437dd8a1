// Members -> tar, with bytes that depend on nothing but the members: ustar headers (POSIX.1-1988), pax records
// (POSIX.1-2001) only for what does not fit into one, owner root by number, one date. It decides no order and adds no
// folders: the caller says what is in the archive.
import { setImmediate as pause } from 'node:timers/promises';
import { throwIfCancelled } from '../lib/errors.ts';
import type { Tree } from '../tree/tree.ts';

export type TarMember =
  | { readonly kind: 'folder'; readonly path: string }
  | { readonly kind: 'link'; readonly path: string; readonly target: string }
  | {
      readonly kind: 'file';
      readonly path: string;
      readonly mode: number;
      /** Bytes; the content has to have as many. */
      readonly size: number;
      readonly content: () => AsyncIterable<Uint8Array> | Promise<Uint8Array>;
    };

const block = 512;
const typeOf = { file: '0', link: '2', folder: '5' } as const;

/**
 * The files of a tree with all their folders, a folder before what is in it.
 * @param folders more folders, for those that have to exist without anything in them
 */
export function tarMembers(tree: Tree, folders: readonly string[] = []): TarMember[] {
  const members = new Map<string, TarMember>();
  const addFolder = (path: string): void => {
    if (path === '' || members.has(path)) return;
    addFolder(path.split('/').slice(0, -1).join('/'));
    members.set(path, { kind: 'folder', path });
  };
  for (const path of folders) addFolder(path);
  for (const [path, entry] of tree.entries) {
    addFolder(path.split('/').slice(0, -1).join('/'));
    members.set(
      path,
      entry.kind === 'link'
        ? { kind: 'link', path, target: entry.target }
        : { kind: 'file', path, mode: entry.mode, size: entry.size, content: entry.read },
    );
  }
  const keyed = [...members.values()].map((member) => ({ key: Buffer.from(member.path), member }));
  return keyed.sort((a, b) => Buffer.compare(a.key, b.key)).map(({ member }) => member);
}

/**
 * The archive, in pieces to be written one after the other.
 * @param epoch the date of every member, seconds
 * Throws CANCELLED, and a plain Error for a file whose content does not have the size it was announced with.
 */
export async function* tarChunks(
  members: Iterable<TarMember>,
  epoch: number,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  let unyielded = 0;
  for (const member of members) {
    // Trees in memory resolve without ever reaching the event loop's timers, where Ctrl-C arrives.
    if (++unyielded % 64 === 0) await pause();
    if (signal) throwIfCancelled(signal);
    yield header(member, epoch);
    if (member.kind !== 'file') continue;
    let written = 0;
    const content = await member.content();
    for await (const chunk of content instanceof Uint8Array ? [content] : content) {
      written += chunk.byteLength;
      yield chunk;
    }
    if (written !== member.size)
      throw new Error(`${member.path} has ${written} bytes, not ${member.size}: it changed while it was packed.`);
    yield Buffer.alloc((block - (written % block)) % block);
  }
  yield Buffer.alloc(2 * block);
}

function header(member: TarMember, epoch: number): Buffer {
  const path = member.kind === 'folder' ? `${member.path}/` : member.path;
  const target = member.kind === 'link' ? member.target : '';
  const split = splitPath(path);
  const records = [
    ...(split === undefined ? [paxRecord('path', path)] : []),
    ...(fits(target, 100) ? [] : [paxRecord('linkpath', target)]),
    ...(member.kind === 'file' && member.size > 0o77777777777 ? [paxRecord('size', String(member.size))] : []),
  ];
  const own = ustar({
    ...(split ?? { prefix: '', name: cropped(path) }),
    mode: member.kind === 'file' ? member.mode : member.kind === 'link' ? 0o777 : 0o755,
    size: member.kind === 'file' ? member.size : 0,
    type: typeOf[member.kind],
    target: cropped(target),
    epoch,
  });
  if (records.length === 0) return own;
  const data = Buffer.concat(records);
  const pax = ustar({ prefix: '', name: 'pax', mode: 0o644, size: data.byteLength, type: 'x', target: '', epoch });
  return Buffer.concat([pax, data, Buffer.alloc((block - (data.byteLength % block)) % block), own]);
}

interface Fields {
  readonly prefix: string;
  readonly name: string;
  readonly mode: number;
  readonly size: number;
  readonly type: string;
  readonly target: string;
  readonly epoch: number;
}

function ustar({ prefix, name, mode, size, type, target, epoch }: Fields): Buffer {
  const bytes = Buffer.alloc(block);
  bytes.write(name, 0);
  octal(bytes, mode, 100, 8);
  octal(bytes, 0, 108, 8);
  octal(bytes, 0, 116, 8);
  // A size that does not fit is in a pax record, and any number here (POSIX: readers take the record).
  octal(bytes, Math.min(size, 0o77777777777), 124, 12);
  octal(bytes, epoch, 136, 12);
  bytes.write('        ', 148); // The checksum counts as eight spaces while it is summed up.
  bytes.write(type, 156);
  bytes.write(target, 157);
  bytes.write('ustar\x0000', 257, 'latin1');
  bytes.write(prefix, 345);
  const sum = bytes.reduce((total, byte) => total + byte, 0);
  bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return bytes;
}

function octal(bytes: Buffer, value: number, at: number, width: number): void {
  bytes.write(`${value.toString(8).padStart(width - 1, '0')}\0`, at, 'latin1');
}

/** As prefix and name, which readers join with a slash; undefined when no slash is at a place that lets both fit. */
function splitPath(path: string): { prefix: string; name: string } | undefined {
  if (fits(path, 100)) return { prefix: '', name: path };
  if (!isAscii(path)) return undefined;
  for (let slash = path.indexOf('/'); slash !== -1; slash = path.indexOf('/', slash + 1)) {
    const [prefix, name] = [path.slice(0, slash), path.slice(slash + 1)];
    if (prefix.length > 155) return undefined;
    if (name.length <= 100 && name !== '') return { prefix, name };
  }
  return undefined;
}

/** Header fields have no encoding of their own: what is not ASCII goes into a pax record, which is UTF-8. */
function fits(text: string, width: number): boolean {
  return text.length <= width && isAscii(text);
}

function isAscii(text: string): boolean {
  return Buffer.byteLength(text) === text.length;
}

/** Only for readers that do not know pax: the record has the whole. */
function cropped(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '_').slice(0, 100);
}

/** "<length> <key>=<value>\n", the length counting itself. */
function paxRecord(key: string, value: string): Buffer {
  const rest = Buffer.byteLength(` ${key}=${value}\n`);
  let length = rest + String(rest).length;
  if (String(length).length > String(rest).length) length = rest + String(length).length;
  return Buffer.from(`${length} ${key}=${value}\n`);
}
