// What the function's own .pyc files are worth: the same packages with bytecode that is used, with bytecode whose dates
// no longer fit (as after unzipping), and without any. Nothing is written while it runs, as on Lambda's read-only disk.
import { cp, readdir, utimes } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { execa } from 'execa';
import { folderOnce } from '../../lib/folder.ts';
import { type Goal, type Scenario, type Subject, stepOf } from '../scenario.ts';
import type { FunctionFolder, Workbench } from '../workbench.ts';
import { smallEvent, twoClients } from './samples.ts';

const used = 'unchecked-hash .pyc';
const stale = '.pyc with stale dates';
const none = 'no .pyc';

export const bytecode: Scenario = {
  name: 'bytecode',
  title: 'Init, by the bytecode of the function',
  how: 'From before the fork to the first `next`, of a handler with two boto3 clients. `make-runtime deps` makes the first kind; the second is what zipping and unzipping leaves of what `pip install` compiled.',
  share: 3,
  prepare: async (bench) => {
    const code = await twoClients(bench);
    const subjects: [string, FunctionFolder][] = [
      [used, code],
      [stale, await variant(code, 'stale', bench)],
      [none, await variant(code, 'bare', bench)],
    ];
    const goal = (of: string, figure: string): Goal => ({
      what: `${figure === 'wall' ? 'time' : 'processor'}, ${of} / ${used}`,
      of: { subject: of, figure },
      to: { subject: used, figure },
    });
    return {
      event: await bench.event('small', smallEvent),
      subjects: subjects.map(
        ([name, folder]): Subject => ({
          name,
          command: bench.layer(folder),
          steps: ['ready', 1],
          read: (results) => ({ wall: stepOf(results, 'ready').ns, cpu: stepOf(results, 'ready').cpu }),
        }),
      ),
      figures: [
        { key: 'wall', title: 'time', unit: 'ms' },
        { key: 'cpu', title: 'processor', unit: 'ms' },
      ],
      goals: [stale, none].flatMap((name) => [goal(name, 'wall'), goal(name, 'cpu')]),
    };
  },
};

/** The same files with other bytecode; kept beside the original, whose name says what is in it. */
async function variant({ folder }: FunctionFolder, kind: 'stale' | 'bare', bench: Workbench): Promise<FunctionFolder> {
  const copy = join(dirname(folder), `${basename(folder)}-${kind}`);
  await folderOnce(copy, async (scratch) => {
    await cp(folder, scratch, { recursive: true, filter: (path) => basename(path) !== '__pycache__' });
    if (kind === 'bare') return;
    const { argv, env } = bench.python('-m', 'compileall', '-q', '--invalidation-mode', 'timestamp', scratch);
    await execa(argv[0] as string, argv.slice(1), { env, extendEnv: false, stdin: 'ignore' });
    // The first moment that a zip can name: what every file of a deterministic one is dated.
    const date = new Date('1980-01-01T00:00:00Z');
    for (const path of await readdir(scratch, { recursive: true }))
      if (path.endsWith('.py')) await utimes(join(scratch, path), date, date);
  });
  return { folder: copy };
}
