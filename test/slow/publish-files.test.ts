// The files that publish --write makes, before the parsers of those whose formats they are: CloudFormation's linter (which
// also expands SAM), an HCL parser, and the CDK itself, which compiles and synthesizes.
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { writeFiles } from '../../build/publish/files.ts';
import type { LayerVersionContent } from '../../build/publish/layer-region.ts';
import { judgesPython } from './judges/aws.ts';
import { root } from './judges/layer.ts';

let dir: string;
let python: string;
const names = ['python313t', 'my-python_3-12'];
const regions = ['eu-west-1', 'us-east-1', 'ap-southeast-2'];
const arnOf = (name: string, region: string) => `arn:aws:lambda:${region}:123456789012:layer:${name}:7`;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'make-runtime-publish-files-'));
  python = await judgesPython();
  for (const name of names) {
    const versions = regions.map((region): [string, LayerVersionContent] => [
      region,
      {
        version: 7,
        arn: arnOf(name, region),
        created: '2026-11-21T18:00:00.000+0000',
        codeSha256: 'AAAA',
        size: 12_000_000,
        location: '',
        metadata: {
          description: 'CPython 3.13.15 free-threaded x86_64 release, plan 0123456789abcdef',
          runtimes: ['provided.al2023'],
          architectures: ['x86_64'],
          licence: '',
        },
      },
    ]);
    await writeFiles(join(dir, 'files'), name, new Map(versions));
  }
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const lint = (path: string) =>
  execa(
    python,
    [
      '-c',
      'from cfnlint.runner import main; main()',
      '--regions',
      ...regions,
      '--format',
      'parseable',
      '--template',
      path,
    ],
    {
      reject: false,
      all: true,
    },
  );

test('SAM: a template that the linter expands and accepts', async () => {
  await mkdir(join(dir, 'files', 'src'));
  const { all, exitCode } = await lint(join(dir, 'files', 'layers.sam.yaml'));
  expect([exitCode, all]).toEqual([0, '']);
});

test('CloudFormation: the mapping beside a function that refers to it; the linter minds a wrong one', async () => {
  const mapping = await readFile(join(dir, 'files', 'layers.mapping.yaml'), 'utf8');
  const template = (id: string) => `AWSTemplateFormatVersion: "2010-09-09"
${mapping}Resources:
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Version: "2012-10-17"
        Statement: [{ Effect: Allow, Principal: { Service: lambda.amazonaws.com }, Action: sts:AssumeRole }]
  Function:
    Type: AWS::Lambda::Function
    Properties:
      Runtime: provided.al2023
      Handler: app.handler
      Role: !GetAtt Role.Arn
      Code: { S3Bucket: mine, S3Key: code.zip }
      Layers:
        - !FindInMap [Python313tLayer, !Ref AWS::Region, Arn]
        - !FindInMap [${id}, !Ref AWS::Region, Arn]
`;
  await writeFile(join(dir, 'good.yaml'), template('MyPython312Layer'));
  expect(await lint(join(dir, 'good.yaml')).then(({ exitCode, all }) => [exitCode, all])).toEqual([0, '']);
  await writeFile(join(dir, 'bad.yaml'), template('NoSuchLayer'));
  expect((await lint(join(dir, 'bad.yaml'))).all).toContain('NoSuchLayer');
});

test('Terraform: the same ARNs, read by an HCL parser', async () => {
  const script =
    'import hcl2, json, sys; print(json.dumps(hcl2.load(open(sys.argv[1]))["locals"][0]["make_runtime_layers"]))';
  const { stdout } = await execa(python, ['-c', script, join(dir, 'files', 'layers.tf')]);
  const unquoted = stdout.replaceAll('\\"', ''); // The parser keeps the quotes of keys and strings.
  expect(JSON.parse(unquoted)).toMatchObject(
    Object.fromEntries(
      names.map((name) => [name, Object.fromEntries(regions.map((region) => [region, arnOf(name, region)]))]),
    ),
  );
});

describe('CDK', () => {
  test('compiles strictly and synthesizes, with a region and without', async () => {
    const app = join(dir, 'cdk');
    await mkdir(app);
    await writeFile(join(app, 'package.json'), '{"private": true, "type": "module"}');
    const packages = ['aws-cdk-lib@2.276.0', 'constructs@10.7.0'];
    await execa('npm', ['install', '--no-audit', '--no-fund', '--ignore-scripts', ...packages], { cwd: app });
    await writeFile(join(app, 'layers.cdk.ts'), await readFile(join(dir, 'files', 'layers.cdk.ts')));
    await writeFile(
      join(app, 'app.ts'),
      `import { App, aws_lambda, Stack } from 'aws-cdk-lib';
import { runtimeLayer } from './layers.cdk.ts';
const app = new App();
for (const [id, env] of [['Fixed', { region: 'eu-west-1', account: '123456789012' }], ['Open', undefined]] as const) {
  const stack = new Stack(app, id, env === undefined ? {} : { env });
  new aws_lambda.Function(stack, 'Function', {
    runtime: aws_lambda.Runtime.PROVIDED_AL2023,
    handler: 'app.handler',
    code: aws_lambda.Code.fromInline('x'),
    layers: [runtimeLayer(stack, 'Python', 'python313t')],
  });
}
const outcome = () => {
  try {
    runtimeLayer(new Stack(app, 'Elsewhere', { env: { region: 'me-south-1' } }), 'Python', 'python313t');
    return 'found';
  } catch (error) {
    return (error as Error).message;
  }
};
const wrong = outcome();
const assembly = app.synth();
console.log(JSON.stringify({ wrong, templates: Object.fromEntries(assembly.stacks.map(({ stackName, template }) => [stackName, template])) }));
`,
    );
    const tsc = join(root, 'node_modules', '.bin', 'tsc');
    const strict = ['--strict', '--noUncheckedIndexedAccess', '--skipLibCheck', '--noEmit', '--types', 'node'];
    const roots = ['--typeRoots', join(root, 'node_modules', '@types')];
    const modules = ['--module', 'nodenext', '--target', 'es2022', '--allowImportingTsExtensions'];
    const checked = await execa(tsc, [...strict, ...roots, ...modules, 'app.ts'], {
      cwd: app,
      reject: false,
      all: true,
    });
    expect(checked.all).toBe('');
    // Code.fromInline() knows which runtimes take it, and provided.al2023 is not among them.
    const source = await readFile(join(app, 'app.ts'), 'utf8');
    await writeFile(join(app, 'app.ts'), source.replace("Code.fromInline('x')", 'Code.fromAsset(import.meta.dirname)'));
    const { stdout } = await execa(process.execPath, [join(root, 'node_modules', '.bin', 'tsx'), 'app.ts'], {
      cwd: app,
    });
    const { wrong, templates } = JSON.parse(stdout.trim().split('\n').at(-1) ?? '');
    expect(wrong).toBe('python313t is not published in me-south-1');
    const { Fixed: fixed, Open: open } = templates;
    const layersOf = (template: { Resources: Record<string, { Type: string; Properties: { Layers?: unknown } }> }) =>
      Object.values(template.Resources).find(({ Type }) => Type === 'AWS::Lambda::Function')?.Properties.Layers;
    expect(layersOf(fixed)).toEqual([arnOf('python313t', 'eu-west-1')]);
    expect(layersOf(open)).toEqual([{ 'Fn::FindInMap': ['PythonArns', { Ref: 'AWS::Region' }, 'Arn'] }]);
    expect(open.Mappings.PythonArns['us-east-1']).toEqual({ Arn: arnOf('python313t', 'us-east-1') });
  });
});
