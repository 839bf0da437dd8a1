// Functions and events that scenarios share. Packages are pinned, so that figures of different days are of the same code.
import type { FunctionFolder, Runtime } from '../runtimes/runtime.ts';

export interface Handler {
  readonly name: string;
  /** In a sentence or a table: "echo of 1 KB". */
  readonly title: string;
  readonly source: string;
  readonly packages?: readonly string[];
  readonly event: () => string;
}

/** 50 bytes, as in issue 3's table. */
export const smallEvent = '{"key":"value","number":42,"list":[1,2,3],"t":"s"}';

const echoSource = 'def handler(event, context):\n    return event\n';

export const echo: Handler = { name: 'echo', title: 'trivial', source: echoSource, event: () => smallEvent };

export const echo1k: Handler = { ...echo, title: 'echo of 1 KB', event: () => records(1000) };
export const echo1m: Handler = { ...echo, title: 'echo of 1 MB', event: () => records(1_000_000) };
export const echoRecords: Handler = { ...echo, title: 'echo of 5.9 MB, records', event: () => records(5_900_000) };
export const echoText: Handler = { ...echo, title: 'echo of 5.9 MB, one text', event: () => text(5_900_000) };

/** Two clients, made at import as AWS recommends; the handler signs an address, and no request is sent. */
export const boto3: Handler = {
  name: 'boto3',
  title: 'two boto3 clients',
  source: `import boto3

bucket = boto3.client('s3')
table = boto3.client('dynamodb')


def handler(event, context):
    return bucket.generate_presigned_url('get_object', Params={'Bucket': 'b', 'Key': 'k'}, ExpiresIn=60)
`,
  packages: [
    'boto3==1.44.5',
    'botocore==1.44.5',
    'jmespath==1.1.0',
    'python-dateutil==2.9.0.post0',
    's3transfer==0.19.3',
    'six==1.17.0',
    'urllib3==2.8.0',
  ],
  event: () => smallEvent,
};

/** The newest that have wheels for CPython 3.10 to 3.14 and for 3.13t. */
export const fastapi: Handler = {
  name: 'fastapi',
  title: 'FastAPI through Mangum',
  source: `from fastapi import FastAPI
from mangum import Mangum
from pydantic import BaseModel


class Item(BaseModel):
    name: str
    price: float
    tags: list[str] = []


app = FastAPI()


@app.post('/items/{number}')
async def add(number: int, item: Item, page: int = 1):
    return {'number': number, 'page': page, 'item': item}


handler = Mangum(app, lifespan='off')
`,
  packages: [
    'annotated-doc==0.0.6',
    'annotated-types==0.8.0',
    'anyio==4.16.0',
    'fastapi==0.162.5',
    'idna==3.20',
    'mangum==0.22.0',
    'opentelemetry-api==1.45.2',
    'pydantic==2.12.3',
    'pydantic_core==2.41.4',
    'starlette==1.7.0',
    'typing-inspection==0.4.5',
    'typing_extensions==4.16.0',
  ],
  event: () =>
    JSON.stringify({
      version: '2.0',
      routeKey: '$default',
      rawPath: '/items/7',
      rawQueryString: 'page=2',
      headers: { accept: '*/*', 'content-type': 'application/json', host: 'id.execute-api.us-east-1.amazonaws.com' },
      queryStringParameters: { page: '2' },
      requestContext: {
        accountId: '123456789012',
        apiId: 'id',
        domainName: 'id.execute-api.us-east-1.amazonaws.com',
        domainPrefix: 'id',
        http: { method: 'POST', path: '/items/7', protocol: 'HTTP/1.1', sourceIp: '192.0.2.1', userAgent: 'bench' },
        requestId: 'JKJaXmPLvHcESHA=',
        routeKey: '$default',
        stage: '$default',
        time: '21/Nov/2026:12:00:00 +0000',
        timeEpoch: 1795262400000,
      },
      body: '{"name":"lamp","price":9.5,"tags":["a","b"]}',
      isBase64Encoded: false,
    }),
};

/** A handler that counts the primes below a limit, by trial division: nothing but the interpreter. */
export const primesBelow = (limit: number): string => `def handler(event, context):
    found = 0
    for number in range(2, ${limit}):
        divisor = 2
        while divisor * divisor <= number:
            if number % divisor == 0:
                break
            divisor += 1
        else:
            found += 1
    return found
`;

export const compute: Handler = {
  name: 'compute',
  title: 'CPU-bound',
  source: primesBelow(4000),
  event: () => smallEvent,
};

export const functionOf = (runtime: Runtime, { name, source, packages = [] }: Handler): Promise<FunctionFolder> =>
  runtime.fn(name, source, packages);

/** Rows as an API or a queue would carry them: text, whole and broken numbers, short lists, nested objects. */
function records(bytes: number): string {
  const rows: string[] = [];
  for (let id = 0, length = 14; ; id += 1) {
    const row = JSON.stringify({
      id,
      name: `customer ${id}`,
      email: `customer${id}@example.com`,
      balance: Math.round(id * 137) / 100,
      active: id % 3 === 0,
      tags: ['a', 'b', `tag${id % 17}`],
      address: { street: `${id} Long Street`, city: 'Zürich', zip: null },
    });
    length += Buffer.byteLength(row) + 1;
    if (length > bytes) return `{"records":[${rows.join(',')}]}`;
    rows.push(row);
  }
}

/** A file in base64, as API Gateway delivers uploads. */
function text(bytes: number): string {
  const file = Buffer.alloc(Math.floor(((bytes - 64) * 3) / 4));
  for (let at = 0, state = 1; at < file.length; at += 1) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    file[at] = state >>> 24;
  }
  return JSON.stringify({ isBase64Encoded: true, body: file.toString('base64') });
}
