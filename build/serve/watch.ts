// Watches a folder of code and deploys what is saved there. The kernel's notices only say when to look; what changed is
// read from the folder itself. Where notices cannot be had (their number is limited, some file systems have none), the
// folder is looked at several times a second. Knows nothing of functions.
import { type FSWatcher, statSync, watch } from 'node:fs';
import { mkdir, mkdtemp, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import type { Context } from '../lib/context.ts';
import { MakeRuntimeError } from '../lib/errors.ts';
import { changes, copyFolder, type Listing, listFolder } from './snapshot.ts';

export interface WatchOptions {
  readonly folder: string;
  /** Told of every new copy; what was changed, and how long it took from the notice. */
  readonly deploy: (copy: string, changed: readonly string[], tookMs: number) => void;
  /** Whether notices are to be used; false is for tests of the other way. */
  readonly notices?: boolean;
}

/** Editors write in several steps: this long without news means that they are done. */
const quietMs = 15;
const longestMs = 150;
const lookEveryMs = 300;

export class CodeWatcher {
  /** The first copy. */
  readonly copy: string;
  readonly #options: WatchOptions;
  readonly #context: Context;
  readonly #scratch: string;
  readonly #watchers = new Map<string, { readonly watcher: FSWatcher; readonly identity: string }>();
  #listing: Listing;
  #latest: string;
  #copies = 1;
  #lastNotice = 0;
  #work: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  private constructor(options: WatchOptions, context: Context, scratch: string, copy: string, listing: Listing) {
    this.#options = options;
    this.#context = context;
    this.#scratch = scratch;
    this.copy = copy;
    this.#latest = copy;
    this.#listing = listing;
    if (options.notices === false) this.#look();
    else {
      this.#follow();
      this.#noticed();
    }
  }

  /** Copies the folder and begins to watch it. Throws CODE_NOT_FOUND. Call `close()` when nothing uses the copies any more. */
  static async start(options: WatchOptions, context: Context): Promise<CodeWatcher> {
    const found = await stat(options.folder).catch(() => undefined);
    if (!found?.isDirectory())
      throw new MakeRuntimeError('CODE_NOT_FOUND', `There is no folder ${options.folder} with the function's code.`, {
        remedy: 'Point --code at the folder that holds the handler module.',
      });
    // Named as sandboxes are, so that what a killed run leaves is swept up with theirs (sandbox.ts).
    const parent = join(context.cacheDir, 'lambda');
    await mkdir(parent, { recursive: true });
    const scratch = await mkdtemp(join(parent, `sandbox-${process.pid}-code-`));
    const listing = await listFolder(options.folder);
    const copy = join(scratch, '1');
    await copyFolder(options.folder, listing, copy);
    await mkdir(join(scratch, '2'), { mode: 0o755 });
    return new CodeWatcher(options, context, scratch, copy, listing);
  }

  /** Where the next copy will be: an empty folder, for environments that are made ahead. */
  get next(): string {
    return join(this.#scratch, String(this.#copies + 1));
  }

  /** Waits until everything that was saved before this call is deployed. */
  async fresh(): Promise<void> {
    if (this.#timer !== undefined) this.#noticed();
    // A notice of a save that preceded the caller's request is read in the same turn of the event loop, or before.
    else await turn();
    while (this.#work !== undefined) await this.#work;
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    for (const path of [...this.#watchers.keys()]) this.#unwatch(path);
    await this.#work;
    await rm(this.#scratch, { recursive: true, force: true, maxRetries: 3 });
  }

  #noticed(): void {
    this.#lastNotice = performance.now();
    if (this.#closed || this.#work !== undefined) return;
    const update = this.#update(this.#lastNotice).catch((error: Error) => {
      this.#context.report({ type: 'warn', message: `The change could not be deployed: ${error.message}` });
    });
    this.#work = update.finally(() => {
      this.#work = undefined;
    });
  }

  async #update(begun: number): Promise<void> {
    let seen: number;
    do {
      if (this.#timer === undefined) await this.#settled(begun);
      seen = this.#lastNotice;
      const listing = await listFolder(this.#options.folder);
      const changed = changes(this.#listing, listing);
      const before = { folder: this.#latest, listing: this.#listing };
      this.#listing = listing;
      if (this.#timer === undefined && !this.#closed) this.#follow();
      if (changed.length === 0) continue;
      const copy = this.next;
      this.#copies += 1;
      await mkdir(this.next, { mode: 0o755 });
      await copyFolder(this.#options.folder, listing, copy, before);
      this.#latest = copy;
      if (!this.#closed) this.#options.deploy(copy, changed, performance.now() - begun);
      // What was saved while this was copied is next.
    } while (this.#lastNotice !== seen && !this.#closed);
  }

  async #settled(begun: number): Promise<void> {
    for (;;) {
      const now = performance.now();
      const wait = Math.min(this.#lastNotice + quietMs, begun + longestMs) - now;
      if (wait <= 0) return;
      await sleep(wait);
    }
  }

  /**
   * One watcher a folder: the recursive mode of Node 20 on Linux lists everything again for every new folder. A folder
   * that has been replaced by another of the same name is a new one.
   */
  #follow(): void {
    const folders = ['', ...[...this.#listing].filter(([, { kind }]) => kind === 'folder').map(([path]) => path)];
    const wanted = new Set(folders.filter((path) => !`/${path}/`.includes('/__pycache__/')));
    for (const path of this.#watchers.keys()) if (!wanted.has(path)) this.#unwatch(path);
    try {
      for (const path of wanted) {
        const folder = join(this.#options.folder, path);
        const { ino, birthtimeNs } = statSync(folder, { bigint: true });
        // Numbers of files are used again.
        const identity = `${ino}:${birthtimeNs}`;
        if (this.#watchers.get(path)?.identity === identity) continue;
        this.#unwatch(path);
        const watcher = watch(folder, () => this.#noticed());
        watcher.on('error', () => this.#noticed());
        this.#watchers.set(path, { watcher, identity });
        // What was put there before it was watched.
        this.#lastNotice = performance.now();
      }
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // Somebody is replacing folders; whoever waits for the next notice might wait for ever.
      if (code === 'ENOENT') setTimeout(() => this.#noticed(), lookEveryMs).unref();
      else this.#giveUpNotices(code);
    }
  }

  #unwatch(path: string): void {
    this.#watchers.get(path)?.watcher.close();
    this.#watchers.delete(path);
  }

  #giveUpNotices(code: string | undefined): void {
    for (const path of [...this.#watchers.keys()]) this.#unwatch(path);
    this.#context.report({
      type: 'warn',
      message: `Changes in ${this.#options.folder} are looked for several times a second: the system has no more notices to give (${code}).`,
      remedy: 'Raise fs.inotify.max_user_watches and fs.inotify.max_user_instances with sysctl.',
    });
    this.#look();
  }

  #look(): void {
    this.#timer = setInterval(() => this.#noticed(), lookEveryMs);
    this.#timer.unref();
  }
}
