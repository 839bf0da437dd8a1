// The table of docs/parallel.md: what works without /dev/shm, on a free-threaded layer and on one with the GIL.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type JudgedLayer, judgedLayers, root } from './judges/layer.ts';
import { invoke } from './judges/packages.ts';

let dir: string;
let layers: JudgedLayer[];
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'make-runtime-parallel-'));
  layers = await judgedLayers(dir);
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const fails = [
  ...['Pool', 'ProcessPoolExecutor', 'ThreadPool', 'Queue', 'Lock', 'Semaphore', 'Event', 'Value', 'Array'],
  'shared_memory',
];
const works = {
  ThreadPoolExecutor: [1, 4, 9],
  fork: 49,
  spawn: 49,
  forkserver: 49,
  Manager: [1, 2],
  'os.fork': 7,
  subprocess: '7',
};

test('without /dev/shm, threads and pipes work, and what needs a semaphore does not', async () => {
  for (const layer of layers) {
    const [result] = await invoke(layer, join(import.meta.dirname, 'judges', 'parallel'), 'app.handler', [{}]);
    const failed = Object.fromEntries(fails.map((name) => [name, 'FileNotFoundError']));
    expect(result?.payload, layer.version).toEqual({ ...works, ...failed, shm: false, gil: !layer.freeThreaded });
  }
});

test('the page names all of them', async () => {
  const page = await readFile(join(root, 'docs', 'parallel.md'), 'utf8');
  for (const name of [...fails, ...Object.keys(works)]) expect(page, name).toContain(name);
});
