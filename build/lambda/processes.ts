// What /proc says about a tree of processes: who belongs to it and how much memory it has. Linux only; a process that
// ends while it is read simply has no numbers. Reads are synchronous: they are memory copies, and a thread-pool hop
// would cost more than the read.
import { readdirSync, readFileSync } from 'node:fs';

/** All living descendants of a process, nearest first, without the process itself. */
export function descendants(pid: number): number[] {
  const found: number[] = [];
  const queue = [pid];
  for (let parent = queue.shift(); parent !== undefined; parent = queue.shift()) {
    const children = childrenOf(parent);
    found.push(...children);
    queue.push(...children);
  }
  return found;
}

/** The children of every thread of a process. Needs CONFIG_PROC_CHILDREN, else falls back to reading all of /proc. */
function childrenOf(pid: number): number[] {
  try {
    const tasks = readdirSync(`/proc/${pid}/task`);
    return tasks.flatMap((task) => numbers(readFileSync(`/proc/${pid}/task/${task}/children`, 'latin1')));
  } catch {
    return parentTable()
      .filter(([, parent]) => parent === pid)
      .map(([child]) => child);
  }
}

/** Resident memory of one process in kB: now, and at its highest since exec. */
export function residentKb(pid: number): { now: number; peak: number } {
  const status = readProc(pid, 'status');
  return { now: field(status, 'VmRSS'), peak: field(status, 'VmHWM') };
}

/** Proportional set size in kB: pages shared with other processes count in part. Dearer to read than `residentKb`. */
export function proportionalKb(pid: number): number {
  return field(readProc(pid, 'smaps_rollup'), 'Pss');
}

/** False for a process that is gone or only waits to be reaped. */
export function isAlive(pid: number): boolean {
  const stat = readProc(pid, 'stat');
  return stat !== '' && !/^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2));
}

function readProc(pid: number, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'latin1');
  } catch {
    return '';
  }
}

function field(text: string, name: string): number {
  const match = new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text);
  return match === null ? 0 : Number(match[1]);
}

function numbers(text: string): number[] {
  return text.split(' ').filter(Boolean).map(Number);
}

function parentTable(): (readonly [number, number])[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => {
      // The command in field 2 may contain spaces and brackets, so count from its closing bracket.
      const stat = readProc(Number(name), 'stat');
      const parent = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1];
      return [Number(name), Number(parent ?? 0)] as const;
    });
}
