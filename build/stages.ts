// A stage's events: what every flow says while it runs, in whatever order it calls the rooms.
import type { Context } from './lib/context.ts';
import { isMakeRuntimeError, throwIfCancelled } from './lib/errors.ts';

/** Wraps a stage in its events; a stage result says by itself whether it came from the cache. */
export function stages(ctx: Context) {
  return async <Result>(stage: string, title: string, run: () => Promise<Result>): Promise<Result> => {
    throwIfCancelled(ctx.signal);
    const start = Date.now();
    ctx.report({ type: 'stage-start', stage, title });
    try {
      const result = await run();
      const cached = typeof result === 'object' && result !== null && 'cached' in result && result.cached === true;
      ctx.report({ type: 'stage-end', stage, title, milliseconds: Date.now() - start, cached });
      return result;
    } catch (error) {
      ctx.report({ type: 'stage-failed', stage, title, milliseconds: Date.now() - start });
      if (!isMakeRuntimeError(error)) throwIfCancelled(ctx.signal); // What a child died of is not news after Ctrl-C.
      throw error;
    }
  };
}
