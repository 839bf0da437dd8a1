// What the page at /_/ is served: itself, the functions, and the journal as server-sent events. Knows nothing of what the
// page does with it.
import { readFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { functionUrlOf } from './api-configuration.ts';
import { sendJson } from './http-message.ts';
import type { Journal } from './journal.ts';
import type { Functions } from './names.ts';

/** A function as the page shows it. */
export interface FunctionFacts {
  readonly name: string;
  readonly handler: string;
  readonly memoryMb: number;
  readonly timeoutSeconds: number;
  readonly concurrency: number;
  readonly managed: boolean;
  readonly url: string;
}

/** Where bundle.mjs puts the page, below the package. */
const pageFile = 'dist/page.html';

export async function answerPage(
  request: IncomingMessage,
  response: ServerResponse,
  { functions, journal, packageDir }: { functions: Functions; journal: Journal; packageDir: string },
): Promise<void> {
  const path = (request.url ?? '').split('?', 1)[0];
  request.resume();
  if (request.method !== 'GET')
    return sendJson(response, 405, { Message: 'Only GET is allowed here.' }, { Allow: 'GET' });
  if (path === '/_') {
    response.writeHead(308, { Location: '/_/' }).end();
    return;
  }
  if (path === '/_/functions') return sendJson(response, 200, facts(functions, request));
  if (path === '/_/events') return follow(request, response, journal);
  if (path !== '/_/') return sendJson(response, 404, { Message: 'There is no such page.' });
  const page = await readFile(join(packageDir, pageFile)).catch(() => undefined);
  if (page === undefined) return sendJson(response, 404, { Message: 'The page has not been built: npm run prepare.' });
  response
    .writeHead(200, {
      'Content-Type': 'text/html; charset=utf-8',
      'Content-Length': page.length,
      'Cache-Control': 'no-store',
      // Everything is in the one file; what a function returns is shown as text and could load nothing anyhow.
      'Content-Security-Policy':
        "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
      'X-Content-Type-Options': 'nosniff',
      'Referrer-Policy': 'no-referrer',
    })
    .end(page);
}

function facts(functions: Functions, request: IncomingMessage): FunctionFacts[] {
  return [...functions.values()].map((fn) => ({
    name: fn.name,
    handler: fn.settings.handler,
    memoryMb: fn.settings.memoryMb,
    timeoutSeconds: fn.settings.timeoutSeconds,
    concurrency: fn.concurrency,
    managed: fn.managed,
    url: functionUrlOf(fn, functions, request.socket.localPort),
  }));
}

/** Server-sent events: what is kept of the journal, then everything new. A browser that comes back says where it was. */
function follow(request: IncomingMessage, response: ServerResponse, journal: Journal): void {
  response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
  const send = (entry: { readonly sequence: number }): void => {
    response.write(`id: ${entry.sequence}\ndata: ${JSON.stringify(entry)}\n\n`);
  };
  response.write('retry: 1000\n\n');
  const last = Number(request.headers['last-event-id'] ?? 0);
  for (const entry of journal.since(Number.isInteger(last) ? last : 0)) send(entry);
  response.once('close', journal.read(send));
}
