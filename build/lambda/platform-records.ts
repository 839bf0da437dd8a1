// The platform's log lines of a function that logs JSON: `platform.*` records, as CloudWatch has them and the Telemetry
// API documents them. Only what the default system log level (INFO) lets through is ever made.
// Source: Developer Guide, telemetry-schema-reference and monitoring-cloudwatchlogs-advanced ("system log level mapping").
import type { LogFormat, ReportFigures } from './log-lines.ts';

export interface PlatformRecord {
  /** RFC 3339, UTC. */
  readonly time: string;
  readonly type: `platform.${string}`;
  readonly record: Readonly<Record<string, unknown>>;
}

/** How an init phase or an invocation ended. */
type Status = 'success' | 'failure' | 'error' | 'timeout';

const record = (type: PlatformRecord['type'], content: PlatformRecord['record']): PlatformRecord => ({
  time: new Date().toISOString(),
  type,
  record: content,
});

export interface InitStart {
  readonly initializationType: string;
  readonly runtimeVersion: string;
  readonly functionName: string;
  readonly functionVersion: string;
  readonly memoryMb: number;
}

export function initStartRecord({ memoryMb, ...init }: InitStart): PlatformRecord {
  const { initializationType, ...rest } = init;
  return record('platform.initStart', {
    initializationType,
    phase: 'init',
    ...rest,
    instanceMaxMemory: memoryMb * 2 ** 20,
  });
}

/** Of an init phase that failed: a successful one is told at DEBUG only. */
export function initReportRecord(
  durationMs: number,
  phase: 'init' | 'invoke',
  status: Status,
  initializationType: string,
  errorType?: string,
): PlatformRecord {
  return record('platform.initReport', {
    initializationType,
    phase,
    status,
    ...(errorType === undefined ? {} : { errorType }),
    metrics: { durationMs: rounded(durationMs) },
  });
}

export const startRecord = (requestId: string, version: string): PlatformRecord =>
  record('platform.start', { requestId, version });

/** Of an invocation that did not go well: one that did is told at DEBUG only. */
export function runtimeDoneRecord(requestId: string, status: Status, errorType?: string): PlatformRecord {
  return record('platform.runtimeDone', { requestId, status, ...(errorType === undefined ? {} : { errorType }) });
}

/** @param reported true when the runtime reported an error: Lambda calls that `error`, and its own findings `failure` */
export function reportRecord(figures: ReportFigures, reported: boolean): PlatformRecord {
  const { requestId, durationMs, billedMs, memoryMb, maxMemoryMb, initMs, errorType } = figures;
  const status = statusOf(figures, reported);
  return record('platform.report', {
    requestId,
    metrics: {
      durationMs: rounded(durationMs),
      billedDurationMs: billedMs,
      memorySizeMB: memoryMb,
      maxMemoryUsedMB: maxMemoryMb,
      ...(initMs === undefined ? {} : { initDurationMs: rounded(initMs) }),
    },
    status,
    ...(errorType === undefined ? {} : { errorType }),
  });
}

export function statusOf({ status }: Pick<ReportFigures, 'status'>, reported: boolean): Status {
  if (status === 'timeout') return 'timeout';
  if (status === 'error') return 'failure';
  return reported ? 'error' : 'success';
}

/** `AWS_LAMBDA_LOG_FORMAT` as a format; Lambda's default is text. */
export function logFormatOf(env: Readonly<Record<string, string>>): LogFormat {
  return env['AWS_LAMBDA_LOG_FORMAT']?.toUpperCase() === 'JSON' ? 'JSON' : 'Text';
}

function rounded(milliseconds: number): number {
  return Math.round(milliseconds * 1000) / 1000;
}
