// Turns what the validator says of a recipe file into sentences with file, line, key and what would be valid.
import type { z } from 'zod';
import { MakeRuntimeError } from '../lib/errors.ts';
import { nearest } from './nearest.ts';
import { lineOf, type Positions, printPath } from './positions.ts';
import { keysAt } from './schema.ts';

/** One line per problem: `recipes/3.13.toml:12  flavor.jit.foo: unknown key; valid here: a, b, c` */
export function explain(issue: z.core.$ZodIssue, shown: string, positions: Positions): string[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => {
      const path = [...issue.path, key];
      const valid = keysAt(issue.path);
      const near = nearest(key, valid);
      const hint = near === undefined ? '' : `did you mean "${near}"? `;
      return `${place(shown, positions, path)}: unknown key; ${hint}valid here: ${valid.join(', ')}`;
    });
  }
  return [`${place(shown, positions, issue.path)}: ${complaint(issue)}`];
}

function complaint(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      if (issue.input === undefined) return 'is missing';
      return `must be ${article(issue.expected)}, not ${describe(issue.input)}`;
    case 'invalid_value': {
      const valid = issue.values.map(String);
      const near = typeof issue.input === 'string' ? nearest(issue.input, valid) : undefined;
      const hint = near === undefined ? '' : `did you mean "${near}"? `;
      return `${describe(issue.input)} is not known; ${hint}valid here: ${valid.join(', ')}`;
    }
    case 'too_small':
      return issue.origin === 'string'
        ? `must have at least ${issue.minimum} characters`
        : issue.origin === 'array'
          ? `must have at least ${issue.minimum} entry`
          : `must be at least ${issue.minimum}`;
    case 'too_big':
      return `must be at most ${issue.maximum}`;
    case 'invalid_format':
      return `${describe(issue.input)} ${issue.message}`;
    default:
      return issue.message;
  }
}

/** RECIPE_INVALID: a single problem is the message, several are listed in `detail`. */
export function invalidFile(shown: string, problems: readonly string[]): MakeRuntimeError {
  const message =
    problems.length === 1 ? `${problems[0]}.` : `The recipe ${shown} has ${problems.length} mistakes, listed below.`;
  return new MakeRuntimeError('RECIPE_INVALID', message, {
    remedy: 'Correct the recipe; recipes/recipe.schema.json lets an editor check it while you type.',
    ...(problems.length === 1 ? {} : { detail: problems.join('\n') }),
  });
}

/** `recipes/3.13.toml:12  flavor.jit.foo` */
export function place(shown: string, positions: Positions, path: readonly PropertyKey[]): string {
  const line = lineOf(positions, path);
  return `${shown}${line === undefined ? '' : `:${line}`}  ${printPath(path) || '(top level)'}`;
}

function article(type: string): string {
  const word = type === 'object' ? 'table' : type === 'int' ? 'whole number' : type;
  return /^[aeiou]/.test(word) ? `an ${word}` : `a ${word}`;
}

function describe(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (Array.isArray(value)) return 'an array';
  if (value instanceof Date) return `the date ${value.toISOString()} (quote it)`;
  if (typeof value === 'object' && value !== null) return 'a table';
  return `the ${typeof value} ${String(value)} (quote it)`;
}
