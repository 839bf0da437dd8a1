// Every project that `init` can write, as far as a parser can judge it: shell, Python, JSON, YAML by hand. The tools
// that deploy them judge in test/slow/init.test.ts.
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { initProject, projectName } from '../../build/init/init.ts';
import { type Project, packageKinds, sampleNames, samples, targets, unavailable } from '../../build/init/model.ts';
import type { Context } from '../../build/lib/context.ts';

const root = join(import.meta.dirname, '../..');
let dir: string;
const ctx = { packageDir: root, signal: new AbortController().signal } as Context;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'make-runtime-init-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const all: Project[] = targets.flatMap((target) =>
  packageKinds.flatMap((kind) =>
    sampleNames.map(
      (name): Project => ({
        name: 'sample-1',
        target,
        package: kind,
        sample: samples[name],
        arch: 'x86_64',
        recipe: '3.13t',
      }),
    ),
  ),
);

test('every combination is whole, and its files are what their names say', async () => {
  const written: string[] = [];
  for (const project of all) {
    const folder = join(dir, `${project.target}-${project.package}-${project.sample.name}`);
    if (unavailable(project) !== undefined) {
      await expect(initProject(folder, project, ctx)).rejects.toMatchObject({ code: 'TEMPLATE_UNAVAILABLE' });
      continue;
    }
    for (const path of await initProject(folder, project, ctx)) written.push(join(folder, path));
  }
  expect(written.length).toBeGreaterThan(300);
  for (const path of written) {
    const text = await readFile(path, 'utf8');
    expect(text, path).not.toMatch(/\bundefined\b|\[object|\t| $/m);
    expect(text.endsWith('\n'), path).toBe(true);
    if (path.endsWith('.json')) JSON.parse(text);
    if (path.endsWith('.sh')) expect((await stat(path)).mode & 0o111, path).not.toBe(0);
  }
  const scripts = written.filter((path) => path.endsWith('.sh'));
  await execa('sh', ['-c', 'for script; do sh -n "$script" || exit 1; done', 'sh', ...scripts]);
  const python = 'import ast, sys\nfor path in sys.stdin.read().split("\\n"): ast.parse(open(path).read(), path)';
  await execa('python3', ['-c', python], { input: written.filter((path) => path.endsWith('.py')).join('\n') });
});

test('nothing is overwritten', async () => {
  const folder = join(dir, 'taken');
  await mkdir(folder);
  await initProject(folder, all[0] as Project, ctx);
  await writeFile(join(folder, 'src', 'app.py'), 'mine');
  const before = await readdir(folder);
  await expect(initProject(folder, all[0] as Project, ctx)).rejects.toMatchObject({ code: 'USAGE' });
  expect(await readdir(folder)).toEqual(before);
  expect(await readFile(join(folder, 'src', 'app.py'), 'utf8')).toBe('mine');
  await expect(initProject(join(folder, 'README.md'), all[0] as Project, ctx)).rejects.toMatchObject({ code: 'USAGE' });
});

test.each([
  ['My Function', 'My-Function'],
  ['/a/b/42-orders_', 'orders'],
  ['...', 'function'],
])('the folder %j names the project %j', (folder, name) => {
  expect(projectName(folder)).toBe(name);
});

test('without a terminal, flags and defaults; a folder has to be named', async () => {
  const run = (...args: string[]) =>
    execa(process.execPath, [join(root, 'dist/cli.js'), 'init', ...args], { cwd: dir, reject: false, input: '' });
  const made = await run('by-flags', '--sample', 'streaming', '--for', 'terraform', '--json');
  expect(JSON.parse(made.stdout)).toMatchObject({
    dir: 'by-flags',
    name: 'by-flags',
    sample: 'streaming',
    package: 'layer',
  });
  expect(await readFile(join(dir, 'by-flags', 'main.tf'), 'utf8')).toContain('RESPONSE_STREAM');
  expect((await run()).exitCode).toBe(2);
  expect((await run('x', '--sample', 'none')).stderr).toContain('Allowed choices are plain, streaming');
});

/** Runs `init` on a pseudo-terminal and types an answer at each question; "\x03" is Ctrl-C. */
async function onATerminal(answers: readonly string[]): Promise<{ status: number; said: string }> {
  const program = `
import json, os, pty, sys
command, folder, answers = json.loads(sys.argv[1])
child, terminal = pty.fork()
if child == 0:
    os.chdir(folder)
    os.execvp(command[0], command)
said = tail = b""
while True:
    try:
        chunk = os.read(terminal, 4096)
    except OSError:
        break
    if not chunk:
        break
    said += chunk
    tail += chunk
    if answers and b"): " in tail:
        os.write(terminal, answers.pop(0).encode())
        tail = b""
print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said.decode()]))
`;
  const command = [process.execPath, join(root, 'dist/cli.js'), 'init'];
  const { stdout } = await execa('python3', ['-c', program, JSON.stringify([command, dir, answers])], {
    env: { CI: '', TERM: 'xterm' },
    timeout: 20_000,
  });
  const [status, said] = JSON.parse(stdout) as [number, string];
  return { status, said };
}

test('on a terminal it asks, takes numbers and names, and asks again', async () => {
  const { status, said } = await onATerminal(['asked\n', '9\n', '2\n', 'terraform\n', '\n']);
  expect([status, said]).toEqual([0, expect.stringContaining('streaming: a function URL')]);
  expect(await readFile(join(dir, 'asked', 'main.tf'), 'utf8')).toContain('RESPONSE_STREAM');
});

test('Ctrl-C at a question writes nothing', async () => {
  const { status, said } = await onATerminal(['stopped\n', '\x03']);
  expect([status, said]).toEqual([130, expect.stringContaining('nothing was written')]);
  expect(await readdir(dir)).not.toContain('stopped');
});
