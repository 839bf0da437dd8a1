// A local Lambda with the fixture bootstrap, for the tests of this room, and requests to it without a client's help.
import { request } from 'node:http';
import { join } from 'node:path';
import { type ServeRequest, type Serving, serve } from '../../../build/serve/serve.ts';
import { fixtureLayer, machinePython, scratch, type TestContext, testContext } from '../../lambda/support/function.ts';

export const fixtures = join(import.meta.dirname, '..', 'fixtures');

export interface LocalLambda extends Serving {
  readonly context: TestContext;
  readonly port: number;
}

/** One or more functions of test/serve/fixtures/app.py, `name: handler`. */
export async function localLambda(
  functions: Readonly<Record<string, string>>,
  more: Partial<ServeRequest> = {},
): Promise<LocalLambda> {
  const folder = scratch('serve');
  const python = machinePython();
  const context = testContext(folder);
  const serving = await serve(
    {
      layerDirs: [fixtureLayer(folder, python.command)],
      visible: python.visible,
      functions: Object.entries(functions).map(([name, handler]) => ({ name, codeDir: fixtures, handler })),
      env: {},
      port: 0,
      ...more,
    },
    context,
  );
  return { ...serving, context, port: Number(new URL(serving.url).port) };
}

export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
  readonly bytes: Buffer;
  /** `performance.now()` of each piece of the body. */
  readonly moments: readonly number[];
}

/** A plain request: no retries, no headers but the given. */
export function send(
  port: number,
  method: string,
  path: string,
  { body = '', headers = {} }: { body?: string | Buffer; headers?: Record<string, string | string[]> } = {},
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, method, path, headers }, (response) => {
      const chunks: Buffer[] = [];
      const moments: number[] = [];
      response.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        moments.push(performance.now());
      });
      response.on('error', reject);
      response.on('end', () => {
        const bytes = Buffer.concat(chunks);
        const { statusCode = 0, headers: received } = response;
        resolve({ status: statusCode, headers: received, body: bytes.toString(), bytes, moments });
      });
    });
    sent.on('error', reject);
    sent.end(body);
  });
}
