// The public API: re-exports, nothing else.
export { type ErrorCode, exitStatus, isMakeRuntimeError, MakeRuntimeError } from './lib/errors.ts';
