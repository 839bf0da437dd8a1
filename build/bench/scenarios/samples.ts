// Functions and events that scenarios share.
import type { FunctionFolder, Workbench } from '../workbench.ts';

/** 50 bytes, as in issue 3's table. */
export const smallEvent = '{"key":"value","number":42,"list":[1,2,3],"t":"s"}';

/** Pinned, so that figures of different days are of the same code. */
const boto3 = [
  'boto3==1.44.5',
  'botocore==1.44.5',
  'jmespath==1.1.0',
  'python-dateutil==2.9.0.post0',
  's3transfer==0.19.3',
  'six==1.17.0',
  'urllib3==2.8.0',
];

export const echo = (bench: Workbench): Promise<FunctionFolder> =>
  bench.fn('echo', 'def handler(event, context):\n    return event\n');

/** Two clients of boto3, made at import as AWS recommends; no request is sent. */
export const twoClients = (bench: Workbench): Promise<FunctionFolder> =>
  bench.fn(
    'boto3',
    [
      'import boto3',
      '',
      "bucket = boto3.client('s3')",
      "table = boto3.client('dynamodb')",
      '',
      '',
      'def handler(event, context):',
      '    return event',
      '',
    ].join('\n'),
    boto3,
  );
