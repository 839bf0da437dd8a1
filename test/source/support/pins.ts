import { createHash } from 'node:crypto';
import type { Source } from '../../../build/recipe/model.ts';

export const sha256 = (bytes: Buffer | string) => createHash('sha256').update(bytes).digest('hex');

export function pin(bytes: Buffer, mirrors: readonly string[], more: Partial<Source> = {}): Source {
  return {
    name: 'cpython',
    version: '3.13.15',
    file: 'Python-3.13.15.tar.xz',
    size: bytes.length,
    sha256: sha256(bytes),
    mirrors,
    licence: 'PSF-2.0',
    purl: 'pkg:generic/python@3.13.15',
    verifiedBy: 'this test',
    ...more,
  };
}
