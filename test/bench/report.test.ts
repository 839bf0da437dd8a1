// What a result looks like: tables, the page with charts, and blocks in documents.
import { expect, test } from 'vitest';
import { digestOf, readBlocks, rewriteBlocks } from '../../build/bench/blocks.ts';
import { html } from '../../build/bench/html.ts';
import { markdown } from '../../build/bench/markdown.ts';
import type { Measured } from '../../build/bench/result.ts';
import { result, sample } from './support/result.ts';

const trip: Measured = {
  ...sample('round-trip', 'response', 'µs', {
    'make-runtime': [18, 18.2, 18.1, 18.4, 18.3, 18.2],
    'a <b> & "c"': [110, 111, 112, 110, 113, 111],
  }),
  goals: [
    {
      what: 'response / other',
      of: { subject: 'make-runtime', figure: 'response' },
      to: { subject: 'a <b> & "c"', figure: 'response' },
      lessFloor: undefined,
      measured: 0.164,
      interval: { low: 0.16, high: 0.17 },
      target: { bound: 'at most', value: 0.125 },
      verdict: 'missed',
    },
  ],
};
const init = sample('init', 'wall', 'ms', { 'make-runtime': [9, 10, 11] });

test('Markdown says where its figures come from, and judges them', () => {
  const text = markdown(result([trip]));
  expect(text.split('\n')[0]).toBe(
    '`make-runtime bench --runs 20` of python3.13t-x86_64-fast, plan 0123 (CPython 3.13.15t) on A processor, 2 cores, Debian, Linux 6.1, 2026-11-21, load average 0.5 before and 1.0 after, make-runtime 0.1.0.',
  );
  expect(text).toMatch(
    /\| round-trip \| response \/ other \| 0\.164 +\| 0\.160 to 0\.170 \| at most 0\.125 \| missed \|/,
  );
  expect(text).toMatch(/\| trivial +\| response \| 18\.2 µs \(18 to 18\.4\)/);
});

test('a cold start that was not quite cold says so', () => {
  const [subject] = init.subjects;
  const cold: Measured = {
    ...init,
    conditions: { cold: true, memory: 128 },
    subjects: [{ ...(subject as Measured['subjects'][number]), evicted: { size: 30, left: 1.5 } }],
  };
  const text = markdown(result([cold]));
  expect(text).toContain('#### The init (128 MB, cold)');
  expect(text).toContain('make-runtime 30 MB, of which 1.50 stayed in memory');
});

test('the page stands alone: no script, nothing from elsewhere, every text escaped', () => {
  const page = html(result([trip, init]));
  expect(page).not.toMatch(/<script|<link|<img|<iframe|@import|url\(|https?:/i);
  expect(page).toContain("default-src 'none'");
  expect(page).not.toContain('a <b> & "c"');
  expect(page).toContain('a &#60;b&#62; &#38; &#34;c&#34;');
  expect(page).toContain('<code>one</code>');
  // A dot for each sample, and the median of each row.
  expect(page.match(/<circle [^>]*><title>/g)).toHaveLength(6 + 6 + 3);
  expect(page.match(/class="median"/g)).toHaveLength(3);
  const ids = [...page.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id);
  for (const [, to] of page.matchAll(/href="#([^"]+)"/g)) expect(ids).toContain(to);
});

test('where the smallest would vanish the axis is logarithmic, and says so', () => {
  const wide = html(result([sample('x', 'wall', 'ms', { 'make-runtime': [1, 2], other: [100, 200] })]));
  expect(wide).toContain('wall, ms (logarithmic)');
  expect(html(result([init]))).not.toContain('(logarithmic)');
});

const document = `# Figures

<!-- bench python3.13t-x86_64-fast: in full init -->
<!-- /bench -->

<!-- bench python3.13-x86_64-fast: in full init -->
old
<!-- /bench 00 -->

<!-- bench python3.13t-x86_64-fast: in full init, in full round-trip -->
older
<!-- /bench 00 -->
`;

test('blocks are rewritten when all that they show was measured, and their digest tells a changed figure', () => {
  const once = rewriteBlocks(document, result([init]));
  expect([once.written, once.incomplete]).toEqual([1, ['in full init, in full round-trip']]);
  expect(once.text).toContain('<!-- bench python3.13-x86_64-fast: in full init -->\nold\n');
  expect(once.text).toContain('\nolder\n');
  const both = rewriteBlocks(once.text, result([init, trip]));
  expect(both.written).toBe(2);
  expect(rewriteBlocks(both.text, result([init, trip])).text).toBe(both.text);
  const sound = (text: string) =>
    readBlocks(text)
      .filter(({ subject }) => subject.includes('3.13t'))
      .map(({ subject, views, content, digest }) => digestOf(subject, views, content) === digest);
  expect(sound(both.text)).toEqual([true, true]);
  expect(sound(both.text.replaceAll('10 ms', '9 ms'))).toEqual([false, false]);
});
