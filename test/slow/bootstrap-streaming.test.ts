// 200 MB streamed in 64 KB pieces: memory stays what it was; the rate against a C program's is printed, not judged,
// because it is the machine's as much as ours. Runs alternate, so that a machine whose speed drifts slows both.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { execa } from 'execa';
import { expect, it } from 'vitest';
import { builtRuntimes, sources } from '../bootstrap/support/built.ts';

const handlers = {
  'a generator': 'def handler(e, c):\n    for _ in range(N): yield piece\n',
  'an async generator': 'async def handler(e, c):\n    for _ in range(N): yield piece\n',
  'a pushing handler':
    'from make_runtime import streaming\ndef handler(e, c):\n    with streaming.open() as out:\n        for _ in range(N): out.write(piece)\n',
};

it.each(await builtRuntimes())('on CPython $version memory is flat', async ({ bootstrap, version }) => {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'stream-rate-'));
  try {
    const program = path.join(folder, 'stream_rate');
    await execa('cc', ['-O2', '-std=c11', '-D_GNU_SOURCE', '-o', program, `${sources}/test/stream_rate.c`]);
    const measure = async (what: string) => {
      const { stdout } = await execa(program, [what], {
        cwd: folder,
        env: { _HANDLER: 'app.handler', LAMBDA_TASK_ROOT: folder, MAKE_RUNTIME_LAYER_ROOT: folder },
      });
      const [megabytes = 0, seconds = 1, kilobytes = 0] = stdout.split(' ').map(Number);
      return { megabytes, rate: megabytes / seconds, kilobytes };
    };
    for (const [name, code] of Object.entries(handlers)) {
      const rates: number[] = [];
      const peaks = [];
      for (let run = 0; run < 5; run++) {
        const plain = await measure('plain');
        await writeFile(path.join(folder, 'app.py'), `piece = b'x' * 65536\nN = 3200\n${code}`);
        const ours = await measure(bootstrap);
        expect(ours.megabytes).toBeGreaterThan(209);
        rates.push(ours.rate / plain.rate);
        await writeFile(path.join(folder, 'app.py'), `piece = b'x' * 65536\nN = 2\n${code}`);
        peaks.push(ours.kilobytes - (await measure(bootstrap)).kilobytes);
      }
      const middle = rates.sort((a, b) => a - b)[2] ?? 0;
      console.log(`${version}, ${name}: ${middle.toFixed(2)} of a C program's rate, peak +${Math.min(...peaks)} kB`);
      expect(Math.min(...peaks)).toBeLessThan(2048);
    }
  } finally {
    await rm(folder, { recursive: true });
  }
});
