// What every runtime is to a benchmark: a name, a way to be started with a function, and functions made for it.
// Refuses to know what is measured.
import type { Command } from '../harness.ts';

/** A folder with app.py, whose `handler` is called. */
export interface FunctionFolder {
  readonly folder: string;
}

export type Env = Readonly<Record<string, string>>;

export interface Runtime {
  /** As it stands in tables; no two are alike in one benchmark. */
  readonly name: string;
  readonly kind: 'artifact' | 'awslambdaric' | 'image';
  /** CPython's version, with the t of free-threading: "3.13.15t". */
  readonly python: string;
  /** What exactly it is: a plan's id, an interpreter's path, an image's id. */
  readonly identity: string;
  start(code: FunctionFolder, env?: Env): Command;
  /**
   * A function with this app.py and these pinned packages, all of it byte-compiled by this interpreter.
   * @throws SOURCE_UNREACHABLE when a package cannot be had for it
   */
  fn(name: string, source: string, packages?: readonly string[]): Promise<FunctionFolder>;
}

/** PATH and language, and nothing of the caller's environment. */
export const plainEnv: Env = { PATH: '/usr/local/bin:/usr/bin:/bin', LANG: 'C.UTF-8', TZ: ':UTC' };

/** What Lambda sets and runtimes read. */
export const lambdaEnv = (root: string, more: Env): Env => ({
  ...plainEnv,
  LAMBDA_TASK_ROOT: root,
  _HANDLER: 'app.handler',
  AWS_LAMBDA_FUNCTION_NAME: 'bench',
  AWS_LAMBDA_FUNCTION_MEMORY_SIZE: '128',
  AWS_LAMBDA_FUNCTION_VERSION: '$LATEST',
  AWS_REGION: 'us-east-1',
  AWS_DEFAULT_REGION: 'us-east-1',
  AWS_ACCESS_KEY_ID: 'nobody',
  AWS_SECRET_ACCESS_KEY: 'nothing',
  ...more,
});
