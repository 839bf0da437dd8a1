// Figures in documents: blocks between two comments, written by `bench --write` and by nobody else. The closing comment
// has a digest of the block, so that a figure that was typed or changed by hand can be told.
//
//   <!-- bench python3.13t-x86_64-fast: targets, overview, init -->
//   <!-- /bench 0123456789abcdef -->
//
// After the colon: `targets`, `overview` or one kind's part of it (`cold`, `warm`, ...), `all` (every scenario), or scenarios
// as `--only` names them, in full: `in full round-trip`.
import { createHash } from 'node:crypto';
import { overview, section, targets } from './markdown.ts';
import type { Measured, Result } from './result.ts';
import { groups } from './scenario.ts';
import { provenance } from './wording.ts';

export interface Block {
  /** What was measured: a plan's name. */
  readonly subject: string;
  readonly views: readonly string[];
  readonly content: string;
  readonly digest: string;
}

const pattern = /^<!-- bench ([^\s:]+): ([^>]*?) -->\n([\s\S]*?)^<!-- \/bench ?(\w*) -->/gm;

export const digestOf = (subject: string, views: readonly string[], content: string): string =>
  createHash('sha256')
    .update([subject, ...views, content.trim()].join('\n'))
    .digest('hex')
    .slice(0, 16);

export function readBlocks(text: string): Block[] {
  return [...text.matchAll(pattern)].map(([, subject = '', views = '', content = '', digest = '']) => ({
    subject,
    views: views.split(/, */),
    content,
    digest,
  }));
}

export interface Rewritten {
  readonly text: string;
  /** How many blocks are of what this result has measured. */
  readonly written: number;
  /** Blocks of the same subject that were left as they were, because the result has not all that they show. */
  readonly incomplete: readonly string[];
}

/** @param result whose first artifact decides which blocks are meant */
export function rewriteBlocks(text: string, result: Result): Rewritten {
  const subject = result.runtimes[0]?.identity.split(',')[0] ?? '';
  let written = 0;
  const incomplete: string[] = [];
  const changed = text.replace(pattern, (whole, name: string, list: string) => {
    if (name !== subject) return whole;
    const views = list.split(/, */);
    const content = render(views, result);
    if (content === undefined) {
      incomplete.push(list);
      return whole;
    }
    written += 1;
    const open = `<!-- bench ${name}: ${list} -->`;
    return `${open}\n\n${content}\n\n<!-- /bench ${digestOf(name, views, content)} -->`;
  });
  return { text: changed, written, incomplete };
}

function render(views: readonly string[], result: Result): string | undefined {
  const parts: string[] = [provenance(result)];
  for (const view of views) {
    if (view === 'targets') parts.push(targets(result));
    else if (view === 'overview') parts.push(overview(result));
    else if (view === 'all') parts.push(...shown(result.scenarios).map(section));
    else if (groups.some((group) => group === view)) parts.push(overview(result, view));
    else {
      const wanted = shown(result.scenarios).filter(({ scenario }) => view === `in full ${scenario}`);
      if (wanted.length === 0) return undefined;
      parts.push(...wanted.map(section));
    }
  }
  return parts.some((part) => part === '') ? undefined : parts.join('\n\n');
}

const shown = (all: readonly Measured[]): readonly Measured[] => all.filter(({ runs }) => runs > 0);
