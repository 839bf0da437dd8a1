// Where AWS's emulator runs: the layer at /opt, the function at /var/task, a /tmp of its own. Our sandbox for the one of
// on-demand functions; mounts of root's for the one of Managed Instances, which changes to Lambda's user by itself and so
// cannot be started by it. Refuses to know what the emulator is told.
import { spawn } from 'node:child_process';
import { chmod, constants, copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, type Readable } from 'node:stream';
import { Sandbox } from '../../../build/lambda/sandbox.ts';
import type { Context } from '../../../build/lib/context.ts';

export interface Folders {
  /** The emulator's program. */
  readonly emulator: string;
  /** A layer's folder. */
  readonly layer: string;
  /** The function's. */
  readonly code: string;
}

export interface Place {
  /** stdout and stderr together. */
  readonly output: Readable;
  /** Settles when the emulator has ended, by itself or not. */
  readonly ended: Promise<unknown>;
  close(): Promise<void>;
}

/** Starts the emulator with `options`. */
export async function inSandbox(
  { emulator, layer, code }: Folders,
  options: readonly string[],
  env: Readonly<Record<string, string>>,
  context: Context,
): Promise<Place> {
  // As one more layer, because the sandbox shows nothing else; and not in a "mapped" one, because the emulator looks
  // for the bootstrap at Lambda's own paths only.
  const own = await mkdtemp(join(tmpdir(), 'make-runtime-rie-layer-'));
  await copyFile(emulator, join(own, 'aws-lambda-rie'), constants.COPYFILE_FICLONE);
  await chmod(join(own, 'aws-lambda-rie'), 0o755);
  const sandbox = await Sandbox.open(
    { layerDirs: [layer, own], codeDir: code, kinds: ['namespace', 'bubblewrap'] },
    context,
  ).finally(() => rm(own, { recursive: true }));
  try {
    const process = await sandbox.start(['/opt/aws-lambda-rie', ...options], { env, memoryMb: 1024 });
    return {
      output: process.output,
      ended: process.exited,
      async close() {
        await process.kill();
        await sandbox.close();
      },
    };
  } catch (error) {
    await sandbox.close();
    throw error;
  }
}

/** /var is made elsewhere and moved there last, so that nothing is hidden before it is bound, wherever it is. */
const mounts = `set -e
mount -t tmpfs -o mode=755 tmpfs /mnt
mkdir /mnt/task
cp "$1" /mnt/aws-lambda-rie
mount --bind "$2" /opt
mount --bind "$3" /mnt/task
mount --rbind /mnt /var
mount -t tmpfs -o mode=1777 tmpfs /tmp
shift 3
cd /var/task
exec /var/aws-lambda-rie "$@"`;

/** Starts the emulator with `options`, as root: see `needsRoot`. */
export function withMounts(
  { emulator, layer, code }: Folders,
  options: readonly string[],
  env: Readonly<Record<string, string>>,
): Place {
  const spaces = ['--mount', '--pid', '--fork', '--kill-child=KILL', '--propagation', 'private'];
  const child = spawn('unshare', [...spaces, '/bin/sh', '-c', mounts, 'sh', emulator, layer, code, ...options], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output = new PassThrough();
  for (const stream of [child.stdout, child.stderr]) stream.pipe(output, { end: false });
  const ended = new Promise((settle, fail) => {
    child.on('error', fail);
    child.on('close', settle);
  });
  return {
    output,
    ended,
    async close() {
      child.kill('SIGKILL'); // and with it the first process of the namespace, and with that all the others
      await ended;
    },
  };
}

/** Why the emulator of Managed Instances cannot be started here, or undefined. */
export const needsRoot =
  process.getuid?.() === 0 ? undefined : 'AWS’s emulator of Managed Instances changes to Lambda’s user: it needs root';
