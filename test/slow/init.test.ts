// Projects of `make-runtime init`, judged by the tools that would deploy them: their local test is run; cfn-lint (with
// SAM's own translator, as `sam validate --lint` uses it), the CDK's synth and TypeScript, Terraform where it is
// installed (else an HCL parser), and the AWS CLI against a server that records what would have been asked of Lambda.
// CDK in Python takes a minute to start its JavaScript, and so runs with `npm run test:thorough`.
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { execa } from 'execa';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { initProject } from '../../build/init/init.ts';
import {
  type PackageKind,
  packageKinds,
  type SampleName,
  sampleNames,
  samples,
  type Target,
  unavailable,
} from '../../build/init/model.ts';
import type { Context } from '../../build/lib/context.ts';
import { exists } from '../../build/lib/folder.ts';
import { thoroughTest } from '../support/thorough.ts';
import { build, cli, root } from './judges/layer.ts';

let dir: string;
let layer: string;
let tools: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'make-runtime-init-'));
  const given = process.env['MAKE_RUNTIME_TEST_LAYERS']?.split(':').find((path) => path.includes('t-'));
  layer = given ?? (await build('3.13t', join(dir, 'out')));
  tools = join(dir, 'tools');
  await execa('python3', ['-m', 'venv', tools]);
  await pip('-r', join(import.meta.dirname, 'judges', 'init-requirements.txt'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const pip = (...args: string[]) =>
  execa(join(tools, 'bin', 'pip'), ['install', '--quiet', '--disable-pip-version-check', ...args]);

const ctx = { packageDir: root, signal: new AbortController().signal } as Context;
const write = async (target: Target, kind: PackageKind, name: SampleName): Promise<string> => {
  const folder = join(dir, `${target}-${kind}-${name}`);
  const project = { name: 'sample-1', target, package: kind, sample: samples[name], recipe: '3.13t' } as const;
  if (await exists(folder)) return folder;
  await initProject(folder, { ...project, arch: process.arch === 'arm64' ? 'arm64' : 'x86_64' }, ctx);
  await symlink(layer, join(folder, 'layer.zip'));
  await mkdir(join(folder, 'build', 'function'), { recursive: true });
  await cp(join(folder, 'src', 'app.py'), join(folder, 'build', 'function', 'app.py'));
  await execa('python3', ['-m', 'zipfile', '-c', 'function.zip', 'src/app.py'], { cwd: folder });
  return folder;
};

test.each(sampleNames)('the local test of %s passes', async (name) => {
  const folder = await write('cli', 'layer', name);
  const { stderr } = await execa('python3', ['-m', 'unittest'], {
    cwd: folder,
    env: { MAKE_RUNTIME: `${process.execPath} ${cli}` },
  });
  expect(stderr).toMatch(/Ran 1 test[\s\S]*\nOK/);
});

test('build.sh makes what is deployed', async () => {
  const folder = join(dir, 'built');
  const { exitCode } = await execa(process.execPath, [cli, 'init', folder, '--sample', 'plain'], { cwd: root });
  expect(exitCode).toBe(0);
  // The runtime itself is built by other tests: here `build` only says where it is.
  const fake = join(dir, 'make-runtime');
  await writeFile(
    fake,
    `#!/bin/sh\ncase "$1" in build) echo "${layer}" ;; *) exec ${process.execPath} ${cli} "$@" ;; esac\n`,
    { mode: 0o755 },
  );
  await execa('sh', ['build.sh'], { cwd: folder, env: { MAKE_RUNTIME: fake } });
  await execa('python3', ['-m', 'unittest'], { cwd: folder, env: { MAKE_RUNTIME: fake } });
  const verdict = await execa(process.execPath, [
    cli,
    'verify',
    layer,
    '--code',
    join(folder, 'function.zip'),
    '--json',
  ]);
  expect(JSON.parse(verdict.stdout).findings).toContainEqual(
    expect.objectContaining({ check: 'code.pyc', level: 'pass' }),
  );
});

test('cfn-lint takes the templates of SAM', async () => {
  const folders: string[] = [];
  for (const kind of packageKinds) for (const name of sampleNames) folders.push(await write('sam', kind, name));
  const lint = (...files: string[]) => execa(join(tools, 'bin', 'cfn-lint'), files, { reject: false, all: true });
  const { exitCode, all } = await lint(...folders.map((folder) => join(folder, 'template.yaml')));
  expect(exitCode, all).toBe(0);
  const template = join(folders[0] as string, 'template.yaml');
  await writeFile(template, (await readFile(template, 'utf8')).replace('MemorySize: 512', 'MemorySize: lots'));
  expect((await lint(template)).exitCode).not.toBe(0);
});

test('the CDK synthesises the TypeScript apps', async () => {
  const modules = join(dir, 'node');
  await mkdir(modules);
  await writeFile(join(modules, 'package.json'), '{"private": true}');
  // A pair of releases that read each other's output.
  const packages = ['aws-cdk-lib@2.270.0', 'aws-cdk@2.1148.1', 'constructs@10.8.1', 'tsx@4', 'typescript@5'];
  await execa('npm', ['install', '--no-audit', '--no-fund', '--no-package-lock', ...packages], { cwd: modules });
  const combinations: [PackageKind, SampleName][] = [
    ['layer', 'streaming'],
    ['layer', 'managed-instances'],
    ['image', 'plain'],
  ];
  for (const [kind, name] of combinations) {
    const folder = await write('cdk-ts', kind, name);
    await symlink(join(modules, 'node_modules'), join(folder, 'node_modules'));
    const bin = join(modules, 'node_modules', '.bin');
    if (name === 'streaming') {
      await execa(join(bin, 'cdk'), ['synth', '--quiet'], { cwd: folder });
      await execa(join(bin, 'tsc'), ['--project', folder], { cwd: folder });
    } else await execa(join(bin, 'tsx'), ['app.ts'], { cwd: folder, env: { CDK_OUTDIR: join(folder, 'cdk.out') } });
    judgeSynthesised(JSON.parse(await readFile(join(folder, 'cdk.out', 'sample-1.template.json'), 'utf8')), kind, name);
  }
});

thoroughTest('the CDK synthesises the Python apps', async () => {
  await pip('aws-cdk-lib==2.270.0');
  for (const [kind, name] of [
    ['layer', 'managed-instances'],
    ['image', 'streaming'],
  ] as const) {
    const folder = await write('cdk-python', kind, name);
    await execa(join(tools, 'bin', 'python'), ['infra.py'], {
      cwd: folder,
      env: { CDK_OUTDIR: join(folder, 'cdk.out') },
    });
    judgeSynthesised(JSON.parse(await readFile(join(folder, 'cdk.out', 'sample-1.template.json'), 'utf8')), kind, name);
  }
});

interface Template {
  readonly Resources: Record<string, { readonly Type: string; readonly Properties: Record<string, unknown> }>;
}

function judgeSynthesised(template: Template, kind: PackageKind, name: SampleName): void {
  const of = (type: string) => Object.values(template.Resources).find(({ Type }) => Type === type)?.Properties;
  const fn = of('AWS::Lambda::Function');
  expect(fn).toMatchObject({ MemorySize: samples[name].memory, Timeout: samples[name].timeout });
  if (kind === 'image') expect(fn).toMatchObject({ PackageType: 'Image' });
  else expect(fn).toMatchObject({ Runtime: 'provided.al2023', Handler: 'app.handler', Layers: [expect.anything()] });
  expect(of('AWS::Lambda::Url')?.['InvokeMode']).toBe(samples[name].streams ? 'RESPONSE_STREAM' : undefined);
  if (name === 'managed-instances')
    expect(fn).toMatchObject({
      CapacityProviderConfig: {
        LambdaManagedInstancesCapacityProviderConfig: { PerExecutionEnvironmentMaxConcurrency: 16 },
      },
    });
}

test('Terraform takes its projects', async ({ skip }) => {
  const folders: string[] = [];
  for (const kind of packageKinds)
    for (const name of sampleNames)
      if (unavailable({ target: 'terraform', sample: samples[name] }) === undefined)
        folders.push(await write('terraform', kind, name));
  const parse = 'import hcl2, sys\nfor path in sys.argv[1:]: hcl2.load(open(path))';
  const files = folders.map((folder) => join(folder, 'main.tf'));
  await execa(join(tools, 'bin', 'python'), ['-c', parse, ...files]);
  const run = (folder: string, ...args: string[]) =>
    execa('terraform', args, { cwd: folder, reject: false, all: true });
  const version = await run(dir, 'version');
  if (version.exitCode !== 0) return skip('terraform is not installed: the files were parsed, not validated');
  for (const folder of folders) expect((await run(folder, 'fmt', '-check', '-diff')).stdout).toBe('');
  const plugins = process.env['MAKE_RUNTIME_TEST_TERRAFORM_PLUGINS'];
  for (const folder of [join(dir, 'terraform-layer-streaming'), join(dir, 'terraform-image-plain')]) {
    const init = await run(folder, 'init', '-input=false', ...(plugins ? [`-plugin-dir=${plugins}`] : []));
    if (init.exitCode !== 0)
      return skip(
        'Terraform’s registry was not reached (MAKE_RUNTIME_TEST_TERRAFORM_PLUGINS names a mirror): formatted, not validated',
      );
    const valid = await run(folder, 'validate');
    expect(valid.exitCode, valid.all).toBe(0);
  }
});

test('the AWS CLI takes deploy.sh, and asks Lambda for the right things', async () => {
  const asked: { method: string; path: string; body: Record<string, unknown> }[] = [];
  let exists = false;
  const server = createServer(async (request, response) => {
    const path = (request.url ?? '').replace(/^\/\d{4}-\d{2}-\d{2}/, '');
    const text = (await buffer(request)).toString();
    asked.push({ method: request.method ?? '', path, body: text === '' ? {} : JSON.parse(text) });
    const answer = (status: number, body: unknown): void => {
      response.writeHead(status, {
        'Content-Type': 'application/json',
        'X-Amzn-ErrorType': 'ResourceNotFoundException',
      });
      response.end(JSON.stringify(body));
    };
    const state = { State: 'Active', LastUpdateStatus: 'Successful' };
    if (path.endsWith('/versions') && path.startsWith('/layers'))
      return answer(201, { LayerVersionArn: 'arn:aws:lambda:eu-central-1:123456789012:layer:sample-1-runtime:7' });
    if (request.method === 'GET' && !exists) return answer(404, { Message: 'no' });
    if (request.method === 'POST' && path === '/functions') exists = true;
    if (path.endsWith('/url')) return answer(201, { FunctionUrl: 'https://example' });
    return answer(200, { Configuration: state, ...state });
  });
  await new Promise<void>((settle) => server.listen(0, '127.0.0.1', settle));
  const env = {
    PATH: `${join(tools, 'bin')}:${process.env['PATH']}`,
    AWS_ENDPOINT_URL: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    AWS_DEFAULT_REGION: 'eu-central-1',
    AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE',
    AWS_SECRET_ACCESS_KEY: 'example',
    AWS_PAGER: '',
    ROLE_ARN: 'arn:aws:iam::123456789012:role/function',
    IMAGE_URI: `123456789012.dkr.ecr.eu-central-1.amazonaws.com/sample@sha256:${'0'.repeat(64)}`,
    CAPACITY_PROVIDER_ARN: 'arn:aws:lambda:eu-central-1:123456789012:capacity-provider:mine',
  };
  try {
    for (const [kind, name] of [
      ['layer', 'managed-instances'],
      ['image', 'streaming'],
    ] as const) {
      asked.length = 0;
      exists = false;
      const folder = await write('cli', kind, name);
      const first = await execa('sh', ['deploy.sh'], { cwd: folder, env, reject: false, all: true });
      expect(first.exitCode, first.all).toBe(0);
      const created = asked.find(({ method, path }) => method === 'POST' && path === '/functions')?.body;
      expect(created).toMatchObject({ FunctionName: 'sample-1', MemorySize: samples[name].memory, Role: env.ROLE_ARN });
      if (kind === 'layer')
        expect(created).toMatchObject({
          Layers: [expect.stringContaining(':layer:sample-1-runtime:7')],
          Publish: true,
          CapacityProviderConfig: {
            LambdaManagedInstancesCapacityProviderConfig: { PerExecutionEnvironmentMaxConcurrency: 16 },
          },
        });
      else {
        expect(created).toMatchObject({ PackageType: 'Image', Code: { ImageUri: env.IMAGE_URI } });
        expect(asked.find(({ path }) => path.endsWith('/url'))?.body).toMatchObject({ InvokeMode: 'RESPONSE_STREAM' });
      }
      asked.length = 0;
      await execa('sh', ['deploy.sh'], { cwd: folder, env });
      expect(asked.map(({ method, path }) => `${method} ${path}`)).toContain('PUT /functions/sample-1/code');
    }
  } finally {
    server.close();
  }
});
