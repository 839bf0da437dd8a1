// Every command in the documentation says how it is tested, and names only subcommands and options that exist.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { describe, expect, test } from 'vitest';
import { blocksIn, commandBlocks, ownCall, pages, root } from './commands.ts';

const blocks = pages().flatMap(commandBlocks);

test.each(pages())('%s: each command has a marker that says how it is tested', (page) => {
  const unmarked = blocks.filter((block) => block.page === page && block.marker === undefined);
  expect(
    unmarked.map(({ line, commands }) => `${page}:${line}: ${commands[0]}`),
    'put <!-- run -->, <!-- run by test/...test.ts --> or <!-- not run: why --> above it (test/docs/commands.ts)',
  ).toEqual([]);
});

test('a test that is named exists, and speaks of the same subcommands', () => {
  const wrong = blocks.flatMap(({ page, line, marker, commands }) => {
    if (marker?.kind !== 'run by') return [];
    const path = join(root, marker.test);
    if (!existsSync(path)) return [`${page}:${line}: there is no ${marker.test}`];
    const text = readFileSync(path, 'utf8');
    const called = commands.flatMap((command) => ownCall(command)?.[0] ?? []);
    return called
      .filter((name) => !text.includes(name))
      .map((name) => `${page}:${line}: ${name} is not in ${marker.test}`);
  });
  expect(wrong).toEqual([]);
});

test('subcommands and options exist', async () => {
  const help = new Map<string, string>();
  const helpOf = async (name: string): Promise<string> => {
    const known = help.get(name);
    if (known !== undefined) return known;
    const { stdout, exitCode } = await execa(process.execPath, [join(root, 'dist/cli.js'), name, '--help'], {
      reject: false,
    });
    help.set(name, exitCode === 0 && stdout.includes(`make-runtime ${name}`) ? stdout : '');
    return help.get(name) as string;
  };
  const wrong: string[] = [];
  for (const { page, line, commands } of blocks) {
    for (const command of commands) {
      const [name, ...words] = ownCall(command) ?? [];
      if (name === undefined || name.startsWith('-') || name === 'complete') continue;
      const text = await helpOf(name);
      if (text === '') wrong.push(`${page}:${line}: there is no make-runtime ${name}`);
      for (const [option] of words.join(' ').matchAll(/(?<=^|\s)--?[a-z][\w-]*/g))
        if (!new RegExp(`(^|[\\s,])${option}\\b`, 'm').test(text))
          wrong.push(`${page}:${line}: ${name} has no ${option}`);
    }
  }
  expect(wrong).toEqual([]);
});

test('every page is in the index', () => {
  const index = readFileSync(join(root, 'docs/README.md'), 'utf8');
  const missing = pages().filter((page) => /^docs\/(?!README)/.test(page) && !index.includes(`(${page.slice(5)})`));
  expect(missing).toEqual([]);
});

test('links between pages lead somewhere', () => {
  const broken = pages().flatMap((page) => {
    const text = readFileSync(join(root, page), 'utf8').replaceAll(/```[\s\S]*?```/g, '');
    return [...text.matchAll(/\]\(([^)#\s:]+)(?:#[^)]*)?\)/g)].flatMap(([, target = '']) =>
      existsSync(join(root, page, '..', target)) ? [] : [`${page}: ${target}`],
    );
  });
  expect(broken).toEqual([]);
});

describe('the reader of pages', () => {
  const text = [
    'Text.',
    '',
    '<!-- run -->',
    '```sh',
    'make-runtime build 3.13t \\',
    '  --arch x86_64   # a comment',
    '```',
    '',
    '    aws lambda list-functions',
    '',
    '<!-- not run: needs a registry -->',
    '',
    '    $ docker load -i image.tar',
    '    Loaded image',
    '',
    '    handler = 1',
    '',
    '```console',
    '$ npx make-runtime list',
    'output',
    '```',
  ].join('\n');

  test('finds blocks, markers and commands', () => {
    expect(blocksIn('x.md', text).map(({ line, marker, commands }) => [line, marker?.kind, commands])).toEqual([
      [4, 'run', ['make-runtime build 3.13t --arch x86_64']],
      [9, undefined, ['aws lambda list-functions']],
      [13, 'not run', ['docker load -i image.tar', 'Loaded image', 'handler = 1']],
      [18, undefined, ['npx make-runtime list']],
    ]);
  });

  test('knows our own calls', () => {
    expect(ownCall('layer=$(npx make-runtime build 3.13t --output build)')).toEqual([
      'build',
      '3.13t',
      '--output',
      'build',
    ]);
    expect(ownCall('npm run bench -- layer.zip --only jit')).toEqual(['bench', 'layer.zip', '--only', 'jit']);
    expect(ownCall('docker load -i image.tar')).toBeUndefined();
  });
});
