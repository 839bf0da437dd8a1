// Lambda's limits on what callers send, in bytes (Developer Guide: gettingstarted-limits, invocation-async).

/** A synchronous request. */
export const maxRequestBytes = 6 * 1024 * 1024;

/** An event of an asynchronous invocation. */
export const maxEventBytes = 1024 * 1024;

/** The client context, as base64. */
export const maxClientContextBytes = 3583;

/** Of the log, what `LogType: Tail` answers with. */
export const logTailBytes = 4096;
