import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  bakeFiles,
  type ContainerPlan,
  librariesName,
  requireContainerPlan,
  requireStoredProfile,
  targetName,
} from '../../build/compile/bake.ts';
import { libraryScript } from '../../build/compile/libraries-script.ts';
import { compileScript } from '../../build/compile/script.ts';
import type { Builder, Library } from '../../build/recipe/model.ts';
import { plan } from '../../build/recipe/plan.ts';
import { bootstrap, lock, shipped } from '../recipe/support/plans.ts';

const installed = ['gcc 4:12.2.0-3', 'libssl-dev 3.0.17-1'];
const builder: Builder = {
  engine: 'container',
  image: {
    reference: 'public.ecr.aws/lambda/provided:al2023@sha256:1',
    rootfs: 'f'.repeat(64),
    packages: createHash('sha256')
      .update(installed.map((line) => `${line}\n`).join(''))
      .digest('hex'),
  },
  system: 'Amazon Linux 2023',
  compiler: "cc (it's) 11.5.0",
  packages: {},
};

async function planOf(name: string, arch: 'x86_64' | 'arm64', by: Builder = builder): Promise<ContainerPlan> {
  const made = plan(await shipped(name), { flavor: 'default', arch, profile: 'fast' }, await lock(), by, bootstrap);
  return made as ContainerPlan;
}

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'make-runtime-bake-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

test('one target for each plan, over the same texts that an engine runs', async () => {
  const plans = [await planOf('3.13', 'x86_64'), await planOf('3.13', 'arm64'), await planOf('3.12', 'x86_64')];
  const files = bakeFiles(plans);
  const bake = JSON.parse(files.get('docker-bake.json') as string);
  expect(bake.group.default.targets).toEqual([
    'python3_13-x86_64-fast',
    'python3_13-arm64-fast',
    'python3_12-x86_64-fast',
  ]);
  expect(bake.target['python3_13-arm64-fast']).toMatchObject({
    platforms: ['linux/arm64'],
    args: { PLAN: 'python3.13-arm64-fast', SOURCE_SHA256: plans[1]?.source.sha256, NODE: '${NODE}' },
    output: ['type=local,dest=out/python3.13-arm64-fast'],
  });
  for (const one of plans) {
    expect(targetName(one)).toMatch(/^[\w-]+$/);
    expect(files.get(`plans/${one.name}/inputs/compile.sh`)).toBe(compileScript(one));
    expect(JSON.parse(files.get(`plans/${one.name}/plan.json`) as string)).toEqual(one);
    const { PACKAGES, LIBRARIES } = bake.target[targetName(one)].args;
    for (const script of [`packages/${PACKAGES}`, `libraries/${LIBRARIES}/build.sh`, `plans/${one.name}/link.sh`])
      execFileSync('sh', ['-n'], { input: files.get(script) });
  }
  // Plans with the same packages share the stage that installs them.
  expect([...files.keys()].filter((path) => path.startsWith('packages/')).length).toBe(1);
});

test('libraries from source are compiled by their own scripts, once for all plans that share them', async () => {
  const source = await Promise.all(
    ['3.13', '3.12'].map(async (name) => {
      const choice = { flavor: 'default', arch: 'x86_64', profile: 'fast', libraries: 'source' } as const;
      return plan(await shipped(name), choice, await lock(), builder, bootstrap) as ContainerPlan;
    }),
  );
  const files = bakeFiles(source);
  const [first] = source as [ContainerPlan];
  const folder = `libraries/${librariesName(first)}`;
  const openssl = first.libraries.find(({ name }) => name === 'openssl');
  expect(files.get(`${folder}/openssl/library.sh`)).toBe(libraryScript(openssl as Library, first));
  expect(files.get(`${folder}/build.sh`)).toContain('sha256sum -c SHA256SUMS');
  execFileSync('sh', ['-n'], { input: files.get(`${folder}/build.sh`) });
  const again = bakeFiles([first, { ...first, name: 'another' }]);
  expect([...again.keys()].filter((path) => path.endsWith('openssl/library.sh')).length).toBe(1);
});

test('a plan that would be trained needs a stored profile', async () => {
  const choice = { flavor: 'default', arch: 'x86_64', profile: 'release', training: 'a'.repeat(64) } as const;
  const trained = plan(await shipped('3.13'), choice, await lock(), builder, bootstrap);
  expect(() => requireStoredProfile(trained, undefined)).toThrow(expect.objectContaining({ code: 'USAGE' }));
  const stored = plan(
    await shipped('3.13'),
    { ...choice, profileData: 'b'.repeat(64) },
    await lock(),
    builder,
    bootstrap,
  );
  expect(() => requireStoredProfile(stored, undefined)).toThrow(expect.objectContaining({ code: 'USAGE' }));
  requireStoredProfile(stored, './profile.tar');
});

test('every step but that of the packages is without network', async () => {
  const text = bakeFiles([await planOf('3.13', 'x86_64')]).get('Dockerfile') as string;
  const runs = text.split('\n').filter((line) => line.startsWith('RUN '));
  expect(runs.length).toBeGreaterThan(4);
  expect(runs.filter((line) => !line.startsWith('RUN --network=none '))).toEqual([
    'RUN ["/bin/sh", "/make-runtime/packages.sh"]',
  ]);
});

test('the packages stage takes the versions of the plan and nothing else', async () => {
  const files = bakeFiles([await planOf('3.13', 'x86_64')]);
  const [, script = ''] = [...files].find(([path]) => path.startsWith('packages/')) ?? [];
  const bin = join(dir, 'bin');
  await mkdir(bin);
  const tool = (name: string, text: string) => writeFile(join(bin, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  const state = join(dir, 'installed');
  await tool('dpkg-query', `cat '${state}'`);
  await tool('cc', `echo "cc (it's) 11.5.0"; echo second line`);
  const run = () => spawnSync('sh', { input: script, env: { PATH: `${bin}:/usr/bin:/bin` }, encoding: 'utf8' });

  await tool('apt-get', `echo "$@" >> '${dir}/apt'`);
  await writeFile(state, `${installed.toReversed().join('\n')}\nremoved \n`);
  expect(run()).toMatchObject({ status: 0, stderr: '' });
  expect(() => execFileSync('cat', [join(dir, 'apt')], { stdio: 'pipe' })).toThrow();

  await writeFile(state, 'gcc 4:12.2.0-3\n');
  await tool('apt-get', `case $1 in install) echo 'libssl-dev 3.0.17-1' >> '${state}';; esac`);
  expect(run().status).toBe(0);

  await writeFile(state, 'gcc 4:12.2.0-3\n');
  await tool('apt-get', `case $1 in install) echo 'libssl-dev 3.0.18-1' >> '${state}';; esac`);
  expect(run()).toMatchObject({ status: 1, stderr: expect.stringContaining('not the one the plan was made with') });

  await writeFile(state, `${installed.join('\n')}\n`);
  await tool('cc', 'echo "cc 12"');
  expect(run().status).toBe(1);
});

test('a plan of the host cannot be baked, nor one with packages', async () => {
  const host: Builder = { engine: 'host', system: 'Debian', compiler: 'cc', packages: {} };
  const made = await planOf('3.13', 'x86_64', host);
  expect(() => requireContainerPlan(made)).toThrow(expect.objectContaining({ code: 'USAGE' }));
  const extras = { ...(await planOf('3.13', 'x86_64')), extras: [] };
  expect(() => requireContainerPlan(extras)).toThrow(
    expect.objectContaining({ message: expect.stringContaining('bakes in') }),
  );
});
