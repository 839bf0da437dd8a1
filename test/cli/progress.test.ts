import { Writable } from 'node:stream';
import pc from 'picocolors';
import { expect, test } from 'vitest';
import { liveProgress, plainProgress } from '../../build/cli/progress.ts';

const colors = pc.createColors(false);

function terminal(columns: number) {
  let text = '';
  const stream = new Writable({
    write(chunk, _encoding, done) {
      text += chunk;
      done();
    },
  });
  return { stream: Object.assign(stream, { columns }), text: () => text };
}

const esc = String.fromCharCode(27);

/** What a terminal shows after these bytes: lines, with the cursor's movements applied. */
function screen(text: string): string[] {
  const lines = [''];
  let row = 0;
  let column = 0;
  for (const [token] of text.matchAll(new RegExp(`${esc}\\[\\d*[A-Z]|[\\s\\S]`, 'g'))) {
    const move = token.startsWith(esc) ? /(\d*)([A-Z])$/.exec(token) : null;
    if (move?.[2] === 'A') row -= Number(move[1] || 1);
    else if (move?.[2] === 'J') {
      lines[row] = (lines[row] ?? '').slice(0, column);
      lines.length = row + 1;
    } else if (token === '\r') column = 0;
    else if (token === '\n') {
      row += 1;
      column = 0;
      lines[row] ??= '';
    } else if (!move) {
      const line = lines[row] ?? '';
      lines[row] = `${line.slice(0, column)}${token}${line.slice(column + 1)}`;
      column += 1;
    }
  }
  return lines.map((line) => line.trimEnd());
}

test('builds side by side have a row each, and what has ended stays above them', () => {
  const { stream, text } = terminal(60);
  const { report, stop } = liveProgress(stream, colors);
  report({ type: 'stage-start', stage: 'compile', title: 'compile', build: 'a' });
  report({ type: 'stage-start', stage: 'sources', title: 'sources', build: 'b' });
  report({ type: 'progress', stage: 'sources', text: 'x'.repeat(200), build: 'b' });
  report({ type: 'stage-end', stage: 'compile', title: 'compile', milliseconds: 1234, cached: false, build: 'a' });
  report({ type: 'stage-start', stage: 'link', title: 'link', build: 'a' });
  report({ type: 'warn', message: 'careful' });
  const shown = screen(text());
  expect(shown[0]).toBe('✓ a: compile 1.2 s');
  expect(shown[1]).toBe('! careful');
  expect(shown[2]).toMatch(/^\S b: sources x+… 0\.0 s$/);
  expect(shown[3]).toMatch(/^\S a: link +0\.0 s$/);
  expect(shown.every((line) => line.length < 60)).toBe(true);
  stop();
  expect(screen(text()).filter((line) => line !== '')).toEqual(['✓ a: compile 1.2 s', '! careful']);
});

test('mixed plain lines say whose they are', () => {
  const { stream, text } = terminal(80);
  const { report } = plainProgress(stream, colors);
  report({ type: 'stage-start', stage: 'compile', title: 'compile', build: 'a' });
  for (const build of ['a', 'b', 'a'])
    report({ type: 'progress', stage: 'compile', text: 'compiling: 3 files', build });
  report({ type: 'stage-end', stage: 'compile', title: 'compile', milliseconds: 1, cached: true, build: 'a' });
  expect(text().split('\n')).toEqual([
    '[a] > compile',
    '[a]     compiling',
    '[b]     compiling',
    '[a] ✓ compile cached',
    '',
  ]);
});
