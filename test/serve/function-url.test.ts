// Function URLs and API Gateway's shapes: what the function is given, and what a client of its URL gets.
import { execa } from 'execa';
import { afterAll, describe, expect, test } from 'vitest';
import { type LocalLambda, localLambda, send } from './support/local.ts';

const open: LocalLambda[] = [];
afterAll(async () => {
  await Promise.all(open.map((one) => one.close()));
});

async function local(...args: Parameters<typeof localLambda>): Promise<LocalLambda> {
  const made = await localLambda(...args);
  open.push(made);
  return made;
}

/** curl, as a user types it: `-s -i`, and what follows. */
async function curl(url: string): Promise<string> {
  const { stdout } = await execa('curl', ['-s', '-i', '--max-time', '10', url]);
  return stdout;
}

describe('a function URL', async () => {
  const { port } = await local({ page: 'app.page', echo: 'app.echo' });

  test('shows the function what the client sent', async () => {
    const { body, headers } = await send(port, 'POST', '/raw?a=1&b=x&a=2%203', {
      body: '{"x":"ä"}',
      headers: {
        'Content-Type': 'application/json',
        Cookie: 'one=1; two=2',
        'X-Twice': ['a', 'b'],
        'User-Agent': 'me',
      },
    });
    const { event } = JSON.parse(body);
    expect(headers['content-type']).toBe('application/json');
    expect(event).toMatchObject({
      version: '2.0',
      routeKey: '$default',
      rawPath: '/raw',
      rawQueryString: 'a=1&b=x&a=2%203',
      queryStringParameters: { a: '1,2 3', b: 'x' },
      cookies: ['one=1', 'two=2'],
      body: '{"x":"ä"}',
      isBase64Encoded: false,
      requestContext: {
        accountId: 'anonymous',
        apiId: 'page',
        domainName: 'page.lambda-url.us-east-1.on.aws',
        http: { method: 'POST', path: '/raw', protocol: 'HTTP/1.1', sourceIp: '127.0.0.1', userAgent: 'me' },
        stage: '$default',
      },
    });
    expect(event.headers).toMatchObject({
      'x-twice': 'a,b',
      'x-forwarded-proto': 'http',
      'content-type': 'application/json',
    });
    expect(event.requestContext.time).toMatch(/^\d\d\/[A-Z][a-z]{2}\/\d{4}:\d\d:\d\d:\d\d \+0000$/);
    expect(event.requestContext.requestId).toBe(headers['x-amzn-requestid']);
  });

  test('encodes what is not text, and has no body where there is none', async () => {
    const bytes = Buffer.from([0, 255, 10]);
    const binary = JSON.parse((await send(port, 'PUT', '/raw', { body: bytes })).body).event;
    expect([binary.body, binary.isBase64Encoded]).toEqual([bytes.toString('base64'), true]);
    const none = JSON.parse((await send(port, 'GET', '/raw')).body).event;
    expect([none.body, none.isBase64Encoded, none.queryStringParameters]).toEqual([undefined, false, undefined]);
  });

  test('answers curl with status, headers, cookies and body', async () => {
    const plain = await curl(`http://localhost:${port}/`);
    expect(plain).toMatch(/^HTTP\/1.1 200 OK\r\n/);
    expect(plain).toMatch(/\r\nx-one: 1\r\n/i);
    expect(plain.match(/set-cookie: .*/gi)?.map((line) => line.trim())).toEqual([
      'set-cookie: a=1',
      'set-cookie: b=2; Secure',
    ]);
    expect(plain.endsWith('\r\n\r\nok')).toBe(true);
    expect((await curl(`http://localhost:${port}/text`)).endsWith('\r\n\r\njust text')).toBe(true);
  });

  test('decodes base64, and is a bad gateway for errors and nonsense', async () => {
    const binary = await send(port, 'GET', '/binary');
    expect([binary.status, [...binary.bytes], binary.headers['content-type']]).toEqual([201, [0, 1, 2, 3], 'image/x']);
    for (const path of ['/error', '/odd']) {
      const bad = await send(port, 'GET', path);
      expect([bad.status, bad.body]).toEqual([502, 'Internal Server Error']);
    }
  });

  test('the host chooses the function', async () => {
    const { body } = await send(port, 'GET', '/', { headers: { Host: `echo.localhost:${port}` } });
    expect(JSON.parse(body).event.requestContext.apiId).toBe('echo');
    expect((await send(port, 'GET', '/', { headers: { Host: 'other.localhost' } })).status).toBe(404);
    expect((await send(port, 'GET', '/', { headers: { Host: 'evil.example' } })).status).toBe(403);
    expect((await send(port, 'POST', '/', { headers: { Origin: 'https://other.example' } })).status).toBe(200);
  });
});

describe('a function URL that streams', async () => {
  const { port } = await local({ chunks: 'app.preluded', echo: 'app.echo' }, { stream: true });

  test('sends status and headers from the prelude, then the bytes as they come', async () => {
    const { status, headers, body, moments } = await send(port, 'GET', '/?pause=0.15');
    expect([status, headers['x-a'], headers['set-cookie']]).toEqual([206, 'b', ['c=d']]);
    expect(body).toBe('chunk 0\nchunk 1\nchunk 2\n');
    expect(moments.at(-1)! - moments[0]!).toBeGreaterThan(150);
  });

  test('cuts the response short when the function fails in the middle', async () => {
    await expect(send(port, 'GET', '/?raise=1')).rejects.toThrow(/aborted|hang up/);
  });

  test('passes on what was not streamed', async () => {
    const { status, body } = await send(port, 'GET', '/x', { headers: { Host: 'echo.localhost' } });
    expect([status, JSON.parse(body).event.rawPath]).toEqual([200, '/x']);
  });
});

describe('API Gateway', () => {
  test('REST: payload 1.0 both ways', async () => {
    const { port } = await local({ rest: 'app.rest' }, { front: 'rest-api' });
    const { status, headers, body } = await send(port, 'GET', '/a/b%20c?q=1&q=2', { headers: { 'X-Case': 'Kept' } });
    expect([status, headers['x-many']]).toEqual([200, '1, 2']);
    expect(JSON.parse(body)).toMatchObject({
      resource: '/{proxy+}',
      path: '/a/b c',
      httpMethod: 'GET',
      headers: { 'X-Case': 'Kept' },
      multiValueHeaders: { 'X-Case': ['Kept'] },
      queryStringParameters: { q: '2' },
      multiValueQueryStringParameters: { q: ['1', '2'] },
      pathParameters: { proxy: 'a/b c' },
      requestContext: { stage: 'local', path: '/local/a/b c' },
      body: null,
      isBase64Encoded: false,
    });
  });

  test('REST refuses what is not in its format, an HTTP API takes it', async () => {
    const rest = await local({ slow: 'app.slow' }, { front: 'rest-api' });
    const refused = await send(rest.port, 'GET', '/');
    expect([refused.status, refused.body]).toEqual([502, '{"message":"Internal server error"}']);
    const http = await local({ echo: 'app.echo' }, { front: 'http-api' });
    const { event } = JSON.parse((await send(http.port, 'GET', '/', { headers: { Cookie: 'a=b' } })).body);
    expect(event.requestContext).toMatchObject({
      accountId: '123456789012',
      domainName: 'echo.execute-api.us-east-1.amazonaws.com',
    });
    expect([event.cookies, event.headers.cookie]).toEqual([['a=b'], undefined]);
  });
});
