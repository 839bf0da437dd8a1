// Everything a plan is made of, fixed: shipped recipes and lock, one made-up builder.
import { fileURLToPath } from 'node:url';
import { loadRecipe, type Recipe } from '../../../build/recipe/load.ts';
import type { Builder, Lock } from '../../../build/recipe/model.ts';
import { readLock } from '../../../build/source/lock.ts';

export const packageDir = fileURLToPath(new URL('../../..', import.meta.url));

export const builder: Builder = {
  engine: 'host',
  system: 'Debian GNU/Linux 12 (bookworm)',
  compiler: 'cc (Debian 12.2.0-14+deb12u1) 12.2.0',
  packages: { 'libssl-dev': '3.0.17-1~deb12u2' },
};

export const bootstrap = 'b'.repeat(64);

export async function shipped(name: string): Promise<Recipe> {
  return deepFreeze(await loadRecipe({ kind: 'shipped', name }, packageDir));
}

export async function lock(): Promise<Lock> {
  return deepFreeze(await readLock(packageDir));
}

export function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    Object.values(value).forEach(deepFreeze);
  }
  return value;
}
