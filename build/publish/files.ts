// What is published -> files that people commit: a table, and the ARNs for CDK, SAM, CloudFormation and Terraform. Regions
// that a run did not reach keep what an earlier run wrote about them. It asks nothing of AWS.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MakeRuntimeError } from '../lib/errors.ts';
import { writeWhole } from '../lib/folder.ts';
import { stableJson } from '../recipe/canonical.ts';
import type { LayerVersionContent } from './layer-region.ts';

/** One layer name in one region. */
export interface PublishedArn {
  readonly arn: string;
  readonly version: number;
  readonly description: string;
  readonly architecture: string;
  readonly codeSha256: string;
  readonly size: number;
  readonly created: string;
}

/** layer name -> region -> version */
export type PublishedLayers = Readonly<Record<string, Readonly<Record<string, PublishedArn>>>>;

const record = 'layers.json';

/**
 * Brings the files in `folder` up to date, whole or not at all each; layers.json is what the others are made from.
 * @returns their paths
 * @throws USAGE for a layers.json that something else wrote; DISK_FULL
 */
export async function writeFiles(
  folder: string,
  name: string,
  versions: ReadonlyMap<string, LayerVersionContent>,
): Promise<readonly string[]> {
  const before = await readRecord(join(folder, record));
  const regions = { ...before[name] };
  for (const [region, version] of versions) regions[region] = entryOf(version);
  const layers = sorted({ ...before, [name]: regions });
  const texts = {
    'layers.md': markdown(layers),
    'layers.cdk.ts': cdk(layers),
    'layers.mapping.yaml': `${written('#')}\n${mappings(layers)}`,
    'layers.sam.yaml': sam(layers),
    'layers.tf': terraform(layers),
    [record]: stableJson({ layers }), // Last: it is what a re-run goes by.
  };
  const paths: string[] = [];
  for (const [file, text] of Object.entries(texts)) {
    const path = join(folder, file);
    await writeWhole(path, text);
    paths.push(path);
  }
  return paths;
}

function entryOf({ arn, version, metadata, codeSha256, size, created }: LayerVersionContent): PublishedArn {
  const { description, architectures } = metadata;
  return { arn, version, description, architecture: architectures[0] ?? '', codeSha256, size, created };
}

async function readRecord(path: string): Promise<PublishedLayers> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw error;
  }
  try {
    const { layers }: { layers?: PublishedLayers } = JSON.parse(text);
    const entries = Object.values(layers ?? {}).flatMap((regions) => Object.values(regions));
    if (layers !== undefined && entries.every((entry) => entry.arn.startsWith('arn:'))) return layers;
  } catch {
    // Said below.
  }
  throw new MakeRuntimeError('USAGE', `${path} is not a list of layers that make-runtime wrote.`, {
    remedy: 'Choose another folder for --write, or remove the file.',
  });
}

function sorted(layers: PublishedLayers): PublishedLayers {
  const byKey = <Value>(record: Readonly<Record<string, Value>>) =>
    Object.fromEntries(Object.entries(record).sort(([one], [other]) => (one < other ? -1 : 1)));
  return byKey(Object.fromEntries(Object.entries(layers).map(([name, regions]) => [name, byKey(regions)])));
}

function written(comment: string): string {
  return `${comment} Written by make-runtime publish --write; changes are overwritten.`;
}

function markdown(layers: PublishedLayers): string {
  const sections = Object.entries(layers).map(([name, regions]) => {
    const rows = Object.entries(regions).map(
      ([region, { arn, description }]) => `| ${region} | \`${arn}\` | ${description.replace(/[|\n]/g, ' ')} |`,
    );
    return [`## ${name}`, '', '| region | ARN | what |', '|---|---|---|', ...rows, ''].join('\n');
  });
  return `<!-- Written by make-runtime publish --write; changes are overwritten. -->\n# Layers\n\n${sections.join('\n')}`;
}

/** layer name -> region -> ARN, in the notation of JavaScript and HCL objects. */
function arnsOnly(layers: PublishedLayers): Record<string, Record<string, string>> {
  return Object.fromEntries(
    Object.entries(layers).map(([name, regions]) => [
      name,
      Object.fromEntries(Object.entries(regions).map(([region, { arn }]) => [region, arn])),
    ]),
  );
}

function cdk(layers: PublishedLayers): string {
  return `${written('//')}
import { aws_lambda, CfnMapping, Stack, Token } from 'aws-cdk-lib';
import type { Construct } from 'constructs';

export const layerArns = ${JSON.stringify(arnsOnly(layers), null, 2)} as const;

/** The layer in the region of the stack, also of one that only learns its region when it is deployed. */
export function runtimeLayer(scope: Construct, id: string, name: keyof typeof layerArns): aws_lambda.ILayerVersion {
  const { region } = Stack.of(scope);
  const arns: Readonly<Record<string, string>> = layerArns[name];
  const mapping = () => Object.fromEntries(Object.entries(arns).map(([region, Arn]) => [region, { Arn }]));
  const arn = Token.isUnresolved(region)
    ? new CfnMapping(scope, \`\${id}Arns\`, { mapping: mapping() }).findInMap(region, 'Arn')
    : arns[region];
  if (arn === undefined) throw new Error(\`\${name} is not published in \${region}\`);
  return aws_lambda.LayerVersion.fromLayerVersionArn(scope, id, arn);
}
`;
}

/** Logical ids of CloudFormation have letters and digits only; two names may come to the same. */
function logicalIds(layers: PublishedLayers): ReadonlyMap<string, string> {
  const ids = new Map<string, string>();
  for (const name of Object.keys(layers)) {
    const words = name.split(/[^a-zA-Z0-9]+/).filter(Boolean);
    const id = `${words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('')}Layer`;
    const taken = new Set(ids.values());
    let number = 1;
    while (taken.has(number === 1 ? id : `${id}${number}`)) number += 1;
    ids.set(name, number === 1 ? id : `${id}${number}`);
  }
  return ids;
}

function mappings(layers: PublishedLayers): string {
  const ids = logicalIds(layers);
  const lines = Object.entries(layers).flatMap(([name, regions]) => [
    `  ${ids.get(name)}:`,
    ...Object.entries(regions).flatMap(([region, { arn }]) => [`    ${region}:`, `      Arn: ${arn}`]),
  ]);
  return ['Mappings:', ...lines, ''].join('\n');
}

function sam(layers: PublishedLayers): string {
  const functions = [...logicalIds(layers)].flatMap(([name, id]) => [
    `  ${id.replace(/Layer(\d*)$/, 'Function$1')}:`,
    '    Type: AWS::Serverless::Function',
    '    Properties:',
    '      Runtime: provided.al2023',
    `      Architectures: [${Object.values(layers[name] ?? {})[0]?.architecture || 'x86_64'}]`,
    '      Handler: app.handler',
    '      CodeUri: src/',
    '      Layers:',
    `        - !FindInMap [${id}, !Ref AWS::Region, Arn]`,
  ]);
  return [
    written('#'),
    '# A template to take from: the mappings, and how a function refers to them.',
    'AWSTemplateFormatVersion: "2010-09-09"',
    'Transform: AWS::Serverless-2016-10-31',
    `${mappings(layers)}Resources:`,
    ...functions,
    '',
  ].join('\n');
}

function terraform(layers: PublishedLayers): string {
  const rows = Object.entries(arnsOnly(layers)).flatMap(([name, regions]) => [
    `    "${name}" = {`,
    ...Object.entries(regions).map(([region, arn]) => `      "${region}" = "${arn}"`),
    '    }',
  ]);
  const name = Object.keys(layers)[0] ?? 'name';
  return [
    written('#'),
    '# data "aws_region" "current" {}',
    '# resource "aws_lambda_function" "example" {',
    '#   runtime = "provided.al2023"',
    `#   layers  = [local.make_runtime_layers["${name}"][data.aws_region.current.name]]`,
    '# }',
    'locals {',
    '  make_runtime_layers = {',
    ...rows,
    '  }',
    '}',
    '',
  ].join('\n');
}
