// What CloudWatch would show: the function's lines in the order they arrived, between the platform's own START, END and
// REPORT lines. The shapes are those of CloudWatch, tabs included, so that tools which read REPORT lines read these.
// Functions that log JSON get the platform's lines as JSON too (platform-records.ts).
// Knows nothing of where lines come from or go to.
import type { PlatformRecord } from './platform-records.ts';

export interface LogLine {
  /** `platform` for START, END, REPORT and the like, `function` for what the process wrote. */
  readonly source: 'platform' | 'function';
  readonly text: string;
}

/** Lambda's own words for the log format of a function. */
export type LogFormat = 'Text' | 'JSON';

/** What a REPORT line says. Durations are in milliseconds. */
export interface ReportFigures {
  readonly requestId: string;
  readonly durationMs: number;
  readonly billedMs: number;
  readonly memoryMb: number;
  readonly maxMemoryMb: number;
  /** Only for the first invocation after an init phase that went well. */
  readonly initMs?: number | undefined;
  /** Only when the platform ended the invocation, not for an error that the runtime reported. */
  readonly status?: 'timeout' | 'error' | undefined;
  readonly errorType?: string | undefined;
}

export const initStart = (version: string): string => `INIT_START Runtime Version: ${version}`;

export const start = (requestId: string, version: string): string =>
  `START RequestId: ${requestId} Version: ${version}`;

export const end = (requestId: string): string => `END RequestId: ${requestId}`;

/** `phase` is `invoke` for the init that Lambda repeats inside an invocation. */
export function initReport(durationMs: number, phase: 'init' | 'invoke', status: string, errorType?: string): string {
  const type = errorType === undefined ? '' : `\tError Type: ${errorType}`;
  return `INIT_REPORT Init Duration: ${durationMs.toFixed(2)} ms\tPhase: ${phase}\tStatus: ${status}${type}`;
}

export function report(figures: ReportFigures): string {
  const { requestId, durationMs, billedMs, memoryMb, maxMemoryMb, initMs, status, errorType } = figures;
  return [
    `REPORT RequestId: ${requestId}`,
    `Duration: ${durationMs.toFixed(2)} ms`,
    `Billed Duration: ${billedMs} ms`,
    `Memory Size: ${memoryMb} MB`,
    `Max Memory Used: ${maxMemoryMb} MB`,
    ...(initMs === undefined ? [] : [`Init Duration: ${initMs.toFixed(2)} ms`]),
    ...(status === undefined ? [] : [`Status: ${status}`]),
    ...(errorType === undefined ? [] : [`Error Type: ${errorType}`]),
    '',
  ].join('\t');
}

/** Collects the lines of one environment and hands them out invocation by invocation. */
export class LogLines {
  #lines: LogLine[] = [];
  #partial = '';
  #bytesSeen = 0;
  readonly #onLine: (line: LogLine) => void;
  readonly #format: LogFormat;

  constructor(onLine: (line: LogLine) => void = () => {}, format: LogFormat = 'Text') {
    this.#onLine = onLine;
    this.#format = format;
  }

  /** Text of the process, in any pieces. */
  write(text: string): void {
    this.#bytesSeen += text.length;
    const pieces = (this.#partial + text).split('\n');
    this.#partial = pieces.pop() ?? '';
    for (const piece of pieces) this.#add({ source: 'function', text: piece });
  }

  /** A line of the platform: `text`, or `record` where the function logs JSON (without one, such logs lack the line). */
  platform(text: string, record?: PlatformRecord): void {
    this.#endLine();
    if (this.#format === 'Text') this.#add({ source: 'platform', text });
    else if (record !== undefined) this.#add({ source: 'platform', text: JSON.stringify(record) });
  }

  /**
   * Waits until everything the process has written so far is here. What it wrote before its `next` request is in the
   * pipe by the time that request is seen, so it is read within the following turns of the event loop: two turns
   * without news mean the pipe is empty.
   */
  async settle(): Promise<void> {
    let quiet = 0;
    while (quiet < 2) {
      const before = this.#bytesSeen;
      await new Promise((resolve) => setImmediate(resolve));
      quiet = this.#bytesSeen === before ? quiet + 1 : 0;
    }
  }

  /** The lines since the last `take`. */
  take(): LogLine[] {
    this.#endLine();
    const taken = this.#lines;
    this.#lines = [];
    return taken;
  }

  #endLine(): void {
    if (this.#partial !== '') this.#add({ source: 'function', text: this.#partial });
    this.#partial = '';
  }

  #add(line: LogLine): void {
    this.#lines.push(line);
    this.#onLine(line);
  }
}
