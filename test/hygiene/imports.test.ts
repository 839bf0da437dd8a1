// The import rule: a room may import from lib/, and from rooms above it in the flow; never downward. It keeps the
// story readable in one direction and every room testable without those below it.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { expect, test } from 'vitest';

const root = join(import.meta.dirname, '..', '..', 'build');
const rooms = [
  'lib',
  'recipe',
  'source',
  'registry',
  'aws',
  'tree',
  'compile',
  'sbom',
  'package',
  'wheels',
  'image',
  'lambda',
  'serve',
  'verify',
  'push',
  'publish',
  'deps',
  'init',
  'bench',
  '(top)',
  'cli',
];

const roomOf = (file: string): string => {
  const [first = ''] = relative(root, file).split('/');
  return first.endsWith('.ts') ? '(top)' : first;
};

test('rooms import only from rooms above them', () => {
  const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.ts'));
  expect(files.length).toBeGreaterThan(20);
  const wrong: string[] = [];
  for (const path of files) {
    const file = join(root, path);
    const from = roomOf(file);
    expect(rooms, `${path} is in a room this test does not know`).toContain(from);
    if (path === 'cli.ts') continue;
    for (const [, specifier = ''] of readFileSync(file, 'utf8').matchAll(/(?:from|import\() ?'(\.[^']+)'/g)) {
      const to = roomOf(resolve(dirname(file), specifier));
      if (rooms.indexOf(to) > rooms.indexOf(from)) wrong.push(`${path} imports ${specifier}`);
    }
  }
  expect(wrong).toEqual([]);
});

test('only the edge reads the environment, prints or exits', () => {
  const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.ts'));
  const allowed = /^(cli\.ts|cli\/.*|recipe\/write-schema\.ts)$/;
  const wrong = files
    .filter((path) => !allowed.test(path))
    .filter((path) =>
      /process\.(env|exit|stdout|stderr|argv)\b|console\./.test(readFileSync(join(root, path), 'utf8')),
    );
  expect(wrong).toEqual([]);
});
