// Cross builds as text and as questions: the programs name the target's tools and the builder's interpreter, a machine
// is asked for both, and a container engine chooses between emulation and cross compilers.
import { execFileSync } from 'node:child_process';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { bakeFiles, type ContainerPlan } from '../../build/compile/bake.ts';
import { buildPythonScript } from '../../build/compile/build-python.ts';
import { chooseEngine, engineFor } from '../../build/compile/container-engine.ts';
import { ownArch } from '../../build/compile/engine.ts';
import { installCommand, probeHost, requireComplete } from '../../build/compile/host.ts';
import { libraryScript } from '../../build/compile/libraries-script.ts';
import { linkScript } from '../../build/compile/link.ts';
import { missingRequirements } from '../../build/compile/requirement.ts';
import { compileScript, trainingScript } from '../../build/compile/script.ts';
import type { Context } from '../../build/lib/context.ts';
import { crossFor, crossRequirements } from '../../build/recipe/cross.ts';
import type { Builder, Cross, Plan } from '../../build/recipe/model.ts';
import { plan } from '../../build/recipe/plan.ts';
import { bootstrap, builder, lock, packageDir, shipped } from '../recipe/support/plans.ts';
import { type FakeEngine, fakeEngine, imageJson } from './support/fake-engine.ts';

const cross = crossFor('x86_64', 'arm64') as Cross;
const own = ownArch();
const other = own === 'arm64' ? 'x86_64' : 'arm64';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'make-runtime-cross-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

async function planned(name: string, choice: Partial<Parameters<typeof plan>[1]> = {}, by: Builder = builder) {
  const all = { flavor: 'default', arch: 'arm64', profile: 'fast', cross, ...choice } as const;
  return plan(await shipped(name), all, await lock(), { ...by, cross }, bootstrap);
}

function contextFor(path: string, more: Partial<Context> = {}): Context {
  return {
    report: () => {},
    signal: new AbortController().signal,
    cacheDir: join(dir, 'cache'),
    packageDir,
    env: { PATH: path },
    offline: false,
    ...more,
  };
}

describe('programs', () => {
  test('are what they were, and a shell can parse them', async () => {
    const made = await planned('3.13');
    const scripts: Record<string, string> = {
      compile: compileScript(made),
      'build-python': buildPythonScript(made),
      link: linkScript(made),
      'library-sqlite': libraryScript(made.libraries.find(({ name }) => name === 'sqlite')!, made),
    };
    for (const [name, script] of Object.entries(scripts)) {
      execFileSync('sh', ['-n'], { input: script });
      if (name === 'link') continue; // Flags and symbols have tests of their own.
      const file = join(import.meta.dirname, '__snapshots__', 'scripts', `3.13-cross-${name}.sh`);
      await expect(script).toMatchFileSnapshot(file);
    }
  });

  test('run nothing that was compiled but what the training has to, and use no tool of the other side', async () => {
    const made = await planned('3.13', { profile: 'release', training: 't'.repeat(64) });
    const programs = [compileScript(made), linkScript(made), ...made.libraries.map((one) => libraryScript(one, made))];
    for (const program of programs) {
      expect(program).not.toMatch(/(^|[\s|(])(ar|ranlib|objcopy|gcc|cc) /m);
      expect(program).not.toMatch(/root\/opt\/lang\/bin\/python3[.\d]*" /);
    }
    expect(trainingScript(made)).toContain('qemu-aarch64 -L /usr/aarch64-linux-gnu ./python -E');
    expect(trainingScript(made)).toContain('make -j"$JOBS" python platform');
  });

  test('3.10 has no --with-build-python: it finds the interpreter on PATH', async () => {
    expect(compileScript(await planned('3.10'))).toContain('export PATH="$WORK/build-python/bin:$PATH"');
    expect(compileScript(await planned('3.10'))).not.toContain('--with-build-python');
    expect(compileScript(await planned('3.11'))).toContain('--with-build-python="$WORK/build-python/bin/python3.11"');
  });

  test("what configure notes for the target's users has the tools' plain names", async () => {
    const script = compileScript(await planned('3.13'));
    const lines = script.split('\n');
    const from = lines.findIndex((line) => line.includes('aarch64-linux-gnu-(gcc'));
    const root = join(dir, 'root');
    await mkdir(root);
    await writeFile(
      join(root, '_sysconfigdata.py'),
      "CC = 'aarch64-linux-gnu-gcc -pthread'\nAR = 'aarch64-linux-gnu-ar'\nMULTIARCH = 'aarch64-linux-gnu'\nCXX='aarch64-linux-gnu-g++'\n",
    );
    execFileSync('sh', ['-eu'], {
      input: lines.slice(from, from + 3).join('\n'),
      cwd: await mkdtemp(join(dir, 'build-')),
    });
    expect(execFileSync('cat', [join(root, '_sysconfigdata.py')], { encoding: 'utf8' })).toBe(
      "CC = 'gcc -pthread'\nAR = 'ar'\nMULTIARCH = 'aarch64-linux-gnu'\nCXX='g++'\n",
    );
  });
});

describe('this machine', () => {
  const crossHere = crossFor(own, other) as Cross;

  test('is asked for its own compiler and the other one, and one command installs both', async () => {
    const bin = join(dir, 'bin');
    await mkdir(bin);
    const tool = (name: string, text = `echo ${name} 1.0`) =>
      writeFile(join(bin, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
    for (const name of ['cc', 'make', 'tar', 'xz', 'ar', 'ld', 'objcopy', 'apt-get', 'dpkg-query']) await tool(name);
    const look = () => probeHost({ libraries: [], requires: [], cross }, { PATH: bin });

    const none = await look();
    expect(none.builder).toMatchObject({ compiler: null, cross });
    expect(none.missing.map(({ name }) => name)).toContain('aarch64-linux-gnu-gcc');
    expect(installCommand(none)?.join(' ')).toContain('gcc-aarch64-linux-gnu libc6-dev-arm64-cross');
    expect(() => requireComplete(none)).toThrow(
      expect.objectContaining({
        code: 'COMPILER_MISSING',
        message: expect.stringContaining('aarch64-linux-gnu-objcopy'),
        remedy: expect.stringContaining('apt-get install -y'),
      }),
    );
    for (const name of ['gcc', 'ar', 'ranlib', 'ld', 'objcopy']) await tool(`aarch64-linux-gnu-${name}`);
    expect(await look()).toMatchObject({ missing: [], compiler: 'aarch64-linux-gnu-gcc 1.0' });
    // Debian only recommends the C library of a cross compiler.
    await tool(
      'aarch64-linux-gnu-gcc',
      'case $1 in -E) while read -r line; do case $line in missing*) echo "$line"; esac; done;; *) echo gcc 1.0; esac',
    );
    const bare = await look();
    expect(bare.missing).toMatchObject([{ name: 'the C library of aarch64-linux-gnu' }]);
    expect(installCommand(bare)).toContain('libc6-dev-arm64-cross');
    await tool('aarch64-linux-gnu-gcc');
    await rm(join(bin, 'cc'));
    expect((await look()).missing.map(({ name }) => name)).toEqual(['cc']);
  });

  test('without qemu what cannot be trained is said, with the way around it', async () => {
    const [requirement] = crossRequirements('arm64', 'release', false);
    const error = missingRequirements([{ requirement: requirement!, name: 'qemu-aarch64 5.2 or newer' }], 'here');
    expect(error).toMatchObject({
      code: 'COMPILER_MISSING',
      message: 'Training for another processor needs qemu-aarch64 5.2 or newer, not found here.',
      remedy: expect.stringContaining('apt-get install qemu-user libc6-arm64-cross'),
      detail: expect.stringContaining('profile of an earlier build'),
    });
  });

  test('obeys plans of its own architecture, whatever they are for', async () => {
    const crossed: Plan = { ...(await planned('3.13')), arch: other, builder: { ...builder, cross: crossHere } };
    expect(() => engineFor(crossed, {}, contextFor('/none'))).not.toThrow();
    for (const foreign of [
      { ...crossed, arch: own, builder: { ...builder, cross: { ...cross, from: other } } },
      { ...crossed, builder },
    ] as Plan[])
      expect(() => engineFor(foreign, {}, contextFor('/none'))).toThrow(
        expect.objectContaining({ code: 'ARCH_UNSUPPORTED', remedy: expect.stringContaining('plan again here') }),
      );
  });
});

describe('a container engine', () => {
  const wayOf = async (fake: FakeEngine, more: Partial<Context> = {}) => {
    const engine = await chooseEngine(
      { engine: 'docker', builder: 'debian:12' },
      other,
      { sources: [] },
      contextFor(fake.path, more),
    );
    return engine.cross(other);
  };

  test('uses an image of the target that is there already', async () => {
    const fake = await fakeEngine(dir, 'docker');
    await fake.does('image', `echo '${imageJson(other === 'arm64' ? 'arm64' : 'amd64')}'`);
    expect(await wayOf(fake)).toBeUndefined();
  });

  test("cross-compiles in an image of this machine's with apt-get, and not in one without", async () => {
    const fake = await fakeEngine(dir, 'docker');
    await fake.does('image', `echo '${imageJson(own === 'arm64' ? 'arm64' : 'amd64')}'`);
    await fake.does('run', 'echo /usr/bin/apt-get');
    expect(await wayOf(fake)).toEqual(crossFor(own, other));
    await fake.does('run', 'exit 0');
    expect(await wayOf(fake)).toBeUndefined();
  });

  test("fetches this machine's image first, unless it is offline", async () => {
    const fake = await fakeEngine(dir, 'docker');
    await fake.does('image', 'exit 1');
    await fake.does('pull', 'exit 1');
    expect(await wayOf(fake, { offline: true })).toBeUndefined();
    expect((await fake.calls()).filter(([verb]) => verb === 'pull')).toEqual([]);
    expect(await wayOf(fake)).toBeUndefined();
    const platform = own === 'arm64' ? 'linux/arm64' : 'linux/amd64';
    expect((await fake.calls()).find(([verb]) => verb === 'pull')).toEqual([
      'pull',
      '--platform',
      platform,
      'debian:12',
    ]);
  });
});

test('a bake of a cross build runs on the builder, with its interpreter before the target', async () => {
  const image = { reference: 'debian:12', rootfs: 'r', packages: 'p' };
  const made = (await planned('3.13', {}, { ...builder, engine: 'container', image })) as ContainerPlan;
  const files = bakeFiles([made]);
  const { target } = JSON.parse(files.get('docker-bake.json') as string);
  expect(target['python3_13-arm64-fast'].platforms).toEqual(['linux/amd64']);
  const inputs = `plans/${made.name}/inputs`;
  expect(files.get(`${inputs}/build-python.sh`)).toBe(buildPythonScript(made));
  expect(files.get(`${inputs}/cpython.sh`)).toBe(compileScript(made));
  for (const [path, text] of files) if (path.endsWith('.sh')) execFileSync('sh', ['-n'], { input: text });
  // The driver, for real, with stand-ins for the two programs.
  const driver = (files.get(`${inputs}/compile.sh`) as string).replaceAll('/make-runtime/', `${dir}/`);
  await mkdir(join(dir, 'inputs'));
  await mkdir(join(dir, 'work'));
  await writeFile(join(dir, 'inputs', 'build-python.sh'), 'mkdir "$OUT/python"; echo "$PWD" > "$OUT/python/where"\n');
  await writeFile(join(dir, 'inputs', 'cpython.sh'), 'echo "$PWD $WORK $OUT $(cat "$BUILD_PYTHON/where")"\n');
  await writeFile(join(dir, 'compile.sh'), driver);
  await chmod(join(dir, 'compile.sh'), 0o755);
  const work = join(dir, 'work');
  const said = execFileSync('sh', [join(dir, 'compile.sh')], {
    cwd: work,
    env: { PATH: process.env['PATH'], WORK: work, OUT: join(dir, 'out'), BUILD_PYTHON: join(dir, 'build-python') },
    encoding: 'utf8',
  });
  expect(said).toBe(`${work}/target ${work}/target ${join(dir, 'out')} ${work}/builder\n`);
});
