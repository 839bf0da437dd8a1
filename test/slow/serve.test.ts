// `make-runtime serve` with a real layer, judged by those who call Lambda: boto3, the AWS CLI, a browser, a debugger.
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ExecaError, execa } from 'execa';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { remove } from '../lambda/support/function.ts';
import { Debugger } from './judges/debugger.ts';
import { cli, ourLayers, root } from './judges/layer.ts';

const folder = await mkdtemp(join(tmpdir(), 'make-runtime-serve-'));
const code = join(folder, 'code');
const cache = join(folder, 'cache');
const samples = join(import.meta.dirname, 'judges', 'serve');
const [layer] = await ourLayers(folder);
const running = new Set<Served>();

afterAll(async () => {
  for (const served of running) await served.stop();
  remove(folder);
});

function start(args: readonly string[]) {
  return execa(process.execPath, [cli, 'serve', layer!.path, '--json', '--port', '0', ...args], {
    cwd: root,
    reject: false,
    env: { MAKE_RUNTIME_CACHE: cache },
  });
}

/** A `make-runtime serve --json` of its own, with everything it has told. */
class Served {
  readonly process: ReturnType<typeof start>;
  readonly told: Record<string, unknown>[] = [];
  #wake: () => void = () => {};

  constructor(...args: readonly string[]) {
    this.process = start(args);
    running.add(this);
    let pending = '';
    this.process.stdout!.on('data', (chunk: Buffer) => {
      const lines = (pending + chunk.toString()).split('\n');
      pending = lines.pop()!;
      this.told.push(...lines.map((line) => JSON.parse(line)));
      this.#wake();
    });
    void this.process.then(() => this.#wake());
  }

  async wait(wanted: (entry: Record<string, unknown>) => boolean): Promise<Record<string, unknown>> {
    for (;;) {
      const found = this.told.find(wanted);
      if (found !== undefined) return found;
      if (this.process.exitCode !== null && this.process.exitCode !== undefined)
        throw new Error(`serve has ended: ${(await this.process).stderr}`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  async url(): Promise<string> {
    return String((await this.wait(({ type }) => type === 'listening'))['url']);
  }

  async stop(): Promise<{ exitCode: number | undefined; stderr: unknown }> {
    running.delete(this);
    this.process.kill('SIGINT');
    const { exitCode, stderr } = await this.process;
    return { exitCode, stderr };
  }
}

/** boto3 and what it needs, of the pins that the tests of packages have. */
async function boto3Pins(): Promise<string> {
  const all = await readFile(join(import.meta.dirname, 'judges', 'packages', 'requirements-aws.txt'), 'utf8');
  const wanted = /^(boto3|botocore|jmespath|python-dateutil|s3transfer|six|urllib3)==/;
  return all
    .split(/\n(?=\S)/)
    .filter((block) => wanted.test(block))
    .join('\n');
}

beforeAll(async () => {
  await mkdir(code);
  await cp(join(samples, 'app.py'), join(code, 'app.py'));
});

const main = ['--code', code, '--handler', 'app.handler', '--name', 'main'];
const pieces = ['--function', `pieces=${code}:app.pieces`];

describe('AWS’s own clients', () => {
  let served: Served;
  beforeAll(() => {
    served = new Served(...main, ...pieces, '--concurrency', '3');
  });
  afterAll(async () => {
    // Ctrl-C: the environments are gone, and nothing of them is left on disk.
    expect(await served.stop()).toMatchObject({ exitCode: 0 });
    expect(await readdir(join(cache, 'lambda'))).toEqual([]);
  });

  test('boto3', async (context) => {
    const packages = join(folder, 'boto3');
    const pins = join(folder, 'boto3.txt');
    await writeFile(pins, await boto3Pins());
    const pip = [
      '-m',
      'pip',
      'install',
      '--quiet',
      '--no-deps',
      '--no-compile',
      '--require-hashes',
      '--target',
      packages,
      '-r',
      pins,
    ];
    const installed = await execa('python3', pip, { reject: false, all: true });
    if (installed.exitCode !== 0) return context.skip(`pip cannot install boto3: ${installed.all}`);
    const { stdout } = await execa('python3', [join(samples, 'clients.py'), await served.url()], {
      env: { PYTHONPATH: packages },
    });
    const told = JSON.parse(stdout);
    const arn = 'arn:aws:lambda:us-east-1:123456789012:function:main';
    expect(told.plain).toMatchObject({
      status: 200,
      error: null,
      version: '$LATEST',
      payload: { event: { a: [1, 'ä'] }, custom: { k: 'v' }, arn },
    });
    expect(told.plain.log).toMatch(
      /^START RequestId: [^\n]*\nhandling\nEND [^\n]*\nREPORT [^\n]*Max Memory Used: \d+ MB/m,
    );
    expect(told.error).toMatchObject({ status: 200, error: 'Unhandled', payload: { errorType: 'ValueError' } });
    expect([told.event.status, told.dry.status]).toEqual([202, 204]);
    expect(new Set(told.together).size).toBe(3);
    expect(told.stream).toMatchObject({ chunks: ['piece 0\n', 'piece 1\n', 'piece 2\n'], complete: {} });
    expect(told.stream.span).toBeGreaterThan(0.2);
    expect(JSON.parse(told.broken.complete.ErrorDetails)).toMatchObject({ errorMessage: 'in the middle' });
    expect(told.broken.complete.ErrorCode).toMatch(/^(Runtime|Function)\./);
    expect(told.unknown).toMatchObject({ class: 'ResourceNotFoundException', modelled: true });
    expect(told.unknown.Message).toBe(`Function not found: ${arn.replace('main', 'nobody')}`);
    expect(told.large).toMatchObject({ Code: 'RequestEntityTooLargeException' });
    expect(told.text).toMatchObject({ class: 'InvalidRequestContentException', modelled: true });
    expect(told.function).toMatchObject({ FunctionName: 'main', Handler: 'app.handler', State: 'Active' });
    expect(told.functions).toEqual(['main', 'pieces']);
    expect(told.url).toBe(`${(await served.url()).replace('127.0.0.1', 'localhost')}/`);
  });

  test('the AWS CLI', async (context) => {
    const aws = async (...args: string[]): Promise<Record<string, unknown>> => {
      const { stdout } = await execa(
        'aws',
        ['lambda', ...args, '--endpoint-url', await served.url(), '--output', 'json'],
        {
          env: {
            AWS_ACCESS_KEY_ID: 'any',
            AWS_SECRET_ACCESS_KEY: 'any',
            AWS_DEFAULT_REGION: 'us-east-1',
            AWS_PAGER: '',
          },
        },
      );
      return JSON.parse(stdout);
    };
    const event = join(folder, 'event.json');
    const answer = join(folder, 'answer.json');
    await writeFile(event, '{"from":"the CLI"}');
    try {
      const told = await aws('invoke', '--function-name', 'main', '--payload', `fileb://${event}`, answer);
      expect(told).toEqual({ StatusCode: 200, ExecutedVersion: '$LATEST' });
    } catch (error) {
      if ((error as ExecaError).code === 'ENOENT') return context.skip('there is no aws (Debian: awscli)');
      throw error;
    }
    expect(JSON.parse(await readFile(answer, 'utf8')).event).toEqual({ from: 'the CLI' });
    const listed = (await aws('list-functions')) as { Functions: { FunctionName: string }[] };
    expect(listed.Functions.map(({ FunctionName: name }) => name)).toEqual(['main', 'pieces']);
    await execa(
      'aws',
      ['lambda', 'wait', 'function-active', '--function-name', 'main', '--endpoint-url', await served.url()],
      {
        env: { AWS_ACCESS_KEY_ID: 'any', AWS_SECRET_ACCESS_KEY: 'any', AWS_DEFAULT_REGION: 'us-east-1' },
      },
    );
    await expect(aws('get-function', '--function-name', 'nobody')).rejects.toThrow(/ResourceNotFoundException/);
  });
});

test('the commands of docs/serve.md do what they say', async () => {
  const text = await readFile(join(root, 'docs', 'serve.md'), 'utf8');
  const commands = [...text.matchAll(/^\$ ((?:aws|curl) .*)$/gm)].map(([, command]) => command!);
  expect(commands.length).toBeGreaterThan(2);
  await writeFile(join(folder, 'event.json'), '{"a":1}');
  const served = new Served('--code', code, '--handler', 'app.handler');
  const { port } = new URL(await served.url());
  for (const command of commands) {
    const line = command.replaceAll('127.0.0.1:9000', `127.0.0.1:${port}`);
    const { stdout } = await execa('sh', ['-c', line], { cwd: folder });
    if (line.startsWith('curl')) expect(JSON.parse(stdout).arn).toMatch(/function:function$/);
  }
  expect(JSON.parse(await readFile(join(folder, 'answer.json'), 'utf8')).event).toEqual({ a: 1 });
  await served.stop();
});

const browserPath = '/usr/bin/chromium';

describe.skipIf(!existsSync(browserPath))('the page, in a browser (Debian: chromium)', () => {
  let browser: Browser;
  let page: Page;
  let served: Served;
  const problems: string[] = [];

  beforeAll(async () => {
    served = new Served(...main, ...pieces, '--watch');
    browser = await chromium.launch({ executablePath: browserPath, args: ['--no-sandbox'] });
    page = await browser.newPage();
    page.on('pageerror', (error) => problems.push(error.message));
    page.on('console', (message) => message.type() === 'error' && problems.push(message.text()));
    await page.goto(`${(await served.url()).replace('127.0.0.1', 'localhost')}/_/`);
    await page.waitForSelector('#live.on');
  });
  afterAll(async () => {
    await browser?.close();
    await served.stop();
    expect(problems).toEqual([]);
  });

  test('sends an event from a template with the keyboard, and shows response, log, timeline and memory', async () => {
    await page.selectOption('#template', { label: 'S3: object created' });
    expect(JSON.parse(await page.inputValue('#event')).Records[0].eventSource).toBe('aws:s3');
    await page.fill('#event', '{"from": "the page", "sleep": 0.1}');
    await page.keyboard.press('Control+Enter');
    await page.waitForSelector('#answer-status.good');
    expect(JSON.parse(await page.innerText('#answer')).event).toEqual({ from: 'the page', sleep: 0.1 });
    await page.waitForSelector('#invocations tr');
    const row = await page.innerText('#invocations tr');
    expect(row).toMatch(/ok\s+\d+\.\d ms\s+\d+ ms\s+\d+\.\d ms\s+\d+ of 128 MB/);
    await page.locator('#timeline rect.init').first().waitFor();
    await page.locator('#timeline rect.ok').first().waitFor();
    await page.locator('#logs', { hasText: /handling[\s\S]*REPORT RequestId/ }).waitFor();
  });

  test('an error and a mistake in the event are told apart', async () => {
    await page.fill('#event', '{"raise": true}');
    await page.click('#invoke');
    await page.waitForSelector('#answer-status.bad');
    expect(JSON.parse(await page.innerText('#answer'))).toMatchObject({ errorType: 'ValueError' });
    await page.waitForSelector('#timeline rect.bad');
    await page.fill('#event', '{"raise": }');
    expect(await page.innerText('#event-problem')).not.toBe('');
    await page.click('#invoke');
    await page.locator('#answer-status', { hasText: 'InvalidRequestContent' }).waitFor();
    problems.splice(0); // The browser itself notes the 400.
  });

  test('shows chunks as they come, not at the end', async () => {
    await page.click('role=tab[name="pieces"]');
    await page.fill('#event', '{"pause": 0.5}');
    await page.click('#stream');
    await page.waitForSelector('#answer .chunk');
    expect(await page.innerText('#answer-status')).toBe('streaming');
    expect(await page.locator('#answer .chunk').count()).toBeLessThan(3);
    await page.waitForSelector('#answer-status.good');
    const pieces = await page.locator('#answer .chunk span').allInnerTexts();
    expect(pieces.map((text) => text.trim())).toEqual(['piece 0', 'piece 1', 'piece 2']);
  });

  test('tells of what was saved', async () => {
    await writeFile(join(code, 'more.py'), 'x = 1\n');
    await page.locator('#logs', { hasText: 'deployed more.py' }).waitFor();
    expect((await served.wait(({ type }) => type === 'deployed'))['changed']).toEqual(['more.py']);
  });

  test('filters the log by an invocation, and follows the arrow keys between functions', async () => {
    await page.locator('role=tab[name="pieces"]').focus();
    await page.keyboard.press('ArrowLeft');
    expect(await page.getAttribute('role=tab[name="main"]', 'aria-selected')).toBe('true');
    await page.click('#invocations tr:last-child button');
    const lines = await page.locator('#logs div').allInnerTexts();
    expect(lines.length).toBeGreaterThanOrEqual(4);
    expect(lines.join('\n')).not.toMatch(/Traceback/);
  });
});

describe('a debugger', () => {
  test('attaches before the handler is imported, stops in it, and lets it go on', async (context) => {
    const packages = join(folder, 'debugpy');
    const tags = ['--platform', 'any', '--implementation', 'py', '--abi', 'none', '--only-binary=:all:', '--no-deps'];
    const pip = ['-m', 'pip', 'install', '--quiet', ...tags, '--target', packages, 'debugpy==1.8.22'];
    const installed = await execa('python3', pip, { reject: false, all: true });
    if (installed.exitCode !== 0) return context.skip(`pip cannot install debugpy: ${installed.all}`);
    const port = 20_000 + (process.pid % 20_000);
    const served = new Served(...main, '--debug', String(port), '--debugpy', packages, '--memory', '512');
    const url = await served.url();
    await served.wait(({ text }) => /debugpy waits/.test(String(text)));
    const client = await Debugger.attach(port);
    try {
      client.send('initialize', { adapterID: 'test', pathFormat: 'path' });
      await client.wait('initialize');
      client.send('attach', { pathMappings: [{ localRoot: code, remoteRoot: '/var/task' }], justMyCode: false });
      await client.wait('initialized');
      const line = (await readFile(join(code, 'app.py'), 'utf8')).split('\n').indexOf('    print("handling")') + 1;
      client.send('setBreakpoints', { source: { path: join(code, 'app.py') }, breakpoints: [{ line }] });
      expect((await client.wait('setBreakpoints'))['breakpoints']).toMatchObject([{ verified: true }]);
      client.send('configurationDone', {});
      const answer = fetch(`${url}/2015-03-31/functions/main/invocations`, { method: 'POST', body: '{"a":"b"}' });
      const { threadId } = await client.wait('stopped');
      client.send('stackTrace', { threadId });
      const frames = (await client.wait('stackTrace'))['stackFrames'] as { id: number; name: string; line: number }[];
      expect(frames[0]).toMatchObject({ name: 'handler', line, source: { path: join(code, 'app.py') } });
      client.send('evaluate', { expression: 'event["a"]', frameId: frames[0]!.id, context: 'watch' });
      expect((await client.wait('evaluate'))['result']).toBe("'b'");
      client.send('continue', { threadId });
      expect(((await (await answer).json()) as { event: unknown }).event).toEqual({ a: 'b' });
    } finally {
      client.close();
      expect(await served.stop()).toMatchObject({ exitCode: 0 });
    }
  });

  test('is refused with a sentence where there is no debugpy', async () => {
    const served = new Served(...main, '--debug', '1');
    const { exitCode, stderr } = await served.process;
    running.delete(served);
    expect(exitCode).toBe(85);
    expect(String(stderr)).toMatch(/"code":"DEBUGPY_MISSING".*pip install --target DIR debugpy/);
  });
});

describe('Managed Instances', () => {
  test('a real runtime takes its invocations at the same time', async () => {
    const served = new Served(...main, '--managed-instances', '3');
    const url = await served.url();
    const ask = async (): Promise<number> => {
      const answer = await fetch(`${url}/2015-03-31/functions/main/invocations`, {
        method: 'POST',
        body: '{"sleep":0.6}',
      });
      return ((await answer.json()) as { pid: number }).pid;
    };
    const pids = await Promise.all([ask(), ask(), ask()]);
    const types = served.told.map(({ type }) => type).filter((type) => String(type).startsWith('invocation-'));
    expect(types.slice(0, 3)).toEqual(Array(3).fill('invocation-started'));
    // Threads of one process where the build has no GIL, else a process each.
    expect(new Set(pids).size).toBe(layer!.freeThreaded ? 1 : 3);
    expect(await served.stop()).toMatchObject({ exitCode: 0 });
  });
});

test('listens beyond loopback only when told to, and says what that means', async () => {
  const served = new Served(...main, '--host', '0.0.0.0');
  const { port } = new URL(await served.url());
  expect((await fetch(`http://127.0.0.1:${port}/_/functions`)).status).toBe(200);
  const { exitCode, stderr } = await served.stop();
  expect(exitCode).toBe(0);
  expect(String(stderr)).toMatch(/"type":"warn".*Everybody who reaches 0.0.0.0 can run these functions/);
});

test('bad options are refused with what to do', async () => {
  for (const [args, status, words] of [
    [['--code', code], 2, /There is no --handler/],
    [[], 2, /There is no --code/],
    [['--function', 'nonsense'], 2, /does not name a function/],
    [[...main, '--port', 'many'], 2, /not a port/],
    // Not a missing file: Node 20 looks at this option too, and refuses such a one itself.
    [[...main, '--env-file', join(code, 'app.py')], 84, /ENV_FILE_INVALID/],
    [['--code', code, '--handler', 'app.nothing'], 94, /HANDLER_NOT_FOUND/],
    [['--code', '/nowhere', '--handler', 'app.handler'], 81, /CODE_NOT_FOUND/],
  ] as const) {
    const { exitCode, stderr } = await execa(process.execPath, [cli, 'serve', layer!.path, '--port', '0', ...args], {
      reject: false,
      env: { MAKE_RUNTIME_CACHE: cache },
    });
    expect([args, exitCode]).toEqual([args, status]);
    expect(stderr).toMatch(words);
  }
});
