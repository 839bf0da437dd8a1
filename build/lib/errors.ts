// The one error class, and the list of everything a user can cause or cure.
// A code is stable and has an exit status of its own, so that a script can tell failures apart.
// Anything thrown that is not a MakeRuntimeError is a bug of ours, and is reported as one (see cli.ts).

/** Every stable error code with its exit status. docs/errors.md is generated from this table. */
export const exitStatus = {
  USAGE: 2,
  RECIPE_UNKNOWN: 10,
  RECIPE_SYNTAX: 11,
  RECIPE_INVALID: 12,
  FLAVOR_UNAVAILABLE: 13,
  FLAVOR_CONFLICT: 14,
  PYTHON_NOT_PINNED: 15,
  ARCH_UNSUPPORTED: 16,
  LOCK_INVALID: 17,
  LOCK_STALE: 18,
  PROFILE_UNSUPPORTED: 19,
  SOURCE_UNREACHABLE: 20,
  SOURCE_HASH_MISMATCH: 21,
  SOURCE_OLDER_AVAILABLE: 22,
  SIGNATURE_INVALID: 23,
  SIGNATURE_MISSING: 24,
  TRUST_ROOT_STALE: 25,
  TRUST_ROOT_INVALID: 26,
  PLAN_INVALID: 27,
  PROFILE_DATA_INVALID: 29,
  ENGINE_UNKNOWN: 30,
  ENGINE_UNAVAILABLE: 31,
  ENGINE_DENIED: 32,
  ENGINE_FAILED: 33,
  BUILDER_UNPINNED: 34,
  BUILDER_UNAVAILABLE: 35,
  BUILDER_WRONG_ARCH: 36,
  BUILDER_PACKAGES: 37,
  BUILDER_CHANGED: 38,
  COMPILER_MISSING: 40,
  HEADER_MISSING: 41,
  COMPILE_FAILED: 42,
  LINK_FAILED: 43,
  DISK_FULL: 44,
  LLVM_MISSING: 45,
  BUILDS_FAILED: 46,
  PACK_TOO_LARGE: 50,
  ARTIFACT_NOT_FOUND: 60,
  ARTIFACT_NOT_A_LAYER: 61,
  ARTIFACT_WRONG_ARCH: 62,
  ARTIFACT_GLIBC_TOO_NEW: 63,
  VERIFY_FAILED: 64,
  ARTIFACT_NOT_AN_IMAGE: 65,
  REBUILD_DIFFERS: 66,
  INTERNAL: 70,
  EVENT_NOT_JSON: 80,
  CODE_NOT_FOUND: 81,
  SANDBOX_UNAVAILABLE: 82,
  PORT_TAKEN: 83,
  ENV_FILE_INVALID: 84,
  DEBUGPY_MISSING: 85,
  FUNCTION_ERROR: 90,
  FUNCTION_INIT_ERROR: 91,
  FUNCTION_IMPORT_ERROR: 92,
  FUNCTION_SYNTAX_ERROR: 93,
  HANDLER_NOT_FOUND: 94,
  FUNCTION_TIMEOUT: 95,
  FUNCTION_EXIT: 96,
  RESPONSE_NOT_JSON: 97,
  RESPONSE_TOO_LARGE: 98,
  FUNCTION_OUT_OF_MEMORY: 99,
  REFERENCE_INVALID: 110,
  BASE_NOT_FOUND: 111,
  BASE_UNSUPPORTED: 112,
  BASE_WRONG_ARCH: 113,
  BASE_DAMAGED: 114,
  REGISTRY_UNREACHABLE: 115,
  REGISTRY_DENIED: 116,
  REGISTRY_THROTTLED: 117,
  EXTRAS_UNAVAILABLE: 118,
  EXTRAS_HASH_MISMATCH: 119,
  EXTRAS_INCOMPLETE: 120,
  REPOSITORY_MISSING: 121,
  TAG_TAKEN: 122,
  PUSH_REFUSED: 123,
  CREDENTIALS_UNREADABLE: 124,
  PUSHES_FAILED: 125,
  FUNCTION_NOT_UPDATED: 126,
  ALIAS_RETURNED: 127,
  CANCELLED: 130,
  BENCH_RESULT_INVALID: 140,
  BENCH_REGRESSED: 141,
  BENCH_LEFTOVERS: 142,
  DEPS_UNAVAILABLE: 150,
  DEPS_HASH_MISMATCH: 151,
  DEPS_NO_WHEEL: 152,
  DEPS_BUILD_FAILED: 153,
  DEPS_GIL_ENABLED: 154,
  TEMPLATE_UNAVAILABLE: 155,
  AWS_NO_CREDENTIALS: 160,
  AWS_CREDENTIALS_EXPIRED: 161,
  AWS_CREDENTIALS_INVALID: 162,
  AWS_REGION_INVALID: 163,
  AWS_DENIED: 164,
  AWS_THROTTLED: 165,
  AWS_QUOTA: 166,
  AWS_UNREACHABLE: 167,
  AWS_REFUSED: 168,
  LAYER_NAME_INVALID: 170,
  ARTIFACT_CHANGED: 171,
  BUCKET_MISSING: 172,
  BUCKET_UNUSABLE: 173,
  POLICY_TOO_LONG: 174,
  PUBLISHED_DAMAGED: 175,
  PUBLISH_FAILED: 176,
} as const;

export type ErrorCode = keyof typeof exitStatus;

const brand = Symbol.for('make-runtime.error');

export interface ErrorDetails {
  /** What to do about it, as one imperative sentence or a command. */
  remedy?: string;
  /** Further lines for a person (compiler output, expected and actual hash). Never a secret. */
  detail?: string;
  cause?: unknown;
}

/** A failure the user can cause or cure: one sentence, a remedy, a stable code. */
export class MakeRuntimeError extends Error {
  override readonly name = 'MakeRuntimeError';
  readonly code: ErrorCode;
  readonly remedy: string | undefined;
  readonly detail: string | undefined;

  constructor(code: ErrorCode, message: string, { remedy, detail, cause }: ErrorDetails = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.remedy = remedy;
    this.detail = detail;
    Object.defineProperty(this, brand, { value: true });
  }
}

/** True for our errors, also when two copies of this package are loaded. */
export function isMakeRuntimeError(value: unknown): value is MakeRuntimeError {
  return typeof value === 'object' && value !== null && brand in value;
}

/** The error of a full disk, or the value unchanged: ENOSPC can surface in any stage that writes. */
export function explainSystemError(error: unknown, doing: string): unknown {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new MakeRuntimeError('DISK_FULL', `No space left on the device while ${doing}.`, {
      remedy: 'Free some space, or point MAKE_RUNTIME_CACHE and --output at a larger disk; a re-run goes on from here.',
      cause: error,
    });
  }
  return error;
}

/** Throws CANCELLED when the signal has fired; stages call it between steps. */
export function throwIfCancelled(signal: AbortSignal): void {
  if (signal.aborted)
    throw new MakeRuntimeError('CANCELLED', 'Stopped; the cache is intact and a re-run goes on from here.');
}

/** One of several things that were done side by side, and failed. */
export interface Failure {
  /** Of what failed, for a person. */
  readonly name: string;
  readonly error: unknown;
}

/**
 * What the failures of several things amount to: a bug of ours as it is, the one thing's own error when there was one
 * thing only, else an error with their common code.
 * @param among how many things there were
 * @returns undefined when nothing failed
 */
export function joinFailures(
  failures: readonly Failure[],
  among: number,
  joint: {
    readonly message: string;
    /** When they have no code in common. */
    readonly code: ErrorCode;
    readonly remedy: string;
    /** The lines below each error's own sentence. */
    readonly below: (error: MakeRuntimeError) => readonly (string | undefined)[];
  },
): Error | undefined {
  const bug = failures.find(({ error }) => !isMakeRuntimeError(error));
  if (bug) return bug.error as Error;
  const errors = failures.map(({ error }) => error as MakeRuntimeError);
  const [first] = errors;
  if (first === undefined || among === 1) return first;
  return new MakeRuntimeError(
    errors.every(({ code }) => code === first.code) ? first.code : joint.code,
    joint.message,
    {
      remedy: joint.remedy,
      detail: errors
        .flatMap((error, at) => [
          `${failures[at]?.name}: ${error.message} [${error.code}]`,
          ...joint.below(error).flatMap((text) => (text ? text.split('\n').map((line) => `  ${line}`) : [])),
        ])
        .join('\n'),
    },
  );
}
