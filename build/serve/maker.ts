// Makes the execution environments of one function, and keeps one ahead where its code is watched: mounted, waiting for
// the code that will be saved next. Knows nothing of when environments are used or ended.
import { ExecutionEnvironment } from '../lambda/environment.ts';
import type { FunctionSettings } from '../lambda/function-env.ts';
import type { LogLine } from '../lambda/log-lines.ts';
import { ManagedEnvironment } from '../lambda/managed-environment.ts';
import type { SandboxKind, SandboxOptions } from '../lambda/sandbox.ts';
import type { Context } from '../lib/context.ts';
import { exists } from '../lib/folder.ts';
import type { Environment, MakeEnvironment } from './pool.ts';

export interface MakerOptions extends Pick<SandboxOptions, 'layerDirs' | 'visible' | 'kinds'> {
  readonly settings: FunctionSettings;
  /** Invocations at a time of a Managed Instances environment; undefined on demand. */
  readonly managed: number | undefined;
  readonly runtimeVersion?: string;
  readonly initTimeoutMs?: number;
}

interface Spare {
  readonly codeDir: string;
  readonly environment: Promise<ExecutionEnvironment>;
  onLog: (line: LogLine) => void;
}

export class EnvironmentMaker {
  readonly #options: MakerOptions;
  readonly #context: Context;
  /** Known after the first environment. */
  #proven: SandboxKind | undefined;
  #spare: Spare | undefined;
  #closed = false;

  constructor(options: MakerOptions, context: Context) {
    this.#options = options;
    this.#context = context;
  }

  make(codeDir: string): MakeEnvironment {
    return async (onLog) => (await this.#takeSpare(codeDir, onLog)) ?? this.#create(codeDir, onLog);
  }

  /** Makes an environment for a folder that is still empty, in place of an earlier one. Waits until it is there. */
  async keepSpare(codeDir: string): Promise<void> {
    if (this.#options.managed !== undefined || this.#closed || this.#spare?.codeDir === codeDir) return;
    await this.#dropSpare();
    const spare: Spare = {
      codeDir,
      onLog: () => {},
      environment: this.#onDemand(codeDir, (line) => spare.onLog(line)).then(async (environment) => {
        await environment.prime();
        return environment;
      }),
    };
    this.#spare = spare;
    await spare.environment;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#dropSpare();
  }

  async #takeSpare(codeDir: string, onLog: (line: LogLine) => void): Promise<Environment | undefined> {
    const spare = this.#spare;
    if (spare?.codeDir !== codeDir) return undefined;
    // Before anything is waited for: two invocations may want an environment in the same moment.
    this.#spare = undefined;
    spare.onLog = onLog;
    // What is to be started was looked for when there was no code; a function's own bootstrap comes before the layer's.
    if (await exists(`${codeDir}/bootstrap`)) {
      await drop(spare);
      return undefined;
    }
    return spare.environment;
  }

  async #dropSpare(): Promise<void> {
    const spare = this.#spare;
    this.#spare = undefined;
    if (spare !== undefined) await drop(spare);
  }

  async #create(codeDir: string, onLog: (line: LogLine) => void): Promise<Environment> {
    const { managed, ...options } = this.#options;
    if (managed === undefined) return this.#onDemand(codeDir, onLog);
    return ManagedEnvironment.create({ ...options, codeDir, onLog, maxConcurrency: managed }, this.#context);
  }

  async #onDemand(codeDir: string, onLog: (line: LogLine) => void): Promise<ExecutionEnvironment> {
    const { managed: _, ...options } = this.#options;
    const made = await ExecutionEnvironment.create({ ...options, codeDir, onLog, proven: this.#proven }, this.#context);
    this.#proven = made.sandbox.kind;
    return made;
  }
}

async function drop({ environment }: Spare): Promise<void> {
  await environment.then(
    (made) => made.shutdown(),
    () => {},
  );
}
