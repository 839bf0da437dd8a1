// What the Runtime API answers, and what the runtime makes of it.
import { app, type Case } from '../case.ts';
import { event, type Reply, refusal } from '../server.ts';

const echo = app('print("handling", event)\nreturn event');
const fails = app('raise ValueError(event)');
const two = [event(1), event(2)];

const statuses: ReadonlyArray<readonly [number, string]> = [
  [200, 'OK'],
  [400, 'InvalidRequestID'],
  [400, 'InvalidFunctionResponseMode'],
  [400, 'TruncatedHTTPRequest'],
  [403, 'InvalidStateTransition'],
  [404, 'NotFound'],
  [410, 'InvokeTimeout'],
  [413, 'RequestEntityTooLarge'],
  [429, 'TooManyRequests'],
  [500, 'InternalServerError'],
  [503, 'ServiceUnavailable'],
];

const NEXT_OK =
  '200 OK\r\nContent-Type: application/json\r\nLambda-Runtime-Aws-Request-Id: request-1\r\nLambda-Runtime-Deadline-Ms: 4102444800000';

const bad: Readonly<Record<string, Reply>> = {
  'dropped before the answer': { close: 'instead' },
  'dropped within the body': event({ long: 'enough' }, {}, { close: 'within' }),
  'dropped within a chunked body': event({ long: 'enough' }, {}, { close: 'within', chunk: 4 }),
  'no HTTP at all': { raw: 'hello\r\n\r\n', close: 'after' },
  'a status that is no number': { raw: 'HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n', close: 'after' },
  'a chunk size that is no number': {
    raw: `HTTP/1.1 ${NEXT_OK}\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n{}\r\n0\r\n\r\n`,
    close: 'after',
  },
  'a body that ends with the connection': { raw: `HTTP/1.1 ${NEXT_OK}\r\n\r\n{"a": 1}`, close: 'after' },
  'HTTP/1.0': { raw: `HTTP/1.0 ${NEXT_OK}\r\nContent-Length: 2\r\n\r\n{}`, close: 'after' },
  'an interim answer': {
    raw: `HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 ${NEXT_OK}\r\nContent-Length: 2\r\n\r\n{}`,
  },
  'Connection: close': {
    raw: `HTTP/1.1 ${NEXT_OK}\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}`,
    close: 'after',
  },
  'chunk extensions and trailers': {
    raw: `HTTP/1.1 ${NEXT_OK}\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\n{}\r\n0\r\nLambda-Trailer: x\r\n\r\n`,
  },
  'a header of 60 KB': event({}, { 'Lambda-Runtime-Trace-Id': 'x'.repeat(60_000) }),
  'the same header twice': {
    raw: `HTTP/1.1 ${NEXT_OK}\r\nLambda-Runtime-Aws-Request-Id: request-2\r\nContent-Length: 2\r\n\r\n{}`,
  },
};

export const answers: readonly Case[] = [
  ...statuses.flatMap(([status, kind]): Case[] => [
    { name: `response answered with ${status} ${kind}`, files: echo, nexts: two, posts: [refusal(status, kind)] },
    { name: `error answered with ${status} ${kind}`, files: fails, nexts: two, posts: [refusal(status, kind)] },
  ]),
  ...[204, 400, 403, 404, 500, 503].map(
    (status): Case => ({
      name: `next answered with ${status}`,
      files: echo,
      nexts: [event(1), refusal(status, 'Refused'), event(2)],
    }),
  ),
  ...Object.entries(bad).map(
    ([name, reply]): Case => ({ name: `next: ${name}`, files: echo, nexts: [reply, event(2)] }),
  ),
  {
    name: 'response dropped before the answer',
    files: echo,
    nexts: two,
    posts: [{ close: 'instead' }],
  },
  { name: 'error dropped before the answer', files: fails, nexts: two, posts: [{ close: 'instead' }] },
  {
    name: 'response answered with Connection: close',
    files: echo,
    nexts: two,
    posts: [{ raw: 'HTTP/1.1 202 Accepted\r\nConnection: close\r\nContent-Length: 0\r\n\r\n', close: 'after' }],
  },
  { name: 'error answered with 431', files: fails, nexts: two, posts: [refusal(431, 'HeadersTooLarge')] },
  {
    name: 'init error answered with 403',
    files: { 'app.py': 'import nothing_of_that_name' },
    posts: [refusal(403, 'InvalidStateTransition')],
  },
  {
    name: 'init error answered with 500',
    files: { 'app.py': 'import nothing_of_that_name' },
    posts: [refusal(500, 'InternalServerError')],
  },
  { name: 'init error dropped', files: { 'app.py': 'import nothing_of_that_name' }, posts: [{ close: 'instead' }] },
];
