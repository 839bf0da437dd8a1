// An HTTP request as the event that a function gets: function URLs and HTTP APIs (payload format 2.0), REST APIs (1.0).
// Sources: Developer Guide, urls-invocation and services-apigateway; API Gateway developer guide,
// http-api-develop-integrations-lambda and "Input format of a Lambda function for proxy integration".
import type { IncomingMessage } from 'node:http';

/** Who stands in front of the function. */
export const fronts = ['function-url', 'http-api', 'rest-api'] as const;
export type Front = (typeof fronts)[number];

export interface Caller {
  readonly requestId: string;
  readonly accountId: string;
  readonly region: string;
  readonly functionName: string;
  readonly traceId: string;
}

/** The stage of a REST API; the other two have `$default`. */
const restStage = 'local';

export function httpEvent(front: Front, request: IncomingMessage, body: Buffer, caller: Caller): unknown {
  return front === 'rest-api' ? versionOne(request, body, caller) : versionTwo(front, request, body, caller);
}

function versionTwo(front: Front, request: IncomingMessage, body: Buffer, caller: Caller): unknown {
  const { path, query } = split(request);
  const headers = joinedHeaders(request, caller.traceId);
  const { cookie, ...others } = headers;
  const apiId = idOf(caller.functionName);
  const domain = front === 'function-url' ? 'lambda-url' : 'execute-api';
  const suffix = front === 'function-url' ? 'on.aws' : 'amazonaws.com';
  const now = Date.now();
  const parameters = joinedQuery(query);
  const base64 = !isText(headers['content-type']);
  return {
    version: '2.0',
    routeKey: '$default',
    rawPath: path,
    rawQueryString: query,
    ...(cookie === undefined ? {} : { cookies: cookie.split(/;\s*/) }),
    // A function URL keeps the cookie header beside `cookies`, an HTTP API does not.
    headers: front === 'function-url' ? headers : others,
    ...(parameters === undefined ? {} : { queryStringParameters: parameters }),
    requestContext: {
      accountId: front === 'function-url' ? 'anonymous' : caller.accountId,
      apiId,
      domainName: `${apiId}.${domain}.${caller.region}.${suffix}`,
      domainPrefix: apiId,
      http: {
        method: request.method,
        path,
        protocol: `HTTP/${request.httpVersion}`,
        sourceIp: sourceOf(request),
        userAgent: headers['user-agent'] ?? '',
      },
      requestId: caller.requestId,
      routeKey: '$default',
      stage: '$default',
      time: commonTime(now),
      timeEpoch: now,
    },
    ...(body.length === 0 ? {} : { body: body.toString(base64 ? 'base64' : 'utf8') }),
    isBase64Encoded: body.length > 0 && base64,
  };
}

function versionOne(request: IncomingMessage, body: Buffer, caller: Caller): unknown {
  const { path, query } = split(request);
  const raw = pairs(request);
  const sent = Object.fromEntries(raw);
  const base64 = !isText(request.headers['content-type']);
  const parameters = [...new URLSearchParams(query)];
  const apiId = idOf(caller.functionName);
  const now = Date.now();
  const proxy = path.slice(1);
  return {
    resource: proxy === '' ? '/' : '/{proxy+}',
    path,
    httpMethod: request.method,
    headers: { ...sent, 'X-Amzn-Trace-Id': rootOf(caller.traceId) },
    multiValueHeaders: { ...grouped(raw), 'X-Amzn-Trace-Id': [rootOf(caller.traceId)] },
    queryStringParameters: parameters.length === 0 ? null : Object.fromEntries(parameters),
    multiValueQueryStringParameters: parameters.length === 0 ? null : grouped(parameters),
    pathParameters: proxy === '' ? null : { proxy },
    stageVariables: null,
    requestContext: {
      resourceId: 'local',
      resourcePath: proxy === '' ? '/' : '/{proxy+}',
      httpMethod: request.method,
      extendedRequestId: caller.requestId,
      requestTime: commonTime(now),
      path: `/${restStage}${path}`,
      accountId: caller.accountId,
      protocol: `HTTP/${request.httpVersion}`,
      stage: restStage,
      domainPrefix: apiId,
      requestTimeEpoch: now,
      requestId: caller.requestId,
      identity: {
        cognitoIdentityPoolId: null,
        accountId: null,
        cognitoIdentityId: null,
        caller: null,
        sourceIp: sourceOf(request),
        principalOrgId: null,
        accessKey: null,
        cognitoAuthenticationType: null,
        cognitoAuthenticationProvider: null,
        userArn: null,
        userAgent: request.headers['user-agent'] ?? null,
        user: null,
      },
      domainName: `${apiId}.execute-api.${caller.region}.amazonaws.com`,
      apiId,
    },
    body: body.length === 0 ? null : body.toString(base64 ? 'base64' : 'utf8'),
    isBase64Encoded: body.length > 0 && base64,
  };
}

/** Lambda shows `path` decoded and the query as it was sent. */
function split(request: IncomingMessage): { path: string; query: string } {
  const [path = '/', ...rest] = (request.url ?? '/').split('?');
  let shown = path;
  try {
    shown = decodeURIComponent(path);
  } catch {}
  return { path: shown, query: rest.join('?') };
}

/** Names in lower case; several values of one name joined with commas. With what the front adds. */
function joinedHeaders(request: IncomingMessage, traceId: string): Record<string, string> {
  const joined: Record<string, string> = {};
  for (const [name, value] of pairs(request)) {
    const lower = name.toLowerCase();
    const before = joined[lower];
    joined[lower] = before === undefined ? value : `${before}${lower === 'cookie' ? '; ' : ','}${value}`;
  }
  return {
    ...joined,
    'x-amzn-trace-id': rootOf(traceId),
    'x-forwarded-for': sourceOf(request),
    'x-forwarded-port': String(request.socket.localPort ?? ''),
    'x-forwarded-proto': 'http',
  };
}

/** Duplicates are joined with commas. */
function joinedQuery(query: string): Record<string, string> | undefined {
  if (query === '') return undefined;
  const values = grouped([...new URLSearchParams(query)]);
  return Object.fromEntries(Object.entries(values).map(([name, all]) => [name, all.join(',')]));
}

/** Bodies of these types are text, all others arrive as base64. */
function isText(contentType: string | undefined): boolean {
  const type = (contentType ?? '').split(';', 1)[0]!.trim().toLowerCase();
  return /^text\/|^application\/(json|javascript|xml|[\w.+-]+\+(json|xml))$/.test(type);
}

function pairs({ rawHeaders }: IncomingMessage): [string, string][] {
  const found: [string, string][] = [];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) found.push([rawHeaders[at]!, rawHeaders[at + 1]!]);
  return found;
}

function grouped(entries: readonly (readonly [string, string])[]): Record<string, string[]> {
  const groups: Record<string, string[]> = {};
  for (const [name, value] of entries) {
    groups[name] ??= [];
    groups[name].push(value);
  }
  return groups;
}

/** A name as the ids of URLs and APIs look: letters and digits. */
function idOf(functionName: string): string {
  return functionName.toLowerCase().replace(/[^a-z0-9]/g, '') || 'local';
}

function sourceOf({ socket }: IncomingMessage): string {
  return (socket.remoteAddress ?? '127.0.0.1').replace(/^::ffff:/, '');
}

function rootOf(traceId: string): string {
  return traceId.split(';', 1)[0]!;
}

/** `12/Mar/2020:19:03:58 +0000` */
function commonTime(epochMs: number): string {
  const [, day, month, year, time] = /^\w+, (\d+) (\w+) (\d+) ([\d:]+)/.exec(new Date(epochMs).toUTCString())!;
  return `${day}/${month}/${year}:${time} +0000`;
}
