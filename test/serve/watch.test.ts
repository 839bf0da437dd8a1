// Code that is saved while it is served: the next invocation has it, the one under way does not.
import { spawnSync } from 'node:child_process';
import { mkdirSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { CodeWatcher } from '../../build/serve/watch.ts';
import { remove, scratch, testContext } from '../lambda/support/function.ts';
import { type LocalLambda, localLambda, send } from './support/local.ts';

const folder = scratch('watch');
afterAll(() => remove(folder));

const version = (text: string): string => `def handler(event, headers):\n    return "${text}"\n`;

async function invoke({ port }: LocalLambda, payload = '{}'): Promise<string> {
  return (await send(port, 'POST', '/2015-03-31/functions/fn/invocations', { body: payload })).body;
}

test('every way to save is served by the next invocation, and mistakes are shown and cured', async () => {
  const code = join(folder, 'code');
  mkdirSync(join(code, 'inner'), { recursive: true });
  const app = join(code, 'app.py');
  writeFileSync(app, version('one'));
  const local = await localLambda(
    {},
    { functions: [{ name: 'fn', codeDir: code, handler: 'app.handler' }], watch: true },
  );
  try {
    expect(await invoke(local)).toBe('"one"');
    // In place, and in the very next moment asked for.
    writeFileSync(app, version('two'));
    expect(await invoke(local)).toBe('"two"');
    // Several at once: each in an environment of its own.
    writeFileSync(app, version('for all'));
    expect(await Promise.all([invoke(local), invoke(local), invoke(local)])).toEqual(Array(3).fill('"for all"'));
    // As editors do: a new file takes the old one's place.
    writeFileSync(`${app}.new`, version('three'));
    renameSync(`${app}.new`, app);
    expect(await invoke(local)).toBe('"three"');
    // In a folder that did not exist when watching began.
    mkdirSync(join(code, 'inner', 'deep'));
    writeFileSync(join(code, 'inner', 'deep', 'part.py'), 'name = "four"\n');
    writeFileSync(app, 'from inner.deep.part import name\ndef handler(event, headers):\n    return name\n');
    expect(await invoke(local)).toBe('"four"');
    writeFileSync(join(code, 'inner', 'deep', 'part.py'), 'name = "five"\n');
    expect(await invoke(local)).toBe('"five"');
    // As build tools do: the whole folder, or one in it, is another one now.
    renameSync(join(code, 'inner'), join(folder, 'old-inner'));
    mkdirSync(join(code, 'inner', 'deep'), { recursive: true });
    writeFileSync(join(code, 'inner', 'deep', 'part.py'), 'name = "replaced"\n');
    expect(await invoke(local)).toBe('"replaced"');
    writeFileSync(join(code, 'inner', 'deep', 'part.py'), 'name = "replaced again"\n');
    expect(await invoke(local)).toBe('"replaced again"');
    rmSync(code, { recursive: true });
    mkdirSync(code);
    writeFileSync(app, version('anew'));
    expect(await invoke(local)).toBe('"anew"');
    writeFileSync(app, version('anew again'));
    expect(await invoke(local)).toBe('"anew again"');
    // A mistake: said when it is saved, with its place, before anybody asks.
    const failed = new Promise<string>((resolve) => {
      local.journal.read((entry) => entry.type === 'environment-failed' && resolve(entry.message));
    });
    writeFileSync(app, 'def handler(event, headers):\n    return (\n');
    expect(await failed).toMatch(/^Runtime.UserCodeSyntaxError: Syntax error in module 'app': .*\(app.py, line 2\)/);
    expect(JSON.parse(await invoke(local)).errorType).toBe('Runtime.UserCodeSyntaxError');
    writeFileSync(app, version('six'));
    expect(await invoke(local)).toBe('"six"');
    // What no function is made of changes nothing.
    const deployments = () => local.journal.since(0).filter(({ type }) => type === 'deployed').length;
    const before = deployments();
    writeFileSync(`${app}.swp`, 'x');
    mkdirSync(join(code, '__pycache__'));
    writeFileSync(join(code, '__pycache__', 'app.pyc'), 'x');
    expect(await invoke(local)).toBe('"six"');
    expect(deployments()).toBe(before);
  } finally {
    await local.close();
  }
  expect(await readdir(join(local.context.cacheDir, 'lambda'))).toEqual([]);
});

test('an invocation under way finishes on the code it began with', async () => {
  const code = join(folder, 'under-way');
  mkdirSync(code);
  const late = (text: string): string =>
    `import time\ndef handler(event, headers):\n    time.sleep(event.get("wait", 0))\n    import late\n    return late.name + "${text}"\n`;
  writeFileSync(join(code, 'app.py'), late('1'));
  writeFileSync(join(code, 'late.py'), 'name = "old"\n');
  const local = await localLambda(
    {},
    { functions: [{ name: 'fn', codeDir: code, handler: 'app.handler' }], watch: true },
  );
  try {
    const first = invoke(local, '{"wait":0.5}');
    await new Promise<void>((resolve) => {
      local.journal.read((entry) => entry.type === 'invocation-started' && resolve());
    });
    writeFileSync(join(code, 'late.py'), 'name = "new"\n');
    writeFileSync(join(code, 'app.py'), late('2'));
    expect(await invoke(local)).toBe('"new2"');
    expect(await first).toBe('"old1"');
  } finally {
    await local.close();
  }
});

test('without notices of the system the folder itself is looked at', async () => {
  const code = join(folder, 'looked-at');
  mkdirSync(code);
  writeFileSync(join(code, 'a'), '1');
  writeFileSync(join(code, 'gone'), '');
  const context = testContext(folder);
  const deployed: (readonly string[])[] = [];
  const watcher = await CodeWatcher.start(
    { folder: code, notices: false, deploy: (_, changed) => deployed.push(changed) },
    context,
  );
  try {
    writeFileSync(join(code, 'a'), '22');
    rmSync(join(code, 'gone'));
    await watcher.fresh();
    expect(deployed).toEqual([['a', 'gone']]);
  } finally {
    await watcher.close();
  }
});

test('a log that is redirected into the folder is no change of the code', () => {
  const code = join(folder, 'logged');
  mkdirSync(code);
  writeFileSync(join(code, 'app.py'), version('one'));
  const script = `import { listFolder } from ${JSON.stringify(join(import.meta.dirname, '../../build/serve/snapshot.ts'))};
    console.error(JSON.stringify([...(await listFolder(${JSON.stringify(code)})).keys()]));`;
  const { stderr } = spawnSync(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', script], {
    stdio: ['ignore', openSync(join(code, 'out.log'), 'w'), 'pipe'],
    encoding: 'utf8',
  });
  expect(JSON.parse(stderr)).toEqual(['app.py']);
});
