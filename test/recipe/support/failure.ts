// The MakeRuntimeError that a call throws; anything else fails the test.
import { isMakeRuntimeError, type MakeRuntimeError } from '../../../build/lib/errors.ts';

export function failure(call: () => unknown): MakeRuntimeError {
  try {
    call();
  } catch (error) {
    return expected(error);
  }
  throw new Error('nothing was thrown');
}

export async function rejection(promise: Promise<unknown>): Promise<MakeRuntimeError> {
  try {
    await promise;
  } catch (error) {
    return expected(error);
  }
  throw new Error('nothing was thrown');
}

function expected(error: unknown): MakeRuntimeError {
  if (isMakeRuntimeError(error)) return error;
  throw error;
}
