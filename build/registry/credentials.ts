// Who we are for a registry, from where `docker login` keeps it: Docker's config.json and the credential helpers that it
// names. Reads, never writes. https://docs.docker.com/reference/cli/docker/login/#credential-stores
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Context } from '../lib/context.ts';
import { MakeRuntimeError } from '../lib/errors.ts';
import type { Credentials } from './authorize.ts';

const config = z.looseObject({
  auths: z
    .record(
      z.string(),
      z.looseObject({
        auth: z.string().optional(),
        username: z.string().optional(),
        password: z.string().optional(),
        identitytoken: z.string().optional(),
      }),
    )
    .optional(),
  credsStore: z.string().optional(),
  credHelpers: z.record(z.string(), z.string()).optional(),
});

const fromHelper = z.looseObject({ Username: z.string(), Secret: z.string() });

/** Helpers that hang (a locked keychain without a screen) are given up after this many milliseconds. */
const helperPatience = 30_000;

type Asker = Pick<Context, 'env' | 'signal'>;

/**
 * The credentials for a registry, as a reference names it.
 * @returns undefined where there are none: anonymous
 * @throws CREDENTIALS_UNREADABLE for a configuration or a helper that does not work; never with what it holds
 */
export async function dockerCredentials(registry: string, ctx: Asker): Promise<Credentials | undefined> {
  const path = configPath(ctx.env);
  if (path === undefined) return undefined;
  const settings = await readConfig(path);
  if (settings === undefined) return undefined;
  const keys = serverNames(registry);
  const named = Object.entries(settings.credHelpers ?? {}).find(([server]) => keys.includes(hostOf(server)));
  if (named !== undefined) return askHelper(named[1], named[0], ctx);
  if (settings.credsStore !== undefined && settings.credsStore !== '') {
    const stored = await askHelper(settings.credsStore, storedName(registry), ctx);
    if (stored !== undefined) return stored;
  }
  const entry = Object.entries(settings.auths ?? {}).find(([server]) => keys.includes(hostOf(server)))?.[1];
  if (entry === undefined) return undefined;
  if (entry.identitytoken) return { identityToken: entry.identitytoken };
  if (entry.auth) {
    const text = Buffer.from(entry.auth, 'base64').toString('utf8');
    const colon = text.indexOf(':');
    if (colon === -1) throw unreadable(`${path} has no name and password for ${registry} where it should.`);
    // Docker pads with zero bytes at times.
    return { username: text.slice(0, colon), password: text.slice(colon + 1).replace(/\0+$/, '') };
  }
  if (entry.username !== undefined && entry.password !== undefined)
    return { username: entry.username, password: entry.password };
  return undefined;
}

/** $DOCKER_CONFIG/config.json, else that of the home folder. */
function configPath(env: Context['env']): string | undefined {
  if (env['DOCKER_CONFIG']) return join(env['DOCKER_CONFIG'], 'config.json');
  const home = env['HOME'] ?? env['USERPROFILE'];
  return home === undefined ? undefined : join(home, '.docker', 'config.json');
}

async function readConfig(path: string): Promise<z.output<typeof config> | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    if (['ENOENT', 'ENOTDIR'].includes((cause as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw unreadable(`${path} cannot be read.`, (cause as Error).message);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw unreadable(`${path} is not JSON.`); // Without the parser's message, which quotes what it read.
  }
  const parsed = config.safeParse(value);
  if (parsed.success) return parsed.data;
  throw unreadable(`${path} is not a configuration of Docker's.`, `at ${parsed.error.issues[0]?.path[0]?.toString()}`);
}

/** Docker Hub goes by several names; credentials are kept under an address. */
function serverNames(registry: string): string[] {
  return registry === 'docker.io' || registry === 'index.docker.io' || registry === 'registry-1.docker.io'
    ? ['index.docker.io', 'docker.io', 'registry-1.docker.io']
    : [registry];
}

function storedName(registry: string): string {
  return serverNames(registry).length > 1 ? 'https://index.docker.io/v1/' : registry;
}

/** "https://index.docker.io/v1/" and "localhost:5000" alike. */
function hostOf(server: string): string {
  return server.replace(/^https?:\/\//, '').replace(/\/.*$/, '');
}

/** The protocol of docker-credential-helpers: the server on standard input, JSON on standard output. */
async function askHelper(name: string, server: string, { env, signal }: Asker): Promise<Credentials | undefined> {
  if (!/^[\w.-]+$/.test(name)) throw unreadable(`"${name}" is not the name of a credential helper.`);
  const command = `docker-credential-${name}`;
  const { status, stdout, stderr, failure } = await run(command, server, env as NodeJS.ProcessEnv, signal);
  if (status === 0) {
    const parsed = fromHelper.safeParse(parseJson(stdout));
    if (!parsed.success) throw unreadable(`${command} answers with something that is no credentials.`);
    const { Username, Secret } = parsed.data;
    return Username === '<token>' ? { identityToken: Secret } : { username: Username, password: Secret };
  }
  // The words are part of the protocol (docker-credential-helpers, credentials/error.go).
  if (/credentials not found/i.test(stdout)) return undefined;
  throw unreadable(
    failure === undefined
      ? `${command} has no answer for ${server}.`
      : `${command}, which Docker's configuration names, ${failure}.`,
    // A helper that fails says why on standard output; what it says when it works is a secret.
    [stdout, stderr].map((text) => text.trim().slice(0, 300)).find((text) => text !== '' && !/secret/i.test(text)),
  );
}

function run(
  command: string,
  input: string,
  env: NodeJS.ProcessEnv,
  signal: AbortSignal,
): Promise<{ status: number; stdout: string; stderr: string; failure?: string }> {
  return new Promise((done) => {
    const child = spawn(command, ['get'], { env, stdio: 'pipe', timeout: helperPatience, signal });
    const text = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].setEncoding('utf8').on('data', (chunk: string) => {
        text[name] += chunk;
      });
    }
    child.on('error', (error: NodeJS.ErrnoException) =>
      done({ status: -1, ...text, failure: error.code === 'ENOENT' ? 'is not installed' : 'cannot be run' }),
    );
    child.on('close', (code) =>
      done({ status: code ?? -1, ...text, ...(code === null ? { failure: 'did not end' } : {}) }),
    );
    child.stdin.on('error', () => {}); // It may end without reading.
    child.stdin.end(input);
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function unreadable(sentence: string, detail?: string): MakeRuntimeError {
  return new MakeRuntimeError('CREDENTIALS_UNREADABLE', sentence, {
    remedy: 'Sign in again with `docker login`, or name another configuration in DOCKER_CONFIG.',
    ...(detail === undefined ? {} : { detail }),
  });
}
