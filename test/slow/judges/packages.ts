// Functions with real packages: their folders, installed from pins for a layer's interpreter, and what they talk to, a
// stub of AWS that checks signatures and an X-Ray daemon. Refuses to know what the functions should answer.
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { cp, mkdir, readdir, readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { execa } from 'execa';
import { cli, type JudgedLayer, root } from './layer.ts';

const samples = join(import.meta.dirname, 'packages');

export type PinList = 'aws' | 'native' | 'otel';

/** Wheels that run on AL2023's glibc 2.34. pip takes the tags it is given, and no others. */
const glibcs = ['2014', '_2_17', '_2_24', '_2_27', '_2_28', '_2_34'];

/** A code folder with the sample functions and the pinned packages, or why pip could not make one. */
export async function functionFolder(
  layer: JudgedLayer,
  pins: PinList,
  folder: string,
): Promise<{ path: string } | { missing: string }> {
  const path = join(folder, `${pins}-${layer.version}`);
  await mkdir(path, { recursive: true });
  const digits = layer.version.replace(/[.t]/g, '');
  const machine = process.arch === 'arm64' ? 'aarch64' : 'x86_64';
  const result = await execa(
    'python3',
    [
      ...['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-deps', '--no-compile'],
      // Other bytes under the pinned version are refused: what runs is what was pinned.
      '--require-hashes',
      ...['--only-binary=:all:', '--target', path, '--implementation', 'cp', '--python-version', digits],
      ...['--abi', `cp${digits}${layer.freeThreaded ? 't' : ''}`, '--abi', 'none'],
      ...glibcs.flatMap((glibc) => ['--platform', `manylinux${glibc}_${machine}`]),
      ...['--requirement', join(samples, `requirements-${pins}.txt`)],
    ],
    { reject: false, all: true, timeout: 180_000 },
  );
  if (result.exitCode !== 0) return { missing: `pip: ${(result.all ?? '').trim().split('\n').slice(-2).join(' ')}` };
  for (const name of await readdir(samples))
    if (/\.(py|sh)$/.test(name)) await cp(join(samples, name), join(path, name));
  return { path };
}

/** The pins, for the report: name -> version. */
export async function pinned(pins: PinList): Promise<Record<string, string>> {
  const text = await readFile(join(samples, `requirements-${pins}.txt`), 'utf8');
  return Object.fromEntries([...text.matchAll(/^([\w.-]+)==(\S+)/gm)].map(([, name, version]) => [name, version]));
}

export interface Invoked {
  readonly payload: unknown;
  readonly logs: readonly string[];
  readonly initMs: number | undefined;
  readonly maxMemoryMb: number;
}

/** `make-runtime invoke`, with one event after the other in one environment. Throws when one of them fails. */
export async function invoke(
  layer: JudgedLayer,
  code: string,
  handler: string,
  events: readonly unknown[],
  env: Readonly<Record<string, string>> = {},
): Promise<Invoked[]> {
  const result = await execa(
    process.execPath,
    [
      ...[cli, 'invoke', layer.path, '--json', '--code', code, '--handler', handler, '--timeout', '30'],
      ...['--memory', '1024'],
      ...events.flatMap((event) => ['--event', JSON.stringify(event)]),
      ...Object.entries(env).flatMap(([name, value]) => ['--env', `${name}=${value}`]),
    ],
    { cwd: root, reject: false },
  );
  if (result.exitCode !== 0)
    throw new Error(`${handler} on ${layer.version} ended with ${result.exitCode}\n${result.stderr}`);
  return result.stdout.split('\n').map((line) => {
    const { payload, logs, initMs, maxMemoryMb } = JSON.parse(line) as Invoked & { payload: string };
    return { payload: payload === '' ? undefined : JSON.parse(payload), logs, initMs, maxMemoryMb };
  });
}

/** AWS's own example credentials. */
export const credentials = {
  AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE',
  AWS_SECRET_ACCESS_KEY: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
  AWS_SESSION_TOKEN: 'session+token/==',
  AWS_REGION: 'eu-central-1',
  AWS_DEFAULT_REGION: 'eu-central-1',
};

export interface StubRequest {
  readonly target: string;
  readonly body: string;
  /** Why the signature is not right, or undefined when it is. */
  readonly complaint: string | undefined;
}

/** DynamoDB and S3, as far as the sample calls them. Refuses, as AWS does, what is not signed correctly. */
export async function awsStub(): Promise<{ url: string; requests: StubRequest[]; close(): void }> {
  const requests: StubRequest[] = [];
  const server = createServer(async (request, response) => {
    const body = await buffer(request);
    const complaint = signatureComplaint(request, body);
    const target = String(request.headers['x-amz-target'] ?? `${request.method} ${request.url}`);
    requests.push({ target, body: body.toString(), complaint });
    if (complaint !== undefined) response.writeHead(403).end(JSON.stringify({ __type: 'InvalidSignatureException' }));
    else if (target.endsWith('.PutItem')) response.writeHead(200).end('{}');
    else if (target.endsWith('.GetItem'))
      response.writeHead(400).end('{"__type":"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException"}');
    else response.writeHead(200, { 'Content-Type': 'text/plain' }).end('the object’s text');
  });
  await new Promise<void>((settle) => server.listen(0, '127.0.0.1', settle));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    close: () => void server.close(),
  };
}

/** Signature version 4 of a request without a query, as its specification has it. */
function signatureComplaint(request: IncomingMessage, body: Buffer): string | undefined {
  const found = /^AWS4-HMAC-SHA256 Credential=(\S+?)\/(\S+), ?SignedHeaders=(\S+), ?Signature=([0-9a-f]{64})$/.exec(
    request.headers.authorization ?? '',
  );
  if (found === null) return `no signature: ${request.headers.authorization}`;
  const [, key, scope = '', signed = '', signature = ''] = found;
  if (key !== credentials.AWS_ACCESS_KEY_ID) return `signed by ${key}`;
  if (request.headers['x-amz-security-token'] !== credentials.AWS_SESSION_TOKEN) return 'no session token';
  const hash = (data: string | Buffer): string => createHash('sha256').update(data).digest('hex');
  const contentHash = request.headers['x-amz-content-sha256'] ?? hash(body);
  if (contentHash !== hash(body)) return 'the content is not what was signed';
  const names = signed.split(';');
  if (!names.includes('host') || !names.includes('x-amz-date')) return `signs only ${signed}`;
  const headers = names.map((name) => `${name}:${String(request.headers[name]).trim()}\n`).join('');
  const canonical = [request.method, request.url, '', headers, signed, contentHash].join('\n');
  const text = ['AWS4-HMAC-SHA256', request.headers['x-amz-date'], scope, hash(canonical)].join('\n');
  const derived = scope
    .split('/')
    .reduce(
      (secret: string | Buffer, part) => createHmac('sha256', secret).update(part).digest(),
      `AWS4${credentials.AWS_SECRET_ACCESS_KEY}`,
    );
  const expected = createHmac('sha256', derived).update(text).digest();
  return timingSafeEqual(expected, Buffer.from(signature, 'hex')) ? undefined : `wrong signature over\n${canonical}`;
}

export interface Segment {
  readonly name: string;
  readonly trace_id: string;
  readonly parent_id: string;
  readonly annotations?: Record<string, unknown>;
  readonly subsegments?: readonly Segment[];
}

/** What listens at AWS_XRAY_DAEMON_ADDRESS on Lambda. */
export async function xrayDaemon(): Promise<{ address: string; segments: Segment[]; close(): void }> {
  const segments: Segment[] = [];
  const socket = createSocket('udp4');
  socket.on('message', (message) => {
    const [header = '', body = ''] = message.toString().split('\n');
    if (JSON.parse(header).format === 'json') segments.push(JSON.parse(body) as Segment);
  });
  await new Promise<void>((settle) => socket.bind(0, '127.0.0.1', settle));
  return { address: `127.0.0.1:${socket.address().port}`, segments, close: () => void socket.close() };
}
