// A million invocations on one process, and some 100,000 of each other kind: resident memory stays where it was after the
// warm-up. It found setenv, which keeps every value it was ever given: 144 bytes for each invocation with a trace id.
import { readFile } from 'node:fs/promises';
import { afterAll, describe, expect, test } from 'vitest';
import { drive } from './reliability/drive.ts';
import { subjects } from './reliability/subjects.ts';

const { all, discard } = await subjects();
afterAll(discard);

/** Allocators settle, in KiB (at most 16 was seen). The smallest block is 16 bytes: 560 of them after the warm-up of 50,000. */
const SETTLING = 256;

interface Kind {
  readonly code: string;
  readonly invocations: number;
  /** How they are counted by the server. */
  readonly as?: 'errors' | 'streams' | 'late';
  readonly env?: Record<string, string>;
}

const kinds: Record<string, Kind> = {
  'plain echo': { code: 'def handler(event, context):\n    return event\n', invocations: 1_000_000 },
  'an error': {
    code: 'def handler(event, context):\n    raise ValueError(event)\n',
    invocations: 50_000,
    as: 'errors',
  },
  'async def': {
    code: 'import asyncio\nasync def handler(event, context):\n    await asyncio.sleep(0)\n    return event\n',
    invocations: 100_000,
  },
  'a generator': {
    code: 'def handler(event, context):\n    for i in range(5):\n        yield "piece %d" % i\n',
    invocations: 100_000,
    as: 'streams',
  },
  'a generator that fails at last': {
    code: 'def handler(event, context):\n    yield "first"\n    raise ValueError(event)\n',
    invocations: 50_000,
    as: 'late',
  },
  'several at once': {
    code: 'def handler(event, context):\n    return [event, context.aws_request_id]\n',
    invocations: 100_000,
    env: { AWS_LAMBDA_MAX_CONCURRENCY: '8', AWS_LAMBDA_CONCURRENCY_MODE: 'thread' },
  },
};

/** Kibibytes of a process's memory that are in RAM. */
async function resident(pid: number): Promise<number> {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))![1]);
}

describe.each([...all])('on CPython $version', ({ bootstrap }) => {
  test.each(Object.entries(kinds))('%s', async (_, { code, invocations, as, env = {} }) => {
    const samples: number[] = [];
    const outcome = await drive({
      bootstrap,
      code,
      invocations,
      env,
      step: invocations / 10,
      events: ['{"name":"x","values":[1,2.5,null,"é"]}', '[]', '"text"'],
      onStep: async (pid) => void samples.push(await resident(pid)),
    });
    expect(outcome[as ?? 'responses']).toBe(invocations);
    expect(samples).toHaveLength(10);
    const [, , warm, ...later] = samples as [number, number, number, ...number[]];
    const highest = Math.max(...later);
    expect(highest - warm, `KiB after each tenth: ${samples.join(' ')}`).toBeLessThan(SETTLING);
  });
});
