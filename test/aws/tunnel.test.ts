// AWS behind a proxy: a real CONNECT proxy and a TLS server in this process, in front of them the SDK.
import 'reflect-metadata';
import { X509Certificate } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, connect } from 'node:net';
import { GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';
import { cryptoProvider, SubjectAlternativeNameExtension, X509CertificateGenerator } from '@peculiar/x509';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { AwsSession } from '../../build/aws/session.ts';
import { isDirect, TunnelAgent } from '../../build/aws/tunnel.ts';
import type { Context } from '../../build/lib/context.ts';
import { callerIdentity } from './support/fake-aws.ts';

let proxy: Server;
let aws: Server;
let proxyPort: number;
let awsPort: number;
let certificate: string;
let refuse: number | undefined;
/** What the proxy was asked for, and with which authorization. */
const asked: (readonly [string | undefined, string | undefined])[] = [];

const port = (server: Server): Promise<number> =>
  new Promise((done) => server.listen(0, '127.0.0.1', () => done((server.address() as AddressInfo).port)));

beforeAll(async () => {
  process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] = 'true';
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  cryptoProvider.set(crypto as never);
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const made = await X509CertificateGenerator.createSelfSigned({
    name: 'CN=sts.amazonaws.test',
    keys,
    signingAlgorithm: algorithm,
    notBefore: new Date(Date.now() - 1000),
    notAfter: new Date(Date.now() + 3600_000),
    extensions: [new SubjectAlternativeNameExtension([{ type: 'dns', value: 'sts.amazonaws.test' }])],
  });
  certificate = made.toString('pem');
  const key = Buffer.from(await crypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64');
  aws = createTlsServer(
    { cert: certificate, key: `-----BEGIN PRIVATE KEY-----\n${key}\n-----END PRIVATE KEY-----` },
    (_request, response) => {
      const { headers, body } = callerIdentity();
      response.writeHead(200, headers).end(body);
    },
  );
  awsPort = await port(aws);
  proxy = createServer((_request, response) => response.writeHead(405).end());
  proxy.on('connect', (request, socket) => {
    asked.push([request.url, request.headers['proxy-authorization']]);
    if (refuse !== undefined) return void socket.end(`HTTP/1.1 ${refuse} No\r\ncontent-length: 0\r\n\r\n`);
    // Whatever the name is: only the proxy can reach it.
    const onward = connect(awsPort, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      onward.pipe(socket).pipe(onward);
    });
    onward.on('error', () => socket.destroy());
    socket.on('error', () => onward.destroy());
  });
  proxyPort = await port(proxy);
});
beforeEach(() => {
  asked.length = 0;
  refuse = undefined;
});
afterAll(() => {
  for (const server of [proxy, aws]) {
    server.close();
    server.closeAllConnections();
  }
});

const env = () => ({ https_proxy: `http://me:p%40ss@127.0.0.1:${proxyPort}`, no_proxy: 'internal.test' });

function client(more: object = {}): STSClient {
  return new STSClient({
    region: 'eu-west-1',
    endpoint: 'https://sts.amazonaws.test',
    credentials: { accessKeyId: 'AKID', secretAccessKey: 'x' },
    maxAttempts: 1,
    requestHandler: { httpsAgent: new TunnelAgent(env(), { ca: certificate, ...more }) },
  });
}

test('a request goes through, with the credentials of the proxy and to its host only', async () => {
  const sts = client();
  expect((await sts.send(new GetCallerIdentityCommand({}))).Account).toBe('123456789012');
  expect((await sts.send(new GetCallerIdentityCommand({}))).Account).toBe('123456789012');
  sts.destroy();
  const authorization = `Basic ${Buffer.from('me:p@ss').toString('base64')}`;
  expect(asked).toEqual([['sts.amazonaws.test:443', authorization]]); // One connection for both.
});

test('who does not have the certificate of the host is not spoken to', async () => {
  expect(new X509Certificate(certificate).checkHost('sts.amazonaws.test')).toBeDefined();
  const untrusting = client({ ca: undefined });
  await expect(untrusting.send(new GetCallerIdentityCommand({}))).rejects.toThrow(/self-signed/);
  untrusting.destroy();
  const other = new STSClient({
    region: 'eu-west-1',
    endpoint: 'https://other.amazonaws.test',
    credentials: { accessKeyId: 'AKID', secretAccessKey: 'x' },
    maxAttempts: 1,
    requestHandler: { httpsAgent: new TunnelAgent(env(), { ca: certificate }) },
  });
  await expect(other.send(new GetCallerIdentityCommand({}))).rejects.toThrow(/altnames/);
  other.destroy();
});

test('a session takes the proxy of its environment; a proxy that refuses is told, without its password', async () => {
  refuse = 407;
  const ctx: Context = {
    report: () => {},
    signal: new AbortController().signal,
    cacheDir: '',
    packageDir: '',
    env: {
      ...env(),
      AWS_ACCESS_KEY_ID: 'AKID',
      AWS_SECRET_ACCESS_KEY: 'x',
      AWS_ENDPOINT_URL: 'https://sts.amazonaws.test',
    },
    offline: false,
  };
  using session = new AwsSession(ctx, { patience: { attempts: 1, delay: 1, silence: 2000 } });
  const failure = await session.identity('us-east-1').catch((error) => error);
  expect(failure).toMatchObject({
    code: 'AWS_UNREACHABLE',
    message: expect.stringContaining(`the proxy 127.0.0.1:${proxyPort} answered 407`),
    remedy: expect.stringContaining('HTTPS_PROXY'),
  });
  expect(JSON.stringify([failure.message, failure.detail])).not.toContain('p@ss');
});

test.each([
  ['localhost', '', true],
  ['127.0.0.1', '', true],
  ['sts.amazonaws.com', '', false],
  ['sts.amazonaws.com', '*', true],
  ['sts.amazonaws.com', 'amazonaws.com', true],
  ['sts.amazonaws.com', '.amazonaws.com, other', true],
  ['sts.amazonaws.com', '*.amazonaws.com:443', true],
  ['sts.amazonaws.com', 'amazonaws.com:8443', false],
  ['notamazonaws.com', 'amazonaws.com', false],
])('%s with NO_PROXY=%s', (host, rules, direct) => {
  expect(isDirect(host, 443, { NO_PROXY: rules })).toBe(direct);
});
