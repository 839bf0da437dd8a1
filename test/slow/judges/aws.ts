// An AWS to publish to: moto's server, a proxy in front of it that a test can let fail, and boto3 to look at what came of
// it. Refuses to know what is published.
// What moto does not do, and is tested in test/aws and test/publish instead: pages, throttling, quotas, permissions, the
// shape of names, the length of policies, the region of a bucket that Lambda reads from, the checksum that S3 is given.
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { execa } from 'execa';
import { folderOnce } from '../../../build/lib/folder.ts';
import { type FakeAws, startFakeAws } from '../../aws/support/fake-aws.ts';
import { root } from './layer.ts';

const here = join(import.meta.dirname, 'aws');

export interface SeenVersion {
  readonly version: number;
  readonly arn: string;
  readonly description: string;
  readonly runtimes: readonly string[];
  readonly architectures: readonly string[];
  readonly codeSha256: string;
  /** The same of the bytes at Location. */
  readonly downloaded: string;
  readonly grants: readonly (readonly [string, string, unknown])[];
}

export interface Seen {
  readonly regions: Readonly<
    Record<
      string,
      { readonly layers: Readonly<Record<string, readonly SeenVersion[]>>; readonly parameters: Record<string, string> }
    >
  >;
  readonly buckets: Readonly<
    Record<
      string,
      { readonly region: string | null; readonly closed: readonly string[]; readonly objects: readonly string[] }
    >
  >;
}

export interface JudgedAws {
  /** In front of moto. */
  readonly proxy: FakeAws;
  /** moto itself. */
  readonly url: string;
  /** What a program needs to talk to the proxy. */
  readonly env: Readonly<Record<string, string>>;
  /** The program of the environment with boto3, cfn-lint and python-hcl2. */
  readonly python: string;
  look(...regions: string[]): Promise<Seen>;
  close(): Promise<void>;
}

/** An environment with the pinned packages, made once for these pins; returns its python. */
export async function judgesPython(): Promise<string> {
  const pins = join(here, 'requirements.txt');
  const key = createHash('sha256')
    .update(await readFile(pins))
    .digest('hex')
    .slice(0, 16);
  const folder = join(root, 'node_modules', '.cache', 'make-runtime', `judges-${key}`);
  await mkdir(dirname(folder), { recursive: true });
  await folderOnce(folder, async (scratch) => {
    await execa('python3', ['-m', 'venv', scratch]);
    const options = ['--quiet', '--disable-pip-version-check', '--no-deps', '--require-hashes'];
    await execa(join(scratch, 'bin', 'python'), ['-m', 'pip', 'install', ...options, '--requirement', pins]);
  });
  return join(folder, 'bin', 'python');
}

export async function startAws(python: string): Promise<JudgedAws> {
  const server = spawn(python, [join(here, 'server.py')], { stdio: ['pipe', 'pipe', 'ignore'] });
  const url = await firstLine(server);
  const proxy = await startFakeAws({ behind: url });
  const keys = {
    AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE',
    AWS_SECRET_ACCESS_KEY: 'wJalrXUtnFEMI',
    AWS_EC2_METADATA_DISABLED: 'true',
  };
  return {
    proxy,
    url,
    env: { ...keys, AWS_ENDPOINT_URL: proxy.url },
    python,
    look: async (...regions) => {
      const { stdout } = await execa(python, [join(here, 'look.py'), ...regions], {
        env: { ...keys, AWS_ENDPOINT_URL: url },
      });
      return JSON.parse(stdout);
    },
    close: async () => {
      await proxy.close();
      server.stdin.end();
      await new Promise((done) => server.once('exit', done));
    },
  };
}

function firstLine(server: ChildProcess): Promise<string> {
  return new Promise((done, failed) => {
    if (server.stdout === null) return failed(new Error('no stdout'));
    createInterface(server.stdout).once('line', done);
    server.once('exit', (code) => failed(new Error(`moto's server ended with ${code}`)));
  });
}
