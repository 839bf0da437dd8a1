// AWS's HTTP APIs as far as a test scripts them: every request is told apart by what its signature says (region,
// service) and what its protocol says (operation), and answered by the test, or passed on to a real server behind it.
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface AwsCall {
  readonly service: string;
  readonly region: string;
  /** "GetCallerIdentity" where the protocol names it, otherwise method and path: "POST /2018-10-31/layers/x/versions". */
  readonly operation: string;
  readonly headers: IncomingMessage['headers'];
  /** Empty when `keep` is not set. */
  readonly body: Buffer;
}

export interface AwsAnswer {
  readonly status?: number;
  readonly headers?: Record<string, string>;
  readonly body?: unknown;
}

/** What happens to a call: an answer, a broken connection, or undefined for the server behind (404 without one). */
export type Script = (call: AwsCall) => AwsAnswer | 'break' | 'break-after' | undefined | Promise<never>;

export interface FakeAws {
  readonly url: string;
  readonly calls: AwsCall[];
  script: Script;
  close(): Promise<void>;
}

/**
 * @param behind the URL of a server that answers what the script does not
 * @param keepBodies below this many bytes a body is kept in `calls`, and can be looked at by the script
 */
export async function startFakeAws({
  behind,
  keepBodies = 1 << 20,
}: {
  behind?: string;
  keepBodies?: number;
} = {}): Promise<FakeAws> {
  const fake = { url: '', calls: [] as AwsCall[], script: (() => undefined) as Script };
  const server = createServer(async (request, response) => {
    const small = Number(request.headers['content-length'] ?? 0) < keepBodies;
    const body = small && request.headers['transfer-encoding'] === undefined ? await read(request) : Buffer.alloc(0);
    const call = { ...whatIsAsked(request, body), headers: request.headers, body };
    fake.calls.push(call);
    const verdict = await fake.script(call);
    if (verdict === 'break') return void request.socket.destroy();
    if (verdict === undefined || verdict === 'break-after') {
      if (behind !== undefined) return passOn(behind, request, small ? body : undefined, response, verdict);
    }
    if (!small) request.resume();
    const answer = typeof verdict === 'object' ? verdict : { status: 404, body: `nothing answers ${call.operation}` };
    const text = typeof answer.body === 'string' ? answer.body : JSON.stringify(answer.body ?? {});
    response.writeHead(answer.status ?? 200, { 'content-length': Buffer.byteLength(text), ...answer.headers });
    response.end(text);
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  fake.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return Object.assign(fake, {
    close: () =>
      new Promise<void>((done) => {
        server.close(() => done());
        server.closeAllConnections();
      }),
  });
}

/** An error as Lambda, Account and other JSON APIs answer it. */
export function jsonError(name: string, status = 400, message = `${name} said so`): AwsAnswer {
  return { status, headers: { 'x-amzn-errortype': name }, body: { Message: message, message } };
}

/** An error as STS and S3 answer it. */
export function xmlError(name: string, status = 400, message = `${name} said so`): AwsAnswer {
  const error = `<Error><Type>Sender</Type><Code>${name}</Code><Message>${message}</Message></Error>`;
  return {
    status,
    headers: { 'content-type': 'text/xml' },
    body: `<ErrorResponse>${error}<RequestId>0</RequestId></ErrorResponse>`,
  };
}

/** What sts:GetCallerIdentity answers. */
export function callerIdentity(arn = 'arn:aws:iam::123456789012:user/ci'): AwsAnswer {
  const result = `<Arn>${arn}</Arn><UserId>AIDA</UserId><Account>${arn.split(':')[4]}</Account>`;
  return {
    headers: { 'content-type': 'text/xml' },
    body: `<GetCallerIdentityResponse><GetCallerIdentityResult>${result}</GetCallerIdentityResult></GetCallerIdentityResponse>`,
  };
}

function whatIsAsked(request: IncomingMessage, body: Buffer): Pick<AwsCall, 'service' | 'region' | 'operation'> {
  const [, , region = '', service = ''] =
    /Credential=([^/]+)\/[^/]+\/([^/]+)\/([^/]+)\//.exec(request.headers.authorization ?? '')?.map(String) ?? [];
  const target = String(request.headers['x-amz-target'] ?? '').split('.')[1];
  const action = /(?:^|&)Action=(\w+)/.exec(body.toString('latin1'))?.[1];
  return { region, service, operation: target ?? action ?? `${request.method} ${request.url}` };
}

async function read(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function passOn(
  behind: string,
  request: IncomingMessage,
  body: Buffer | undefined,
  response: ServerResponse,
  verdict: 'break-after' | undefined,
): void {
  const { hostname, port } = new URL(behind);
  const onward = httpRequest(
    { hostname, port, method: request.method, path: request.url, headers: request.headers },
    (answer) => {
      if (verdict === 'break-after') {
        // It is done over there, and nobody here learns it.
        answer.resume().on('end', () => request.socket.destroy());
        return;
      }
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    },
  );
  onward.on('error', () => request.socket.destroy());
  if (body === undefined) request.pipe(onward);
  else onward.end(body);
}
