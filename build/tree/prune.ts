// What leaves the installed tree, and the record of it. Rules are data of the recipe; this file only applies them and
// keeps the ledger. It does not know why a file should go: the rule says.
import picomatch from 'picomatch';
import type { PruneRule } from '../recipe/model.ts';
import { type Entry, entrySize, makeTree, type Tree } from './tree.ts';

export interface LedgerRow {
  readonly rule: string;
  readonly reason: string;
  readonly files: number;
  readonly bytes: number;
}

interface Dropped {
  readonly path: string;
  readonly bytes: number;
  readonly rule: string;
}

export interface Ledger {
  /** One per rule, in the rules' order, also for those that matched nothing: a dead rule should be seen. */
  readonly rows: readonly LedgerRow[];
  /** Sorted by path. */
  readonly dropped: readonly Dropped[];
  readonly files: number;
  readonly bytes: number;
}

/** Tells which rule takes a path: the index of the first that matches, or -1. Patterns are compiled once. */
export function ruleMatcher(rules: readonly PruneRule[]): (path: string) => number {
  const matchers = rules.map((rule) => picomatch([...rule.patterns], { dot: true }));
  return (path) => matchers.findIndex((matches) => matches(path));
}

/**
 * The tree without what the rules name. A path belongs to the first rule that matches it.
 * @param rules patterns are picomatch globs against the tree's own paths; `*` also matches names that start with a dot.
 */
export function prune(tree: Tree, rules: readonly PruneRule[]): { tree: Tree; ledger: Ledger } {
  const indexOf = ruleMatcher(rules);
  const totals = rules.map(() => ({ files: 0, bytes: 0 }));
  const kept: [string, Entry][] = [];
  const dropped: Dropped[] = [];
  for (const [path, entry] of tree.entries) {
    const index = indexOf(path);
    const rule = rules[index];
    const total = totals[index];
    if (rule === undefined || total === undefined) {
      kept.push([path, entry]);
      continue;
    }
    const bytes = entrySize(entry);
    total.files += 1;
    total.bytes += bytes;
    dropped.push({ path, bytes, rule: rule.id });
  }
  const rows = rules.map(({ id, reason }, index) => ({ rule: id, reason, ...totals[index]! }));
  const bytes = dropped.reduce((sum, one) => sum + one.bytes, 0);
  return { tree: makeTree(kept), ledger: { rows, dropped, files: dropped.length, bytes } };
}
