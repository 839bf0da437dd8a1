// Imports packages on the runtime they are for, in the sandbox, and tells which fail and which turn the GIL back on.
// Knows module names only; where the files come from is the caller's.
import { Sandbox, type SandboxOptions } from '../lambda/sandbox.ts';
import type { Context } from '../lib/context.ts';
import { langFolder } from '../package/layout.ts';

export interface ImportTrial {
  readonly module: string;
  /** Why it cannot be imported; undefined when it can. */
  readonly error: string | undefined;
  /** The extension modules that turned the GIL on while it was imported; the first one is enough to do so. */
  readonly gilEnabledBy: string | undefined;
}

// Stdout is for the answers: what a package prints goes to stderr. It leaves as soon as the GIL is on, because nothing
// turns it off again and the next culprit would hide behind this one.
const probe = String.raw`
import os, sys
out = os.dup(1)
os.dup2(2, 1)
def tell(*fields):
    os.write(out, ('\t'.join(ascii(field) for field in fields) + '\n').encode())
modules = sys.stdin.read().split()
import site, warnings
for place in sys.argv[1:]:
    sys.path.insert(0, place)
    site.addsitedir(place)
culprits = []
shown = warnings.showwarning
def show(message, category, *rest, **more):
    text = str(message)
    if text.startswith('The global interpreter lock (GIL) has been enabled'):
        culprits.append(text.split("'")[1])
    else:
        shown(message, category, *rest, **more)
warnings.showwarning = show
gil = getattr(sys, '_is_gil_enabled', lambda: True)
before = gil()
for name in modules:
    tell('try', name)
    error = None
    try:
        __import__(name)
    except BaseException as raised:
        error = '%s: %s' % (type(raised).__name__, str(raised)[:300])
    on = gil() and not before
    tell('done', name, error, (culprits or [name])[0] if on else None)
    if on:
        break
os._exit(0)
`;

/** Each process that finds a culprit ends; more than this many are not looked for. */
const maxRuns = 24;

/**
 * Imports the modules one after the other, each process going on where the last one had to end.
 * @returns a trial for each module that was tried; fewer than were asked for when too many turn the GIL on
 * @throws SANDBOX_UNAVAILABLE, CANCELLED
 */
export async function tryImports(
  modules: readonly string[],
  options: Pick<SandboxOptions, 'layerDirs' | 'codeDir'>,
  executable: string,
  ctx: Context,
): Promise<ImportTrial[]> {
  if (modules.length === 0) return [];
  const sandbox = await Sandbox.open(options, ctx);
  const trials: ImportTrial[] = [];
  try {
    const { taskRoot, layerRoot } = sandbox.places;
    const program = `${layerRoot}/${langFolder}/bin/${executable}`;
    const argv = [program, '-S', '-B', '-c', probe, `${layerRoot}/python`, taskRoot];
    let rest = modules;
    for (let run = 0; rest.length > 0 && run < maxRuns; run += 1) {
      const { stdout, stderr, exitCode, signal } = await sandbox.run(argv, {
        input: rest.join('\n'),
        timeoutMs: 120_000,
      });
      const rows = stdout.split('\n').map((line) => line.split('\t').map(literal));
      const done = rows.flatMap(([word, module, error, gilEnabledBy]) =>
        word === 'done' && module !== undefined ? [{ module, error, gilEnabledBy }] : [],
      );
      trials.push(...done);
      const begun = rows.findLast(([word]) => word === 'try')?.[1];
      const crashed = begun !== undefined && done.every(({ module }) => module !== begun);
      if (crashed) {
        const how = signal === undefined ? `exit status ${exitCode}` : `ended by ${signal}`;
        trials.push({ module: begun, error: `the interpreter crashed or hung (${how})`, gilEnabledBy: undefined });
      }
      if (begun === undefined) throw new Error(`${program} does not run in the sandbox: ${stderr.trim()}`);
      rest = rest.slice(rest.indexOf(begun) + 1);
    }
  } finally {
    await sandbox.close();
  }
  return trials;
}

/** A Python literal made by ascii(): text without its quotes, undefined for None. */
function literal(text: string): string | undefined {
  if (text === 'None') return undefined;
  const quoted = /^(['"])(.*)\1$/.exec(text);
  return quoted ? (quoted[2] ?? '').replace(/\\(['"\\])/g, '$1').replace(/\\n/g, ' ') : text;
}
