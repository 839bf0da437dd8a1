// An error -> what a person reads (or JSON) and the exit status. Tells a user's mistake from a bug of ours.
import { exitStatus, isMakeRuntimeError, type MakeRuntimeError } from '../lib/errors.ts';
import type { Colors } from './progress.ts';

export interface Failure {
  readonly status: number;
  /** For stderr, ends with a newline. */
  readonly text: string;
}

export function describeFailure(
  error: unknown,
  options: { colors: Colors; json: boolean; versions?: string },
): Failure {
  if (isMakeRuntimeError(error)) {
    return { status: exitStatus[error.code], text: options.json ? asJson(error) : forPeople(error, options.colors) };
  }
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  const title = error instanceof Error ? error.message.split('\n')[0] : String(error);
  const text = options.json
    ? `${JSON.stringify({ type: 'error', code: 'INTERNAL', message: title })}\n`
    : [
        `${options.colors.red('bug')} ${title}`,
        stack,
        `This is a mistake in make-runtime (${options.versions ?? 'unknown version'}), not in what you did. Please report it with these lines.`,
        '',
      ].join('\n');
  return { status: exitStatus.INTERNAL, text };
}

function forPeople(error: MakeRuntimeError, colors: Colors): string {
  return [
    `${colors.red('error')} ${error.message} ${colors.dim(`[${error.code}]`)}`,
    ...(error.detail ? error.detail.split('\n').map((line) => `  ${line}`) : []),
    ...(error.remedy ? [`${colors.green('try')}   ${error.remedy}`] : []),
    '',
  ].join('\n');
}

function asJson(error: MakeRuntimeError): string {
  const { code, message, remedy, detail } = error;
  return `${JSON.stringify({ type: 'error', code, message, remedy, detail })}\n`;
}
