// The memory limit of an execution environment and the figure for REPORT's "Max Memory Used": a cgroup v2 where one can
// be made, else a watchdog over /proc. Knows nothing of how the processes are started.
// Error of the watchdog: it looks every 20 ms, but reads the kernel's own high-water mark (VmHWM), so a single process
// cannot slip past it; several processes can, for less than two looks.
import { mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { proportionalKb, residentKb } from './processes.ts';

export interface MemoryMeter {
  readonly kind: 'cgroup' | 'watchdog';
  /** The file to write a process id to, before it does anything, or undefined. */
  readonly joinFile: string | undefined;
  /** Starts to watch the processes that `members` lists each time it is asked. */
  watch(members: () => readonly number[]): void;
  /** Highest use so far, in bytes. */
  peakBytes(): number;
  /** True when the limit was exceeded and everything has been, or is about to be, killed for it. */
  exceeded(): boolean;
  /** Ends the watching and removes the cgroup; all processes must be gone. */
  stop(): void;
}

/** Makes the best meter there is. `onExceeded` is called by the watchdog, which cannot kill by itself. */
export function createMeter(limitBytes: number, onExceeded: () => void, cgroupMount = '/sys/fs/cgroup'): MemoryMeter {
  return cgroupMeter(limitBytes, cgroupMount) ?? watchdog(limitBytes, onExceeded);
}

let sequence = 0;

function cgroupMeter(limitBytes: number, mount: string): MemoryMeter | undefined {
  const parent = delegatedParent(mount);
  if (parent === undefined) return undefined;
  sequence += 1;
  const folder = join(parent, `make-runtime-${process.pid}-${sequence}`);
  const read = (name: string): string => readFileSync(join(folder, name), 'latin1');
  try {
    mkdirSync(folder);
    writeFileSync(join(folder, 'memory.max'), String(limitBytes));
    // Lambda has no swap: what does not fit is killed, all of it at once.
    attempt(() => writeFileSync(join(folder, 'memory.swap.max'), '0'));
    attempt(() => writeFileSync(join(folder, 'memory.oom.group'), '1'));
    read('memory.peak');
  } catch {
    attempt(() => rmdirSync(folder));
    return undefined;
  }
  return {
    kind: 'cgroup',
    joinFile: join(folder, 'cgroup.procs'),
    watch: () => {},
    peakBytes: () => Number(attempt(() => read('memory.peak')) ?? 0),
    exceeded: () => Number(/^oom_kill (\d+)/m.exec(attempt(() => read('memory.events')) ?? '')?.[1] ?? 0) > 0,
    stop: () => {
      attempt(() => writeFileSync(join(folder, 'cgroup.kill'), '1'));
      attempt(() => rmdirSync(folder));
    },
  };
}

/**
 * A cgroup below which a child with a memory limit may be made: a sibling of ours, since a cgroup that holds processes
 * cannot hand controllers to children ("no internal processes", kernel cgroup-v2.rst), or a child of the root.
 */
function delegatedParent(mount: string): string | undefined {
  const own = /^0::(\/.*)$/m.exec(attempt(() => readFileSync('/proc/self/cgroup', 'latin1')) ?? '')?.[1];
  const candidates = own === undefined || own === '/' ? [mount] : [join(mount, own, '..'), mount];
  return candidates.find((folder) => {
    const enabled = attempt(() => readFileSync(join(folder, 'cgroup.subtree_control'), 'latin1')) ?? '';
    return enabled.split(/\s/).includes('memory') && attempt(() => readdirSync(folder)) !== undefined;
  });
}

const lookEveryMs = 20;

function watchdog(limitBytes: number, onExceeded: () => void): MemoryMeter {
  let timer: NodeJS.Timeout | undefined;
  let look = (): void => {};
  let peakKb = 0;
  let exceeded = false;
  let looksAbove = 0;
  const limitKb = limitBytes / 1024;

  const measure = (pids: readonly number[]): void => {
    const usage = pids.map(residentKb);
    const highest = usage.reduce((most, { peak }) => Math.max(most, peak), 0);
    let together = highest;
    if (usage.length > 1) {
      together = usage.reduce((sum, { now }) => sum + now, 0);
      // Shared pages are counted once by the kernel but once per process in RSS: look closer when it matters.
      if (together > Math.max(peakKb, highest)) together = pids.reduce((sum, pid) => sum + proportionalKb(pid), 0);
    }
    peakKb = Math.max(peakKb, highest, together);
    // Between vfork and exec a child is counted with its parent's memory: believe a sum only when it lasts.
    looksAbove = together > limitKb ? looksAbove + 1 : 0;
    if (!exceeded && (highest > limitKb || looksAbove > 1)) {
      exceeded = true;
      onExceeded();
    }
  };

  return {
    kind: 'watchdog',
    joinFile: undefined,
    watch: (members) => {
      clearInterval(timer);
      looksAbove = 0;
      look = () => measure(members());
      timer = setInterval(look, lookEveryMs);
      timer.unref();
    },
    peakBytes: () => {
      look();
      return peakKb * 1024;
    },
    exceeded: () => exceeded,
    stop: () => {
      clearInterval(timer);
      look = () => {};
    },
  };
}

function attempt<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch {
    return undefined;
  }
}
