// All cases.
import type { Case } from '../case.ts';
import { answers } from './answers.ts';
import { contexts } from './context.ts';
import { endings } from './ending.ts';
import { errors } from './errors.ts';
import { events } from './events.ts';
import { inits } from './init.ts';
import { outputs } from './output.ts';
import { results } from './results.ts';

const prefixed = (area: string, cases: readonly Case[]): Case[] =>
  cases.map((one) => ({ ...one, name: `${area}: ${one.name}` }));

export const cases: readonly Case[] = [
  ...prefixed('event', events),
  ...prefixed('result', results),
  ...prefixed('context', contexts),
  ...prefixed('answer', answers),
  ...prefixed('error', errors),
  ...prefixed('init', inits),
  ...prefixed('output', outputs),
  ...prefixed('process', endings),
];
