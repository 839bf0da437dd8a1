// Docker's configuration and credential helpers, in folders of the test's own; helpers are small shell scripts that speak
// the protocol of docker-credential-helpers.
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { dockerCredentials } from '../../build/registry/credentials.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'docker-config-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const base64 = (text: string): string => Buffer.from(text).toString('base64');
const ask = (registry: string, env: Record<string, string> = {}) =>
  dockerCredentials(registry, {
    env: { DOCKER_CONFIG: dir, PATH: `${dir}:/usr/bin:/bin`, ...env },
    signal: new AbortController().signal,
  });
const configure = (config: unknown): Promise<void> =>
  writeFile(join(dir, 'config.json'), typeof config === 'string' ? config : JSON.stringify(config));
const helper = async (name: string, script: string): Promise<void> => {
  await writeFile(join(dir, `docker-credential-${name}`), `#!/bin/sh\n${script}\n`);
  await chmod(join(dir, `docker-credential-${name}`), 0o755);
};

test('without a configuration, or without the registry in it: anonymous', async () => {
  expect(await ask('r.example')).toBeUndefined();
  await configure({ auths: { 'other.example': { auth: base64('a:b') } } });
  expect(await ask('r.example')).toBeUndefined();
});

test.each([
  ['r.example:5000', 'r.example:5000'],
  ['r.example', 'https://r.example'],
  ['r.example', 'https://r.example/v2/'],
  ['docker.io', 'https://index.docker.io/v1/'],
  ['index.docker.io', 'https://index.docker.io/v1/'],
])('%s finds what is kept under %s', async (registry, key) => {
  await configure({ auths: { [key]: { auth: base64('me:pass:with:colons') } } });
  expect(await ask(registry)).toEqual({ username: 'me', password: 'pass:with:colons' });
});

test('not the credentials of another port or a longer name', async () => {
  await configure({ auths: { 'r.example:5000': { auth: base64('a:b') }, 'evil.r.example': { auth: base64('a:b') } } });
  expect(await ask('r.example')).toBeUndefined();
});

test('identity tokens, and name and password apart', async () => {
  await configure({
    auths: {
      'a.example': { auth: base64('<token>:'), identitytoken: 'refresh' },
      'b.example': { username: 'u', password: 'p' },
    },
  });
  expect(await ask('a.example')).toEqual({ identityToken: 'refresh' });
  expect(await ask('b.example')).toEqual({ username: 'u', password: 'p' });
});

test('the home folder, where DOCKER_CONFIG is not set', async () => {
  await mkdir(join(dir, '.docker'));
  await writeFile(join(dir, '.docker', 'config.json'), JSON.stringify({ auths: { r: { auth: base64('h:p') } } }));
  expect(await ask('r', { DOCKER_CONFIG: '', HOME: dir })).toEqual({ username: 'h', password: 'p' });
});

test("a registry's own helper comes before the store, the store before the file", async () => {
  await configure({
    auths: { 'a.example': { auth: base64('file:x') }, 'b.example': {}, 'c.example': { auth: base64('file:c') } },
    credHelpers: { 'a.example': 'own' },
    credsStore: 'store',
  });
  // Only says what it knows when it is asked as the protocol has it: `get`, the server on standard input.
  await helper(
    'own',
    'read -r s; [ "$1 $s" = "get a.example" ] && echo \'{"ServerURL":"a","Username":"own","Secret":"1"}\'',
  );
  await helper(
    'store',
    `read -r s; case $s in b.example) echo '{"Username":"<token>","Secret":"tok"}';; *) echo credentials not found in native keychain; exit 1;; esac`,
  );
  expect(await ask('a.example')).toEqual({ username: 'own', password: '1' });
  expect(await ask('b.example')).toEqual({ identityToken: 'tok' });
  expect(await ask('c.example')).toEqual({ username: 'file', password: 'c' });
});

test.each<[string, unknown, string, string]>([
  ['not JSON', '{"auths":{"r":{"auth":"c2VjcmV0', 'is not JSON', ''],
  ['of another shape', { auths: { r: { auth: 7, password: 'secret' } } }, 'not a configuration of Docker', ''],
  ['without a colon', { auths: { r: { auth: base64('secret') } } }, 'has no name and password for r', ''],
  ['a helper that is not there', { credsStore: 'absent' }, 'docker-credential-absent, which Docker', ''],
  ['a helper with a path', { credsStore: '../x' }, 'is not the name of a credential helper', ''],
  [
    'a helper that fails',
    { credsStore: 'bad' },
    'docker-credential-bad has no answer for r',
    'echo the keychain is locked; exit 1',
  ],
  [
    'a helper that talks nonsense',
    { credHelpers: { r: 'bad' } },
    'something that is no credentials',
    'echo \'{"Secret":"secret"\'',
  ],
])('%s', async (_, config, sentence, script) => {
  await configure(config);
  if (script !== '') await helper('bad', script);
  const error = (await ask('r').catch((caught: unknown) => caught)) as Error & { detail?: string };
  expect(error).toMatchObject({ code: 'CREDENTIALS_UNREADABLE', message: expect.stringContaining(sentence) });
  expect(`${error.message} ${error.detail} ${error.stack} ${String(error.cause)}`).not.toMatch(/secret|c2VjcmV0/);
  if (script.includes('locked')) expect(error.detail).toBe('the keychain is locked');
});
