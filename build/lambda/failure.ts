// From a failed invocation to our error: one code, one sentence and one remedy per way to fail. The function's own words
// go into the detail. Pure.
import { type ErrorCode, MakeRuntimeError } from '../lib/errors.ts';
import type { InvokeResult } from './invoke-result.ts';

interface Advice {
  readonly code: ErrorCode;
  readonly sentence: (result: Failed) => string;
  readonly remedy: string;
}

/** What an advice goes by. */
type Failed = Pick<InvokeResult, 'statusKind' | 'errorType' | 'errorMessage' | 'stackTrace'>;

const says = (result: Failed): string => {
  const line = (result.errorMessage ?? result.errorType ?? 'no reason given').split('\n', 1)[0]!;
  return line.replace(/[.\s]+$/, '');
};

/** By error type, as AWS's Python runtime client names them. */
const byType: Readonly<Record<string, Advice>> = {
  'Runtime.ImportModuleError': {
    code: 'FUNCTION_IMPORT_ERROR',
    sentence: (result) => `The handler's module could not be imported: ${says(result)}.`,
    remedy: 'Check the module part of --handler and that --code holds the module and everything it imports.',
  },
  'Runtime.UserCodeSyntaxError': {
    code: 'FUNCTION_SYNTAX_ERROR',
    sentence: (result) => `The handler's module has a syntax error: ${says(result)}.`,
    remedy: "Correct the line that is named, or use a runtime whose Python version knows the module's syntax.",
  },
  'Runtime.HandlerNotFound': {
    code: 'HANDLER_NOT_FOUND',
    sentence: (result) => `There is no such handler: ${says(result)}.`,
    remedy: 'Write --handler as module.function, with a function that the module defines.',
  },
  'Runtime.MalformedHandlerName': {
    code: 'HANDLER_NOT_FOUND',
    sentence: (result) => `The handler is not of the form module.function: ${says(result)}.`,
    remedy: 'Write --handler as module.function, for example app.handler for the function handler in app.py.',
  },
  'Runtime.BuiltInModuleConflict': {
    code: 'HANDLER_NOT_FOUND',
    sentence: (result) => `The handler's module has the name of a built-in one: ${says(result)}.`,
    remedy: 'Rename the module.',
  },
  'Runtime.MarshalError': {
    code: 'RESPONSE_NOT_JSON',
    sentence: (result) => `The handler returned something that is not JSON: ${says(result)}.`,
    remedy: 'Return only dict, list, str, int, float, bool and None (or bytes, which are passed on as they are).',
  },
};

const byStatus: Readonly<Partial<Record<InvokeResult['statusKind'], Advice>>> = {
  timeout: {
    code: 'FUNCTION_TIMEOUT',
    sentence: (result) =>
      `The function did not answer in time: ${says(result).replace(/^RequestId: \S+ Error: /, '')}.`,
    remedy: 'Raise --timeout, or find what it waits for in the log above.',
  },
  'out-of-memory': {
    code: 'FUNCTION_OUT_OF_MEMORY',
    sentence: () => 'The function was killed because it used more memory than it has.',
    remedy: 'Raise --memory, or read large inputs in pieces.',
  },
  exit: {
    code: 'FUNCTION_EXIT',
    sentence: (result) => `The runtime process ended: ${says(result).replace(/^RequestId: \S+ Error: /, '')}.`,
    remedy: 'Remove calls such as sys.exit() or os._exit() from the handler; after a crash, see the log above.',
  },
  'response-too-large': {
    code: 'RESPONSE_TOO_LARGE',
    sentence: (result) => `The response is too large: ${says(result)}.`,
    remedy: 'Store large results in S3 and return their address, or stream the response.',
  },
  'bad-response': {
    code: 'FUNCTION_EXIT',
    sentence: (result) => `The runtime did not finish its answer: ${says(result)}.`,
    remedy: 'This is a fault of the bootstrap in the layer, not of the handler.',
  },
  'init-error': {
    code: 'FUNCTION_INIT_ERROR',
    sentence: (result) => `The function failed while it was loaded: ${named(result)}.`,
    remedy: 'Correct what the module does when it is imported; the stack trace names the line.',
  },
  error: {
    code: 'FUNCTION_ERROR',
    sentence: (result) => `The function raised ${named(result)}.`,
    remedy: 'See the stack trace; the error is in the function, the runtime works.',
  },
};

/** The error of a failed invocation, or undefined for one that went well. */
export function functionFailure(result: Failed): MakeRuntimeError | undefined {
  if (result.statusKind === 'ok') return undefined;
  const reported = result.statusKind === 'error' || result.statusKind === 'init-error';
  const advice = (reported ? byType[result.errorType ?? ''] : undefined) ?? byStatus[result.statusKind]!;
  const detail = (result.stackTrace ?? []).join('').trimEnd();
  return new MakeRuntimeError(advice.code, advice.sentence(result), {
    remedy: advice.remedy,
    ...(detail === '' ? {} : { detail }),
  });
}

function named(result: Failed): string {
  return result.errorMessage ? `${result.errorType}: ${says(result)}` : (result.errorType ?? 'an unnamed error');
}
