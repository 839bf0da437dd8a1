// Measurements -> tables for people (they are Markdown too, so docs can carry them as they are).
import type { Measured, MeasuredGoal } from './run.ts';
import type { Unit } from './scenario.ts';
import { median, quantile } from './statistics.ts';

export function describe({ title, how, runs, figures, subjects, goals }: Measured): string {
  const rows = subjects.map(({ name, samples }) => [
    name,
    ...figures.flatMap(({ key, unit }) => {
      const values = samples[key];
      return values === undefined ? ['', ''] : [withUnit(median(values), unit), runs === 1 ? '' : spread(values)];
    }),
  ]);
  const head = ['', ...figures.flatMap((figure) => [figure.title, '10 % to 90 %'])];
  return [
    `### ${title}`,
    '',
    `${how} ${runs === 1 ? 'One run.' : `${runs} runs.`}`,
    '',
    ...table(head, rows),
    '',
    ...table(
      ['ratio (and the interval of its median)', 'measured', '', 'target', ''],
      goals.map((goal) => goalRow(goal, runs)),
    ),
  ].join('\n');
}

/** One line for each promise, over all scenarios. */
export function summary(all: readonly Measured[]): string {
  const rows = all.flatMap(({ scenario, goals, runs }) =>
    goals.filter(({ target }) => target !== undefined).map((goal) => [scenario, ...goalRow(goal, runs)]),
  );
  return table(['benchmark', 'ratio', 'measured', '', 'target', ''], rows).join('\n');
}

function goalRow({ what, lessFloor, measured, interval, target, verdict }: MeasuredGoal, runs: number): string[] {
  // Fewer than six values have no interval of 95 %: what is shown is their range.
  const always = runs < 6 ? (runs === 1 ? ', in one run' : `, in all ${runs} runs`) : '';
  const said = { met: `met${always}`, missed: `missed${always}`, unsure: 'the noise is larger than the difference' };
  return [
    lessFloor === undefined ? what : `${what}, both less ${lessFloor}`,
    number(measured),
    runs === 1 ? '' : `${number(interval.low)} to ${number(interval.high)}`,
    target === undefined ? '' : `${target.bound} ${number(target.value)}`,
    verdict === undefined ? '' : said[verdict],
  ];
}

const spread = (values: readonly number[]): string =>
  `${number(quantile(values, 0.1))} to ${number(quantile(values, 0.9))}`;

const withUnit = (value: number, unit: Unit): string => (unit === '' ? number(value) : `${number(value)} ${unit}`);

/** Three digits that count. */
function number(value: number): string {
  if (!Number.isFinite(value)) return '-';
  const size = Math.abs(value);
  return value.toFixed(size >= 100 || Number.isInteger(value) ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3);
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = head.map((cell, column) => Math.max(cell.length, 1, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(' | ')} |`;
  return [line(head), `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`, ...rows.map(line)];
}
