// The figures in documents are what `bench --write` has written, with the line that says where they come from.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { digestOf, readBlocks } from '../../build/bench/blocks.ts';

const root = join(import.meta.dirname, '../..');
const documents = ['README.md', ...readdirSync(join(root, 'docs')).map((name) => `docs/${name}`)].filter((path) =>
  path.endsWith('.md'),
);
const blocks = documents.flatMap((path) =>
  readBlocks(readFileSync(join(root, path), 'utf8')).map((block) => ({ path, ...block })),
);

test('README and docs/benchmark.md have figures', () => {
  expect(blocks.map(({ path }) => path)).toEqual(expect.arrayContaining(['README.md', 'docs/benchmark.md']));
});

test('every block is as it was generated, and says when, where and by which command', () => {
  for (const { path, subject, views, content, digest } of blocks) {
    const name = `${path}: ${subject}: ${views.join(', ')} (make-runtime bench ... --write ${path})`;
    expect(digest, name).toBe(digestOf(subject, views, content));
    expect(content.trim().split('\n')[0], name).toMatch(
      new RegExp(
        `^\`make-runtime bench .*\` of ${subject}, plan [0-9a-f]+ .* on .* cores, .*, \\d{4}-\\d\\d-\\d\\d, load`,
      ),
    );
  }
});
