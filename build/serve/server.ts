// The HTTP server of a local Lambda: one port for Lambda's API, function URLs and the page. Listens on loopback unless
// told otherwise, and answers only what was meant for it. Knows which path goes where, and nothing of what is done there.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { MakeRuntimeError } from '../lib/errors.ts';
import { answerApi, isApiPath } from './api.ts';
import { faults } from './fault.ts';
import { isLocalHost, isLocalOrigin, sendFault, sendJson } from './http-message.ts';
import type { Functions } from './names.ts';

export interface ServerOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  readonly functions: Functions;
  readonly functionUrl: (request: IncomingMessage, response: ServerResponse) => Promise<void>;
  readonly page: (request: IncomingMessage, response: ServerResponse) => Promise<void>;
  readonly onTrouble: (message: string) => void;
}

export interface Listening {
  readonly host: string;
  readonly port: number;
  /** Stops listening; requests under way are cut off. */
  close(): Promise<void>;
}

/** The API takes requests with a header block of up to 1 MB (Developer Guide: gettingstarted-limits). */
const maxHeaderBytes = 1024 * 1024;

/** Starts to listen. Throws PORT_TAKEN. */
export async function listen(options: ServerOptions): Promise<Listening> {
  const server = createServer({ maxHeaderSize: maxHeaderBytes, noDelay: true }, (request, response) => {
    route(request, response, options).catch((error: Error) => {
      options.onTrouble(error.message);
      if (!response.headersSent) sendFault(response, '', faults.service(error.message));
      else response.destroy();
    });
  });
  // A function may take 15 minutes, and a client may take its time too.
  server.requestTimeout = 0;
  // Clients keep connections for a while; one that is closed while they send is an error to them.
  server.keepAliveTimeout = 65_000;
  await bind(server, options);
  const { port } = server.address() as AddressInfo;
  return {
    host: options.host,
    port,
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}

async function route(request: IncomingMessage, response: ServerResponse, options: ServerOptions): Promise<void> {
  response.on('error', () => {});
  const path = (request.url ?? '/').split('?', 1)[0]!;
  const reserved = isApiPath(path) || path === '/_' || path.startsWith('/_/');
  // Function URLs are meant to be called from other sites; what they may do there is the function's affair (CORS).
  if (!isLocalHost(request, options.host) || (reserved && !isLocalOrigin(request))) {
    request.resume();
    return sendJson(response, 403, { Message: 'This address is for local clients, and for pages served here.' });
  }
  if (isApiPath(path)) return answerApi(request, response, options.functions);
  if (reserved) return options.page(request, response);
  return options.functionUrl(request, response);
}

function bind(server: Server, { host, port }: ServerOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(explained(error, host, port)));
    server.listen({ port, host }, () => {
      server.removeAllListeners('error');
      resolve();
    });
  });
}

function explained(error: NodeJS.ErrnoException, host: string, port: number): unknown {
  if (error.code === 'EADDRINUSE')
    return new MakeRuntimeError('PORT_TAKEN', `Another program listens on ${host}:${port}.`, {
      remedy: 'Choose another --port; 0 takes any free one.',
      cause: error,
    });
  if (error.code === 'EACCES')
    return new MakeRuntimeError('PORT_TAKEN', `Port ${port} may not be used by this user.`, {
      remedy: 'Choose a --port above 1023.',
      cause: error,
    });
  if (error.code === 'EADDRNOTAVAIL' || error.code === 'ENOTFOUND' || error.code === 'EAI_AGAIN')
    return new MakeRuntimeError('USAGE', `${host} is not an address of this machine.`, {
      remedy: 'Leave --host out for loopback; 0.0.0.0 listens on all addresses.',
      cause: error,
    });
  return error;
}
