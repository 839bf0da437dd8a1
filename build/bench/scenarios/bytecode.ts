// What .pyc files are worth to a function that imports much: checked by hash or not looked at again, stale as on Lambda's
// disk when a zip or a layer has changed the times of sources, and none at all.
import { cp, readdir, utimes } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { execa } from 'execa';
import { folderOnce } from '../../lib/folder.ts';
import type { FunctionFolder } from '../runtimes/runtime.ts';
import { type Scenario, type Subject, stepOf } from '../scenario.ts';
import type { Workbench } from '../workbench.ts';
import { boto3, functionOf, smallEvent } from './handlers.ts';

const good = 'as the benchmark makes them';
const stale = 'stale';
const none = 'none';

export const bytecode: Scenario = {
  name: 'bytecode',
  group: 'special',
  title: 'Cold start with two boto3 clients, by .pyc files',
  how: `To the first \`next\`. ${good[0]?.toUpperCase()}${good.slice(1)}: by hash, never looked at again (PEP 552, \`unchecked-hash\`). Stale: with the time of a source that has another now, as in a zip whose files lost their times; they are read, refused, and cannot be replaced where the disk is read-only.`,
  share: 6,
  prepare: async (bench) => {
    const { first } = bench;
    const code = await functionOf(first, boto3);
    const subject = (name: string, { folder }: FunctionFolder): Subject => ({
      name,
      command: first.start({ folder }),
      steps: ['ready', 1],
      read: (results) => ({ wall: stepOf(results, 'ready').ns, cpu: stepOf(results, 'ready').cpu }),
    });
    const ratio = (figure: string, word: string, of: string) => ({
      what: `${word}, ${of} / ${good}`,
      of: { subject: of, figure },
      to: { subject: good, figure },
    });
    return {
      event: await bench.event('small', smallEvent),
      subjects: [subject(good, code), subject(stale, await withStale(code, bench)), subject(none, await without(code))],
      figures: [
        { key: 'wall', title: 'time', unit: 'ms' },
        { key: 'cpu', title: 'processor', unit: 'ms' },
      ],
      goals: [
        ratio('wall', 'time', stale),
        ratio('wall', 'time', none),
        ratio('cpu', 'processor', stale),
        ratio('cpu', 'processor', none),
      ],
    };
  },
};

async function without({ folder }: FunctionFolder): Promise<FunctionFolder> {
  const copy = `${folder}-without`;
  const filter = (path: string): boolean => basename(path) !== '__pycache__';
  await folderOnce(copy, (scratch) => cp(folder, scratch, { recursive: true, filter }));
  return { folder: copy };
}

async function withStale({ folder }: FunctionFolder, { first }: Workbench): Promise<FunctionFolder> {
  const copy = `${folder}-stale`;
  await folderOnce(copy, async (scratch) => {
    await cp(folder, scratch, { recursive: true });
    const words = ['-m', 'compileall', '-q', '-f', '--invalidation-mode', 'timestamp', scratch];
    const { argv, env } = first.interpreter(...words);
    await execa(argv[0], argv.slice(1), { env, extendEnv: false, stdin: 'ignore' });
    // A day later than what the .pyc files were made of.
    const later = new Date(Date.now() + 24 * 3600 * 1000);
    for (const path of await readdir(scratch, { recursive: true }))
      if (path.endsWith('.py')) await utimes(join(scratch, path), later, later);
  });
  return { folder: copy };
}
