// Whether an interpreter has the JIT and when it is on: asked in the sandbox, told by inspect, judged against the plan.
// Knows nothing of how it was built beyond the flags that sysconfig repeats.
import { type FactsOutput, jitProbe } from './probes.ts';
import type { Interpreter } from './run-checks.ts';
import type { Subject } from './subject.ts';
import type { Finding } from './verdict.ts';

export interface JitState {
  readonly built: boolean;
  /** Without PYTHON_JIT; null: it could not be found out. */
  readonly byDefault: boolean | null;
  /** With PYTHON_JIT=1. */
  readonly asked: boolean | null;
}

/** From 3.14 on the interpreter says it; before, the flags it was compiled with (configure.ac, --enable-experimental-jit). */
function jitBuilt({ jit, variables }: FactsOutput): boolean {
  if (jit !== null) return jit;
  return typeof variables !== 'string' && /(^|\s)-D_Py_JIT\b/.test(String(variables['PY_CORE_CFLAGS'] ?? ''));
}

/** Runs the interpreter twice; not at all when it has no JIT. */
export async function askJit(interpreter: Interpreter, facts: FactsOutput): Promise<JitState> {
  if (!jitBuilt(facts)) return { built: false, byDefault: false, asked: false };
  // The variable is ignored under -I and -E (Python/pylifecycle.c). An empty one counts as none.
  const ask = async (value: string): Promise<boolean | null> => {
    const { stdout } = await interpreter.pythonWithEnvironment(['-c', jitProbe], { env: { PYTHON_JIT: value } });
    return { true: true, false: false }[stdout.trim()] ?? null;
  };
  return { built: true, byDefault: await ask(''), asked: await ask('1') };
}

/** "off, on with PYTHON_JIT=1" */
export function describeJit({ built, byDefault, asked }: JitState): string {
  if (!built) return 'not built';
  const word = (on: boolean | null): string => (on === null ? 'unknown' : on ? 'on' : 'off');
  return `${word(byDefault)}; ${word(asked)} with PYTHON_JIT=1`;
}

export async function jitCheck({ record }: Subject, interpreter: Interpreter, facts: FactsOutput): Promise<Finding[]> {
  const check = 'run.jit';
  const state = await askJit(interpreter, facts);
  const promised = record?.plan.flavor === 'jit';
  const remedy = 'Build with --enable-experimental-jit=yes-off and the LLVM that the plan names.';
  const fail = (message: string): Finding[] => [{ check, level: 'fail', message, remedy }];
  if (!state.built) return promised ? fail('The layer says jit, and its interpreter was built without.') : [];
  if (record !== undefined && !promised)
    return fail(`The layer says ${record.plan.flavor}, and its interpreter has a JIT.`);
  if (state.asked === null || state.byDefault === null)
    return fail('The interpreter has a JIT, and whether it is on could not be found out.');
  if (!state.asked) return fail('With PYTHON_JIT=1 the JIT stays off.');
  if (!state.byDefault) return [{ check, level: 'pass', message: 'The JIT is off, and on with PYTHON_JIT=1.' }];
  // Nobody promised anything in a layer of somebody else.
  const message = 'The JIT is on without PYTHON_JIT=1: every cold start pays for it.';
  return promised ? fail(message) : [{ check, level: 'note', message }];
}
