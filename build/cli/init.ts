// `make-runtime init`: asks on a terminal for what is missing, takes flags otherwise.
import { createInterface } from 'node:readline/promises';
import { initProject, projectName } from '../init/init.ts';
import {
  type PackageKind,
  packageKinds,
  type SampleName,
  sampleNames,
  samples,
  type Target,
  targets,
} from '../init/model.ts';
import { MakeRuntimeError } from '../lib/errors.ts';
import { parseArch } from '../recipe/plan.ts';
import type { Edge } from './edge.ts';

export interface InitOptions {
  readonly dir: string | undefined;
  readonly for?: Target;
  readonly package?: PackageKind;
  readonly sample?: SampleName;
  readonly arch?: string;
  readonly recipe: string;
}

export async function init(options: InitOptions, edge: Edge): Promise<void> {
  const ask = process.stdin.isTTY && process.stderr.isTTY && !edge.quiet && !edge.json ? asker(edge) : undefined;
  try {
    const dir = options.dir ?? (await ask?.text('Folder', 'my-function'));
    if (dir === undefined) throw new MakeRuntimeError('USAGE', 'Which folder?', { remedy: 'make-runtime init DIR' });
    const sample =
      options.sample ?? (await ask?.choice('Sample', sampleNames, (name) => samples[name].summary)) ?? 'plain';
    const target = options.for ?? (await ask?.choice('Deployed with', targets)) ?? 'sam';
    const kind = options.package ?? (await ask?.choice('Package', packageKinds)) ?? 'layer';
    const project = {
      name: projectName(dir),
      target,
      package: kind,
      sample: samples[sample],
      arch: parseArch(options.arch ?? process.arch),
      recipe: options.recipe,
    };
    const files = await initProject(dir, project, edge.ctx);
    edge.say(
      `${files.map((path) => `  ${path}`).join('\n')}\n\nNext: cd ${dir}, sh build.sh, python3 -m unittest; README.md tells the rest.`,
    );
    edge.print(edge.json ? JSON.stringify({ dir, files, ...project, sample }) : dir);
  } finally {
    ask?.close();
  }
}

interface Asker {
  text(question: string, fallback: string): Promise<string>;
  choice<Name extends string>(question: string, names: readonly Name[], about?: (name: Name) => string): Promise<Name>;
  close(): void;
}

/** Numbered lists and one line each: works in every terminal, also without colours or cursor keys. */
function asker({ ctx }: Edge): Asker {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  // Ctrl-C and Ctrl-D close it, and a question that nobody will answer never settles by itself.
  const question = (text: string): Promise<string> =>
    new Promise((answer, refuse) => {
      terminal.once('close', () => refuse(new MakeRuntimeError('CANCELLED', 'Stopped; nothing was written.')));
      terminal.question(text, { signal: ctx.signal }).then(answer, refuse);
    });
  return {
    async text(what, fallback) {
      return (await question(`${what} (${fallback}): `)).trim() || fallback;
    },
    async choice(what, names, about) {
      const rows = names.map((name, index) => `  ${index + 1}  ${name}${about ? `: ${about(name)}` : ''}`);
      process.stderr.write(`${what}:\n${rows.join('\n')}\n`);
      for (;;) {
        const answer = (await question('Number or name (1): ')).trim() || '1';
        const found = names[Number(answer) - 1] ?? names.find((name) => name === answer);
        if (found !== undefined) return found;
      }
    },
    close: () => terminal.close(),
  };
}
