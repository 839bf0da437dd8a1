// Where the layer's programs are run when something has to be proved by running it. The sandbox of the lambda room is
// one Runner; the one here runs from an unpacked folder without any isolation, so only on layers one trusts.
import { join } from 'node:path';
import { execa } from 'execa';
import type { Arch } from '../recipe/model.ts';

export interface RunOptions {
  /** Added to the runner's own environment, which is as near to Lambda's as the runner can make it. */
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
  readonly cwd?: string;
  /** Milliseconds. */
  readonly timeoutMs?: number;
}

export interface RunResult {
  /** Null when a signal, a timeout among them, ended it. */
  readonly exitCode: number | null;
  readonly signal?: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Runner {
  /** Where the layer lies for the programs that are run; "/opt" when absent. */
  readonly root?: string;
  /** What its programs are for, where that is not this machine's architecture, and what runs them: "qemu-aarch64 7.2". */
  readonly emulates?: { readonly arch: Arch; readonly by: string };
  /** Why it does not emulate the artifact's architecture, as a clause. */
  readonly cannotEmulate?: string;
  readonly run: (argv: readonly string[], options?: RunOptions) => Promise<RunResult>;
}

/**
 * Runs programs of a layer that was unpacked into `layerDir`, as the current user and with the machine's own files
 * around. The environment is Lambda's search paths and nothing of the caller's.
 */
export function localRunner(layerDir: string, signal?: AbortSignal): Runner {
  return {
    root: layerDir,
    async run([file, ...args], { env = {}, input = '', cwd = '/', timeoutMs = 60_000 } = {}) {
      if (file === undefined) throw new Error('There is no program to run.');
      const result = await execa(file, args, {
        env: {
          PATH: `/usr/local/bin:/usr/bin/:/bin:${join(layerDir, 'bin')}`,
          LD_LIBRARY_PATH: `/lib64:/usr/lib64:${join(layerDir, 'lib')}`,
          LANG: 'C.UTF-8',
          ...env,
        },
        extendEnv: false,
        cwd,
        input,
        timeout: timeoutMs,
        forceKillAfterDelay: 1000,
        reject: false,
        stripFinalNewline: false,
        ...(signal && { cancelSignal: signal }),
      });
      // A program that could not be started has neither an exit code nor output: the reason stands in for stderr.
      const stderr = result.stderr || (result.exitCode === undefined ? (result.originalMessage ?? '') : '');
      return { exitCode: result.exitCode ?? null, signal: result.signal ?? null, stdout: result.stdout, stderr };
    },
  };
}
