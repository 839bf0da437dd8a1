// Under what a benchmark runs: files in the page cache or not, and the share of a processor that goes with a memory size
// on Lambda, as a control group (version 2 or 1). Refuses to know what runs.
import { mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MakeRuntimeError } from '../lib/errors.ts';

export interface Conditions {
  /** The files of the runtime and of the function leave the page cache before each start. */
  readonly cold: boolean;
  /** MB; absent: all of this machine's processor. */
  readonly memory?: number;
}

/** "At 1,769 MB, a function has the equivalent of one vCPU" (Lambda Developer Guide, configuration-memory). */
const oneProcessor = 1769;
/**
 * Microseconds. What Lambda uses is not documented. A short one, so that a program is stopped often and for a short time
 * and not the other way round; the kernel wants a quota of at least one millisecond, and 128 MB is 1.45 of 20.
 */
const period = 20_000;

export const quotaOf = (memory: number): number => Math.max(1000, Math.round((period * memory) / oneProcessor));

export interface Shares {
  /** The control group's folder for a memory size. */
  folder(memory: number): string;
  /** Removes the groups; call it when nothing runs in them any more. */
  close(): Promise<void>;
}

/**
 * Makes a control group for each size.
 * @param proc /proc/self, but for tests
 * @throws SANDBOX_UNAVAILABLE with what was tried, when this process may make none
 */
export async function openShares(memories: readonly number[], proc = '/proc/self'): Promise<Shares> {
  const refusals: string[] = [];
  for (const parent of await parents(proc)) {
    const made: string[] = [];
    const close = async (): Promise<void> => {
      // A process that was killed a moment ago may still be leaving.
      for (const folder of made) await removeGroup(folder);
    };
    try {
      await removeAbandoned(parent.folder);
      for (const memory of memories) {
        const folder = join(parent.folder, `make-runtime-bench-${process.pid}-${memory}`);
        await mkdir(folder);
        made.push(folder);
        await parent.limit(folder, quotaOf(memory));
      }
      return { folder: (memory) => made[memories.indexOf(memory)] as string, close };
    } catch (error) {
      await close();
      refusals.push(`${parent.folder}: ${(error as Error).message}`);
    }
  }
  throw new MakeRuntimeError(
    'SANDBOX_UNAVAILABLE',
    'The processor cannot be limited here: no control group may be made.',
    {
      remedy:
        'Run it as root, or where cgroups are delegated: systemd-run --user --scope -p Delegate=yes make-runtime bench ... Without --memory nothing is limited.',
      detail: refusals.join('\n') || 'No cgroup hierarchy with the controller cpu is mounted.',
    },
  );
}

interface Parent {
  readonly folder: string;
  limit(folder: string, quota: number): Promise<void>;
}

const limitV2: Parent['limit'] = (folder, quota) => writeFile(join(folder, 'cpu.max'), `${quota} ${period}\n`);
const limitV1: Parent['limit'] = async (folder, quota) => {
  await writeFile(join(folder, 'cpu.cfs_period_us'), `${period}\n`);
  await writeFile(join(folder, 'cpu.cfs_quota_us'), `${quota}\n`);
};

/** Places where a group may be: our own, then those around it (a group of version 2 with processes may have none below). */
async function parents(proc: string): Promise<Parent[]> {
  const [own, mounts] = await Promise.all([
    readFile(join(proc, 'cgroup'), 'utf8').catch(() => ''),
    readFile(join(proc, 'mountinfo'), 'utf8').catch(() => ''),
  ]);
  const mounted = mounts.split('\n').flatMap((line) => {
    const [before = '', after = ''] = line.split(' - ');
    const [type, , options = ''] = after.split(' ');
    const [, , , within = '/', point = ''] = before.split(' ');
    return type === 'cgroup' || type === 'cgroup2' ? [{ type, options: options.split(','), within, point }] : [];
  });
  const found: Parent[] = [];
  for (const line of own.split('\n')) {
    const [, controllers, path = '/'] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (controllers === undefined) continue;
    const v2 = controllers === '';
    if (!v2 && !controllers.split(',').includes('cpu')) continue;
    const mount = mounted.find(({ type, options }) =>
      v2 ? type === 'cgroup2' : type === 'cgroup' && options.includes('cpu'),
    );
    if (mount === undefined) continue;
    // In a container the mount may show a part of the hierarchy only.
    const shown = path.startsWith(mount.within) ? path.slice(mount.within.length) : path;
    const parts = shown.split('/').filter((part) => part !== '');
    for (let depth = parts.length; depth >= 0; depth -= 1) {
      const folder = join(mount.point, ...parts.slice(0, depth));
      if (!v2) found.push({ folder, limit: limitV1 });
      else if (await hands(folder)) found.push({ folder, limit: limitV2 });
    }
  }
  return found;
}

/** Whether groups below have the controller cpu (cgroup-v2, "Enabling and Disabling"). */
async function hands(folder: string): Promise<boolean> {
  const control = join(folder, 'cgroup.subtree_control');
  const enabled = async (): Promise<boolean> => /(^|\s)cpu(\s|$)/.test(await readFile(control, 'utf8').catch(() => ''));
  if (await enabled()) return true;
  await writeFile(control, '+cpu').catch(() => {});
  return enabled();
}

async function removeGroup(folder: string): Promise<void> {
  for (let tries = 0; tries < 20; tries += 1) {
    try {
      return await rmdir(folder);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** Groups of a run that was killed. */
async function removeAbandoned(folder: string): Promise<void> {
  for (const name of await readdir(folder).catch((): string[] => [])) {
    const pid = /^make-runtime-bench-(\d+)-/.exec(name)?.[1];
    if (pid === undefined) continue;
    try {
      process.kill(Number(pid), 0);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ESRCH') await rmdir(join(folder, name)).catch(() => {});
    }
  }
}
