// Real containers of real engines: what a program in one can and cannot do, every way of ending one, and a real runtime
// whose bytes are compared with the host engine's and with a bake's. MAKE_RUNTIME_TEST_CACHE as in build.test.ts.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, cp, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { compile } from '../../build/compile/compile.ts';
import { prepareBuilder } from '../../build/compile/container-builder.ts';
import { containerClis, openContainerEngine } from '../../build/compile/container-cli.ts';
import { chooseEngine, engineFor } from '../../build/compile/container-engine.ts';
import type { Context } from '../../build/lib/context.ts';
import { exitStatus } from '../../build/lib/errors.ts';
import type { Plan } from '../../build/recipe/model.ts';
import { readElf } from '../../build/tree/elf.ts';
import { type Tiny, tinySource } from '../compile/support/tiny-source.ts';
import { thorough, thoroughTest } from '../support/thorough.ts';
import { debianImage, type Engines, importFolder, leftover, startEngines } from './engines/engines.ts';

const root = join(import.meta.dirname, '..', '..');
const image = 'make-runtime-test/bookworm:minimal';
let dir: string;
let engines: Engines;

beforeAll(async () => {
  if (!thorough) return;
  dir = await mkdtemp(join(tmpdir(), 'make-runtime-engines-'));
  await chmod(dir, 0o755);
  engines = await startEngines(dir);
  for (const refusal of engines.refusals) console.warn(`not tested: ${refusal}`);
  if (engines.names.length > 0) await debianImage(dir, 'bookworm', image, engines);
});
afterAll(async () => {
  if (!thorough) return;
  await engines?.stop();
  await rm(dir, { recursive: true, force: true });
});

/** A tiny program to compile, planned for a container of one engine. */
async function tinyIn(engine: string, recipes: Parameters<typeof tinySource>[1] = {}, more: Partial<Context> = {}) {
  const tiny: Tiny = await tinySource(await mkdtemp(join(dir, 'tiny-')), recipes);
  const ctx: Context = { ...tiny.ctx, env: { ...process.env, ...engines.env }, offline: false, ...more };
  const choice = { engine, builder: image };
  const chosen = await chooseEngine(choice, 'x86_64', { sources: [] }, ctx);
  const { builder } = await chosen.look({ libraries: [], requires: [] });
  const plan: Plan = { ...tiny.plan, builder };
  return {
    plan,
    source: tiny.source,
    ctx,
    choice,
    run: () => compile(plan, { source: tiny.source }, ctx, engineFor(plan, choice, ctx)),
  };
}

const cacheOf = async (ctx: Context): Promise<string[]> =>
  readdir(join(ctx.cacheDir, 'compile')).catch((): string[] => []);

describe.each(['podman', 'docker'] as const)('%s', (engine) => {
  thoroughTest('a program has no network, no rights, and can write nothing but its own folders', async ({ skip }) => {
    skip(!engines.names.includes(engine), `${engine} does not run here`);
    const made = await tinyIn(engine, {
      make: [
        'echo "interfaces: $$(ls /sys/class/net | tr "\\n" " ")"',
        'grep -E "^(CapEff|CapBnd|NoNewPrivs)" /proc/self/status',
        'touch /written /usr/written "$$SOURCE" 2>&1 || true',
        'env | sort | sed "s/^/env: /"',
      ].join('; '),
    });
    const built = await made.run();
    const log = await readFile(built.log, 'utf8');
    expect(log).toMatch(/^interfaces: lo $/m);
    expect(log).toMatch(/^CapEff:\t0{16}$/m);
    expect(log).toMatch(/^CapBnd:\t0{16}$/m);
    expect(log).toMatch(/^NoNewPrivs:\t1$/m);
    for (const path of ['/written', '/usr/written', '/make-runtime/source'])
      expect(log).toMatch(new RegExp(`cannot touch '${path}': Read-only file system`));
    expect(log).not.toContain('env: CONTAINERS_CONF');
    expect(await readFile(join(built.prefix, 'lib/python3.13/_sysconfigdata.py'), 'utf8')).toBe('scratch is /build\n');
    expect(await leftover(engine, engines)).toEqual([]);
    expect((await made.run()).cached).toBe(true);
  });

  thoroughTest('files belong to the caller', async ({ skip }) => {
    skip(!engines.names.includes(engine), `${engine} does not run here`);
    // podman of another user is another engine with images of its own; docker's daemon serves everybody.
    skip(engine === 'podman' || process.getuid?.() !== 0, 'needs root to become somebody else');
    const { plan, source, ctx, choice } = await tinyIn(engine);
    const home = await mkdtemp(join(dir, 'home-'));
    await chown(home, 4321, 4321);
    await chmod(source, 0o644);
    await chmod(join(source, '..'), 0o755);
    const child = inChild(plan, source, { ...ctx, cacheDir: join(home, 'cache') }, choice, {
      uid: 4321,
      gid: 4321,
      home,
    });
    const [status] = await once(child, 'exit');
    expect(status).toBe(0);
    const entries = await readdir(home, { recursive: true });
    expect(entries.length).toBeGreaterThan(10);
    for (const entry of entries) expect((await stat(join(home, entry))).uid, entry).toBe(4321);
  });

  thoroughTest('a container that is stopped is gone, and leaves nothing in the cache', async ({ skip }) => {
    skip(!engines.names.includes(engine), `${engine} does not run here`);
    const abort = new AbortController();
    const made = await tinyIn(engine, { make: 'echo waiting; sleep 1000' }, { signal: abort.signal });
    const running = made.run();
    const refused = expect(running).rejects.toMatchObject({ code: 'CANCELLED' });
    await expect.poll(() => leftover(engine, engines), { timeout: 30_000 }).toHaveLength(1);
    abort.abort();
    await refused;
    expect(await leftover(engine, engines)).toEqual([]);
    expect(await cacheOf(made.ctx)).toEqual([]);
  });

  thoroughTest('kill -9 in the middle, then a re-run', async ({ skip }) => {
    skip(!engines.names.includes(engine), `${engine} does not run here`);
    const made = await tinyIn(engine, { make: 'sleep 1000' });
    const child = inChild(made.plan, made.source, made.ctx, made.choice);
    await expect.poll(() => leftover(engine, engines), { timeout: 60_000 }).toHaveLength(1);
    child.kill('SIGKILL');
    await once(child, 'exit');
    const [orphan] = await leftover(engine, engines);
    expect(orphan).toBeDefined();
    const again = await tinyIn(engine);
    await again.run();
    expect(await leftover(engine, engines)).toEqual([]);
  });

  thoroughTest('the disk runs full inside the container', async ({ skip }) => {
    skip(!engines.names.includes(engine), `${engine} does not run here`);
    skip(process.getuid?.() !== 0, 'needs root to mount a small disk');
    const cacheDir = await mkdtemp(join(dir, 'small-'));
    await execa('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', cacheDir]);
    try {
      const made = await tinyIn(engine, { make: 'head -c 8000000 /dev/zero > zeros' }, { cacheDir });
      await expect(made.run()).rejects.toMatchObject({ code: 'DISK_FULL' });
      expect(await cacheOf(made.ctx)).toEqual([]);
      expect(await leftover(engine, engines)).toEqual([]);
    } finally {
      await execa('umount', [cacheDir]);
    }
  });

  thoroughTest('an image of this machine cross-compiles for arm64', async ({ skip }) => {
    skip(process.arch !== 'x64' || !engines.names.includes(engine), `${engine} does not run here, or not on x86_64`);
    const tiny = await tinySource(await mkdtemp(join(dir, 'cross-')), {
      make: "printf 'int main(void) { return 0; }' | $$CC -x c -o program - && $$AR --version > /dev/null",
      install: 'cp program $(DESTDIR)/opt/lang/bin/program',
    });
    const ctx: Context = { ...tiny.ctx, env: { ...process.env, ...engines.env }, offline: false };
    const choice = { engine, builder: image };
    const chosen = await chooseEngine(choice, 'arm64', { sources: [] }, ctx);
    const cross = await chosen.cross('arm64');
    expect(cross).toEqual({ from: 'x86_64', build: 'x86_64-linux-gnu', host: 'aarch64-linux-gnu' });
    const { builder, missing } = await chosen.look({ libraries: [], requires: [], ...(cross && { cross }) });
    expect(missing).toEqual([]);
    expect(builder.compiler).toMatch(/^aarch64-linux-gnu-gcc /);
    // Stands for the interpreter that runs on the builder.
    const buildPython = await mkdtemp(join(dir, 'python-'));
    await mkdir(join(buildPython, 'bin'));
    await writeFile(join(buildPython, 'bin', 'python3.13'), '#!/bin/sh\n', { mode: 0o755 });
    const plan: Plan = { ...tiny.plan, arch: 'arm64', builder };
    const built = await compile(plan, { source: tiny.source, buildPython }, ctx, engineFor(plan, choice, ctx));
    expect(readElf(await readFile(join(built.prefix, 'bin', 'program')))).toMatchObject({ arch: 'arm64' });
    expect(await leftover(engine, engines)).toEqual([]);
  });

  thoroughTest('programs of an architecture that this machine cannot run', async ({ skip }) => {
    skip(!engines.names.includes(engine), `${engine} does not run here`);
    // An ELF header that says RISC-V, under an image that says x86-64: neither runs natively nor by emulation of arm64.
    const folder = join(await mkdtemp(join(dir, 'foreign-')), 'root');
    await mkdir(join(folder, 'usr/bin'), { recursive: true });
    const header = Buffer.alloc(4096);
    header.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1], 0);
    header.writeUInt16LE(2, 16);
    header.writeUInt16LE(0xf7, 18);
    await writeFile(join(folder, 'usr/bin/env'), header, { mode: 0o755 });
    await importFolder(folder, 'make-runtime-test/foreign:1', engines);
    const ctx = {
      ...(await tinySource(await mkdtemp(join(dir, 'tiny-')))).ctx,
      env: { ...process.env, ...engines.env },
    };
    const chosen = await chooseEngine(
      { engine, builder: 'make-runtime-test/foreign:1' },
      'x86_64',
      { sources: [] },
      ctx,
    );
    await expect(chosen.look({ libraries: [], requires: [] })).rejects.toMatchObject({ code: 'BUILDER_WRONG_ARCH' });
    // Natively, that is: asked for without cross compilers.
    const arm = await chooseEngine({ engine, builder: image }, 'arm64', { sources: [] }, { ...ctx, offline: true });
    await expect(arm.look({ libraries: [], requires: [] })).rejects.toMatchObject({
      code: expect.stringMatching(/BUILDER_(WRONG_ARCH|UNAVAILABLE)/),
    });
  });
});

thoroughTest('the same image in docker and in podman is the same plan', async ({ skip }) => {
  skip(engines.names.length < 2, 'needs both engines');
  const [a, b] = [await tinyIn('docker'), await tinyIn('podman')];
  expect(a.plan.builder).toEqual(b.plan.builder);
});

thoroughTest.each([
  ['bullseye', 'Debian GNU/Linux 11'],
  ['trixie', 'Debian GNU/Linux 13'],
])('a builder image of Debian %s', async (suite, system) => {
  const [engine] = engines.names;
  if (engine === undefined) return;
  const name = `make-runtime-test/${suite}:minimal`;
  await debianImage(dir, suite, name, engines);
  const tiny = await tinySource(await mkdtemp(join(dir, 'tiny-')));
  const ctx: Context = { ...tiny.ctx, env: { ...process.env, ...engines.env }, offline: false };
  const choice = { engine, builder: name };
  const { builder, missing } = await (await chooseEngine(choice, 'x86_64', { sources: [] }, ctx)).look({
    libraries: [],
    requires: [],
  });
  expect(missing).toEqual([]);
  expect(builder.system).toContain(system);
  const plan: Plan = { ...tiny.plan, builder };
  expect((await compile(plan, { source: tiny.source }, ctx, engineFor(plan, choice, ctx))).cached).toBe(false);
});

describe('a real runtime', () => {
  let layer: string;
  let planFile: string;
  const cacheDir = (): string => process.env['MAKE_RUNTIME_TEST_CACHE'] ?? join(dir, 'cache');
  const run = (args: string[], env: Record<string, string> = {}) =>
    execa(process.execPath, [join(root, 'dist/cli.js'), ...args], {
      cwd: dir,
      reject: false,
      env: {
        MAKE_RUNTIME_CACHE: cacheDir(),
        CI: '1',
        ...engines.env,
        ...env,
      },
    });
  const good = (result: Awaited<ReturnType<typeof run>>): string => {
    if (result.exitCode !== 0)
      throw new Error(`${result.escapedCommand} ended with ${result.exitCode}:\n${result.stderr}`);
    return String(result.stdout).trim();
  };
  const build = async (options: string[], output: string): Promise<string> => {
    const args = ['build', '3.13', '--output', join(dir, output), ...options];
    let result = await run(args);
    if (result.exitCode === exitStatus.SOURCE_OLDER_AVAILABLE) {
      const older = /--python (\S+)/.exec(String(result.stderr))?.[1] as string;
      result = await run([...args, '--python', older]);
    }
    return good(result);
  };

  thoroughTest('is built in a container, and passes verify', async ({ skip }) => {
    const [engine] = engines.names;
    skip(engine === undefined, 'no engine runs here');
    layer = await build(['--engine', engine as string, '--builder', image], 'container');
    planFile = join(layer, '..', 'plan.json');
    const plan: Plan = JSON.parse(await readFile(planFile, 'utf8'));
    expect(plan.builder).toMatchObject({ engine: 'container', image: { reference: image } });
    good(await run(['verify', layer]));
    expect(await leftover(engine as string, engines)).toEqual([]);
  });

  thoroughTest(
    'is the same file for file as from the host engine, where both have the same compiler and packages',
    async ({ skip }) => {
      skip(layer === undefined || !engines.names.includes('podman'), 'needs podman');
      // The host engine inside the prepared builder image: the one place that surely has the same packages.
      const plan: Plan = JSON.parse(await readFile(planFile, 'utf8'));
      const ctx: Context = {
        ...(await tinySource(await mkdtemp(join(dir, 'tiny-')))).ctx,
        env: { ...process.env, ...engines.env },
        offline: false,
      };
      const podman = containerClis.find(({ name }) => name === 'podman') as (typeof containerClis)[number];
      const opened = await openContainerEngine(podman, ctx);
      const needs = { libraries: plan.libraries, requires: plan.requires };
      const { image: prepared } = await prepareBuilder(opened, image, 'x86_64', needs, ctx);
      const machine = 'make-runtime-test/machine:1';
      await nodeImage(machine, prepared);
      const mounts = { [root]: '/repository:ro', [cacheDir()]: '/cache', [dir]: '/result' };
      const build = ['build', '3.13', '--python', plan.python.version, '--engine', 'host', '--output', '/result/host'];
      await execa(
        'podman',
        [
          ...[
            'run',
            '--rm',
            '--network',
            'none',
            '--env',
            'MAKE_RUNTIME_CACHE=/cache',
            '--env',
            'MAKE_RUNTIME_OFFLINE=1',
          ],
          ...Object.entries(mounts).flatMap(([from, to]) => ['-v', `${from}:${to}`]),
          ...['--entrypoint', 'node', machine, '/repository/dist/cli.js', ...build],
        ],
        { env: engines.env },
      );
      const host = join(dir, 'host', plan.name, 'layer.zip');
      expect(JSON.parse(await readFile(join(host, '..', 'plan.json'), 'utf8')).builder.engine).toBe('host');
      expect(await contents(layer, 'container')).toEqual(await contents(host, 'host'));
    },
  );

  thoroughTest('is byte for byte what a bake of the same plan makes', async ({ skip }) => {
    skip(layer === undefined || !engines.names.includes('podman'), 'needs podman, whose build runs the Dockerfile');
    const node = 'make-runtime-test/node:1';
    await nodeImage(node);
    const folder = good(await run(['bake', planFile, '--output', join(dir, 'bake')]));
    const bake = JSON.parse(await readFile(join(folder, 'docker-bake.json'), 'utf8'));
    // BuildKit is not in Debian 12, and its podman knows no `RUN --network`: here every stage may have one.
    const dockerfile = await readFile(join(folder, 'Dockerfile'), 'utf8');
    await writeFile(join(folder, 'Dockerfile'), dockerfile.replaceAll('RUN --network=none ', 'RUN '));
    const [target] = bake.group.default.targets;
    const args = { ...bake.target[target].args, NODE: node, BUILDER: image };
    await execa(
      'podman',
      [
        'build',
        ...['--network', 'host', '--isolation', 'oci', '--output', `type=local,dest=${join(dir, 'baked')}`],
        ...Object.entries(args).flatMap(([name, value]) => ['--build-arg', `${name}=${value}`]),
        '.',
      ],
      { cwd: folder, env: engines.env },
    );
    expect(await readFile(join(dir, 'baked', 'layer.zip'))).toEqual(await readFile(layer));
    expect(await readFile(join(dir, 'baked', 'plan.json'))).toEqual(await readFile(planFile));
  });

  /** An image with this machine's own Node in it, for want of a registry. */
  async function nodeImage(name: string, base = image): Promise<void> {
    const context = await mkdtemp(join(dir, 'node-'));
    await cp(process.execPath, join(context, 'node'));
    await writeFile(join(context, 'Dockerfile'), `FROM ${base}\nCOPY node /usr/local/bin/node\n`);
    await execa('podman', ['build', '-t', name, context], { env: engines.env });
  }

  /** sha256 of every file of a layer but build.json, which names the builder. */
  async function contents(zip: string, name: string): Promise<string[]> {
    const folder = join(dir, `unzipped-${name}`);
    await execa('unzip', ['-q', zip, '-d', folder]);
    const { stdout } = await execa(
      'sh',
      ['-c', 'find . -type f ! -name build.json | LC_ALL=C sort | xargs sha256sum'],
      { cwd: folder },
    );
    return stdout.split('\n');
  }
});

/** compile() in a process of its own, which can be killed or be another user's. */
function inChild(
  plan: Plan,
  source: string,
  ctx: Context,
  choice: { engine: string; builder: string },
  user?: { uid: number; gid: number; home: string },
): ChildProcess {
  const module = (path: string): string => JSON.stringify(join(root, 'build', path));
  const program = `
    import { compile } from ${module('compile/compile.ts')};
    import { engineFor } from ${module('compile/container-engine.ts')};
    const { plan, source, ctx, choice } = JSON.parse(process.argv[1]);
    const own = { ...ctx, env: process.env, report: () => {}, signal: new AbortController().signal };
    await compile(plan, { source }, own, engineFor(plan, choice, own));`;
  const { report: _report, signal: _signal, env, ...plain } = ctx;
  return spawn(
    process.execPath,
    ['--import', 'tsx', '--input-type=module', '-e', program, JSON.stringify({ plan, source, ctx: plain, choice })],
    {
      stdio: 'inherit',
      cwd: root,
      env: { ...env, ...(user ? { HOME: user.home, TMPDIR: user.home } : {}) } as NodeJS.ProcessEnv,
      ...(user ? { uid: user.uid, gid: user.gid } : {}),
    },
  );
}
