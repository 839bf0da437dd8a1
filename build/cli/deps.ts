// `make-runtime deps`: a function's packages as a layer or a function zip, and what they do to the GIL, said before
// anything is deployed.
import { join } from 'node:path';
import { type Deps, makeDeps, type PackageReport } from '../deps/deps.ts';
import { columns } from '../lib/columns.ts';
import { MakeRuntimeError } from '../lib/errors.ts';
import type { Edge } from './edge.ts';

export interface DepsOptions {
  readonly requirement: readonly string[];
  readonly for: string;
  readonly layer?: boolean;
  readonly function?: boolean;
  readonly code?: string;
  readonly output?: string;
  readonly lock?: string;
  readonly build?: boolean;
  readonly engine?: string;
  readonly requireGilOff?: boolean;
}

export async function deps(options: DepsOptions, edge: Edge): Promise<void> {
  const kind = options.function || options.code !== undefined ? 'function' : 'layer';
  if (options.layer && kind === 'function') {
    throw new MakeRuntimeError('USAGE', 'A layer has packages only; --function and --code make a function zip.', {
      remedy: 'Choose --layer or --function --code DIR.',
    });
  }
  if (options.requirement.length === 0 && options.code === undefined) {
    throw new MakeRuntimeError('USAGE', 'Which packages?', {
      remedy: 'Name a requirements file: -r requirements.txt.',
    });
  }
  const { ctx } = edge;
  const start = Date.now();
  const output = options.output ?? join('dist', 'out', kind === 'layer' ? 'packages.zip' : 'function.zip');
  ctx.report({ type: 'stage-start', stage: 'deps', title: 'packages' });
  const made = await makeDeps(
    {
      artifact: options.for,
      requirements: options.requirement,
      kind,
      output,
      build: options.build ?? false,
      ...(options.code === undefined ? {} : { codeDir: options.code }),
      ...(options.lock === undefined ? {} : { lock: options.lock }),
      ...(options.engine === undefined ? {} : { engine: options.engine }),
    },
    ctx,
  );
  ctx.report({ type: 'stage-end', stage: 'deps', title: 'packages', milliseconds: Date.now() - start, cached: false });
  warn(made, options, edge);
  edge.say(describeDeps(made));
  edge.print(edge.json ? JSON.stringify(made) : made.path);
  if (options.requireGilOff) requireGilOff(made);
}

/** What a person should look at before deploying. */
function warn(made: Deps, options: DepsOptions, { ctx }: Edge): void {
  const say = (message: string, remedy?: string): void =>
    ctx.report({ type: 'warn', message, ...(remedy === undefined ? {} : { remedy }) });
  for (const { name, gil, failures } of made.packages) {
    for (const failure of failures) say(`${name} cannot be imported on the runtime: ${failure}.`);
    if (gil?.state === 'on')
      say(
        `${name} would turn the GIL back on, for the whole process: ${gil.by.join(', ')}.`,
        'Look for a newer release, do without it, or set PYTHON_GIL=0 at your own risk.',
      );
    if (gil?.state === 'unknown' && gil.by.length > 0)
      say(`${name} may turn the GIL back on; its files do not say that they can do without: ${gil.by.join(', ')}.`);
  }
  if (made.passedOver.length > 0) {
    const rows = made.passedOver.map(({ name, chosen, newest }) => `${name} ${newest} (chosen: ${chosen})`);
    ctx.report({ type: 'note', message: `Newer, but without a wheel for this Python: ${rows.join(', ')}.` });
  }
  if (!made.compiled)
    say(
      'There is no bytecode in it: nothing on this machine compiles for that Python.',
      'Install the same Python version here (its minor version is enough), or run this on the processor of the runtime.',
    );
  if (made.uncompiled.length > 0) say(`Python does not compile: ${made.uncompiled.join(', ')}.`);
  if (made.needsS3)
    say(`${made.path} is larger than the 50 MB that Lambda takes directly.`, 'Upload it through an S3 bucket.');
  if (made.packages.length > 0 && !made.hashChecked && options.lock === undefined)
    ctx.report({
      type: 'note',
      message: 'The requirements have no hashes: --lock FILE writes down what was chosen, to get the same tomorrow.',
    });
  if (!made.imported)
    ctx.report({ type: 'note', message: 'Nothing was imported: the runtime is for another processor than this one.' });
}

const gilWords: Readonly<Record<NonNullable<PackageReport['gil']>['state'], string>> = {
  pure: 'pure Python',
  off: 'GIL stays off',
  partly: 'GIL stays off',
  on: 'TURNS THE GIL ON',
  unknown: 'GIL not known',
};

/** The packages as a table, and a line about the zip. */
export function describeDeps(made: Deps): string {
  const rows = made.packages.map(({ name, version, built, gil, extensions }) => {
    const native = extensions === 0 ? 'pure Python' : `${extensions} extension modules`;
    const words = gil === undefined ? native : gilWords[gil.state];
    const but = gil?.state === 'partly' ? `, unless you import ${gil.by.join(', ')}` : '';
    return [name, version, `${words}${but}${built ? ', compiled here' : ''}`];
  });
  const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
  const size = `${megabytes(made.size)} zipped, ${megabytes(made.unpacked)} unpacked, ${made.files} files`;
  return [...columns(rows), ...(rows.length > 0 ? [''] : []), `${made.kind} zip: ${size}, sha256 ${made.sha256}`].join(
    '\n',
  );
}

function requireGilOff({ packages }: Deps): void {
  const culprits = packages.filter(({ gil }) => gil?.state === 'on' || gil?.state === 'unknown');
  if (culprits.length === 0) return;
  throw new MakeRuntimeError(
    'DEPS_GIL_ENABLED',
    `With these packages the GIL would not stay off: ${culprits.map(({ name }) => name).join(', ')}.`,
    {
      remedy: 'Look for newer releases, or do without them.',
      detail: culprits.map(({ name, gil }) => `${name}: ${gil?.by.join(', ') || 'not known'}`).join('\n'),
    },
  );
}
