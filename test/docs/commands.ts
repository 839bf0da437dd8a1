// The commands in README.md and docs/, with the comment above each block that says how they are tested:
//   <!-- run -->                       test/slow/docs.test.ts runs them, in the order of the page
//   <!-- run by test/slow/x.test.ts --> that test runs such commands
//   <!-- not run: needs an account --> nothing here can run them; options of make-runtime are looked up all the same
// A block is a fenced one of sh or console (there the lines that begin with "$ "), or an indented one that has a line
// beginning with a program below. It knows Markdown as far as these pages use it.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export const root = join(import.meta.dirname, '..', '..');

export type Marker =
  | { readonly kind: 'run' }
  | { readonly kind: 'run by'; readonly test: string }
  | { readonly kind: 'not run'; readonly reason: string };

export interface CommandBlock {
  readonly page: string;
  /** Of the block's first line, from 1. */
  readonly line: number;
  /** Undefined when there is no marker, or none that can be read. */
  readonly marker: Marker | undefined;
  /** One command each, continuation lines joined, comments and prompts gone. */
  readonly commands: readonly string[];
}

const programs =
  /^(?:\w+=\S* )*(?:npx|npm|make-runtime|aws|sam|cdk|terraform|docker|podman|skopeo|umoci|curl|sh|git|unzip|python3?(?:\.\d+t?)?|pip3?|uv|cat|cp|mkdir)\s/;

export function pages(): string[] {
  const docs = readdirSync(join(root, 'docs')).filter((name) => name.endsWith('.md'));
  return ['README.md', ...docs.sort().map((name) => `docs/${name}`)];
}

export function commandBlocks(page: string): CommandBlock[] {
  return blocksIn(page, readFileSync(join(root, page), 'utf8'));
}

export function blocksIn(page: string, text: string): CommandBlock[] {
  const lines = text.split('\n');
  const found: CommandBlock[] = [];
  for (let at = 0; at < lines.length; at += 1) {
    const fence = /^```(\w*)/.exec(lines[at] ?? '');
    const start = at;
    let body: string[] = [];
    if (fence) {
      for (at += 1; at < lines.length && !/^```/.test(lines[at] ?? ''); at += 1) body.push(lines[at] ?? '');
      if (fence[1] === 'console') body = body.filter((line) => line.startsWith('$ ')).map((line) => line.slice(2));
      else if (fence[1] !== 'sh') continue;
    } else if (/^ {4}\S/.test(lines[at] ?? '') && (lines[at - 1] ?? '').trim() === '') {
      for (; at < lines.length && /^( {4}|\s*$)/.test(lines[at] ?? ''); at += 1) body.push((lines[at] ?? '').slice(4));
      at -= 1;
      body = body.map((line) => line.replace(/^\$ /, ''));
      if (!body.some((line) => programs.test(line))) continue;
    } else continue;
    found.push({ page, line: start + 1, marker: markerAbove(lines, start), commands: joined(body) });
  }
  return found.filter(({ commands }) => commands.length > 0);
}

function markerAbove(lines: readonly string[], start: number): Marker | undefined {
  let at = start - 1;
  while (at >= 0 && lines[at]?.trim() === '') at -= 1;
  const text = /^<!--\s*(.+?)\s*-->$/.exec(lines[at] ?? '')?.[1];
  if (text === 'run') return { kind: 'run' };
  const test = /^run by (test\/\S+\.test\.ts)$/.exec(text ?? '')?.[1];
  if (test !== undefined) return { kind: 'run by', test };
  const reason = /^not run: (.+)$/.exec(text ?? '')?.[1];
  return reason === undefined ? undefined : { kind: 'not run', reason };
}

function joined(lines: readonly string[]): string[] {
  const commands: string[] = [];
  let open = '';
  for (const line of lines) {
    const bare = line.replace(/(^|\s)#\s.*$/, '').trimEnd();
    if (bare.endsWith('\\')) {
      open += `${bare.slice(0, -1).trimEnd()} `;
      continue;
    }
    if (open + bare.trim() !== '') commands.push(open + (open ? bare.trim() : bare));
    open = '';
  }
  return commands;
}

/** The words of make-runtime's own call in a command: ["build", "3.13t", "--arch", ...]; undefined for other programs. */
export function ownCall(command: string): string[] | undefined {
  const match = /(?:^|[\s;(|])(?:npx make-runtime|make-runtime|npm run bench --)\s+([^|;)>]*)/.exec(command);
  if (!match) return undefined;
  const words = (match[1] ?? '').trim().split(/\s+/);
  return match[0].includes('npm run bench') ? ['bench', ...words] : words;
}
