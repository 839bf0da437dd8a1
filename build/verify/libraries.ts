// Which shared libraries a deployable file may need, each with its reason, and which others the system has.
// A layer runs in a sandbox that is a subset of provided:al2023 (see recipes/al2023/), where /lib64 comes before
// /opt/lib: what is not glibc is either linked in or a risk.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Arch } from '../recipe/model.ts';

/** glibc of AL2023, for its whole life (amazonlinux/amazon-linux-2023 #958). */
export const lambdaGlibc = [2, 34] as const;

export interface AllowedLibrary {
  readonly name: string;
  readonly reason: string;
  /** Allowed, but worth a note in the verdict. */
  readonly noteworthy: boolean;
}

const glibc = (name: string, reason: string): AllowedLibrary => ({ name, reason, noteworthy: false });
const compiler = (name: string, reason: string): AllowedLibrary => ({ name, reason, noteworthy: true });

export const allowedLibraries: readonly AllowedLibrary[] = [
  glibc('libc.so.6', 'glibc itself'),
  glibc('libm.so.6', 'part of glibc'),
  glibc('libpthread.so.0', 'part of glibc; empty since 2.34'),
  glibc('libdl.so.2', 'part of glibc; empty since 2.34'),
  glibc('librt.so.1', 'part of glibc; empty since 2.34'),
  glibc('libutil.so.1', 'part of glibc; empty since 2.34'),
  glibc('libresolv.so.2', 'part of glibc'),
  glibc('ld-linux-x86-64.so.2', 'the loader of glibc'),
  glibc('ld-linux-aarch64.so.1', 'the loader of glibc'),
  compiler('libgcc_s.so.1', 'part of the base system on Lambda, but not of glibc: static linking avoids it'),
  compiler('libstdc++.so.6', 'part of the base system on Lambda, but not of glibc: static linking avoids it'),
];

/** The loader a program must name as its interpreter. */
export const loaders: Readonly<Record<Arch, string>> = {
  x86_64: '/lib64/ld-linux-x86-64.so.2',
  arm64: '/lib/ld-linux-aarch64.so.1',
};

/** What the image has: library name -> whether it is on Lambda too, as far as known. */
export type Inventory = ReadonlyMap<string, { readonly onLambda: boolean }>;

/** Reads recipes/al2023/<arch>.txt of the package. */
export async function readInventory(packageDir: string, arch: Arch): Promise<Inventory> {
  const text = await readFile(join(packageDir, 'recipes', 'al2023', `${arch}.txt`), 'utf8');
  const inventory = new Map<string, { onLambda: boolean }>();
  for (const line of text.split('\n')) {
    const [name = '', mark = ''] = line.split('#').map((part) => part.trim());
    if (name !== '') inventory.set(name, { onLambda: mark !== 'not on Lambda' });
  }
  return inventory;
}

/** Where a needed library would come from on Lambda, as the end of a sentence. */
export function whereabouts(library: string, inventory: Inventory): string {
  const listed = inventory.get(library);
  if (listed === undefined) return 'which Lambda does not have';
  if (!listed.onLambda) return 'which is in the image provided:al2023 but not on Lambda itself';
  return 'which is in the image provided:al2023 but is not promised on Lambda';
}
