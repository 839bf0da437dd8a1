// What every stage is handed besides its input. Made once at the edge (cli.ts, a test), so that no room reads the
// process environment or decides where things live.
import type { Report } from './report.ts';

export interface Context {
  readonly report: Report;
  /** Fires on Ctrl-C; handed to every child process and request. */
  readonly signal: AbortSignal;
  /** The content-addressed cache: safe to delete, shared by concurrent runs. */
  readonly cacheDir: string;
  /** The folder that holds recipes/ and bootstrap-src/ (the package itself). */
  readonly packageDir: string;
  /** The caller's environment, for the few settings that are passed on to children (PATH, proxies). */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** No sockets: everything must be in the cache already. */
  readonly offline: boolean;
}
