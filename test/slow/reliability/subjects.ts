// The runtimes that must not grow, hang or die: finished layers, and the machine's own CPython below our bootstrap.
// Refuses to know what is done to them.
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import type { Built } from '../../bootstrap/support/built.ts';
import { judgedLayers } from '../judges/layer.ts';

export interface Subject extends Built {
  readonly freeThreaded: boolean;
}

/**
 * MAKE_RUNTIME_TEST_LAYERS or what `make-runtime build 3.13t` makes, and where none of them has a GIL the machine's newest
 * CPython. Unpacked below a folder that `discard` removes.
 */
export async function subjects(): Promise<{ all: readonly Subject[]; discard: () => Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'make-runtime-reliability-'));
  const all: Subject[] = [];
  for (const { path, version, freeThreaded } of await judgedLayers(folder)) {
    const opt = await mkdtemp(join(folder, `${version}-`));
    await execa('unzip', ['-q', path, '-d', opt]);
    const home = join(opt, 'lang');
    const name = (await readdir(join(home, 'bin'))).find((file) => file === `python${version}`)!;
    // Beside the executable, as the contract tests have it: a layer's own is a level up.
    if (!existsSync(join(home, 'bootstrap'))) await symlink(`bin/${name}`, join(home, 'bootstrap'));
    const minor = Number(/^3\.(\d+)/.exec(version)![1]);
    all.push({
      version,
      minor,
      home,
      python: join(home, 'bin', name),
      bootstrap: join(home, 'bootstrap'),
      freeThreaded,
    });
  }
  return { all, discard: () => rm(folder, { recursive: true, force: true }) };
}
