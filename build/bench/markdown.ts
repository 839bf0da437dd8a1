// Results -> Markdown, which is readable on a terminal too. Refuses to know how a figure was measured.
import { labelOf, type Measured, type Result } from './result.ts';
import type { Group } from './scenario.ts';
import { intervalOfMedian, median } from './statistics.ts';
import { goalCells, grouped, number, provenance, runsInWords, spread, withUnit } from './wording.ts';

/** Everything, from the line that says where it comes from. */
export function markdown(result: Result): string {
  return [provenance(result), targets(result), overview(result), ...result.scenarios.map(section), notes(result)]
    .filter((part) => part !== '')
    .join('\n\n');
}

/** One line for each promise, over all scenarios. */
export function targets({ scenarios }: Result): string {
  const rows = scenarios.flatMap((measured) =>
    measured.goals
      .filter(({ target }) => target !== undefined)
      .map((goal) => [labelOf(measured), ...goalCells(goal, measured.runs)]),
  );
  if (rows.length === 0) return '';
  return ['### Targets', '', ...table(['benchmark', 'ratio', 'measured', '', 'target', ''], rows)].join('\n');
}

export const groupTitles: Readonly<Record<Group, string>> = {
  cold: 'Cold start',
  warm: 'Warm invocations',
  throughput: 'Throughput',
  memory: 'Idle memory',
  counts: 'Counted',
  special: 'Others',
  aws: 'On Lambda',
};

/**
 * Handlers by runtimes, a table for each kind of measurement: medians, each with the interval that holds it.
 * @param only one kind; absent: all
 */
export function overview({ scenarios, runtimes }: Result, only?: string): string {
  const parts = grouped(
    scenarios.filter(
      ({ overview: keys, runs, group }) => keys.length > 0 && runs > 0 && (only === undefined || group === only),
    ),
    ({ group }) => group,
  ).map(([group, members]) => {
    const names = runtimes.map(({ name }) => name).filter((name) => members.some(has(name)));
    const rows = members.flatMap((measured) =>
      measured.figures
        .filter(({ key }) => measured.overview.includes(key))
        .map(({ key, title, unit }) => [
          `${measured.handler ?? measured.title}${conditionsOf(measured)}`,
          title,
          ...names.map((name) => {
            const values = measured.subjects.find((one) => one.name === name)?.samples[key];
            if (values === undefined) return '';
            const { low, high } = intervalOfMedian(values);
            const range = values.length > 1 ? ` (${number(low)} to ${number(high)})` : '';
            return `${withUnit(median(values), unit)}${range}`;
          }),
        ]),
    );
    return [`### ${groupTitles[group as Group]}, by handler`, '', ...table(['handler', '', ...names], rows)].join('\n');
  });
  return parts.join('\n\n');
}

const has =
  (name: string) =>
  ({ subjects }: Measured): boolean =>
    subjects.some((one) => one.name === name);

function conditionsOf(measured: Measured): string {
  const label = labelOf(measured);
  return label === measured.scenario ? '' : label.slice(measured.scenario.length);
}

/** One scenario: its figures, its ratios, and who could not take part. */
export function section(measured: Measured): string {
  const { title, how, runs, figures, subjects, goals, left } = measured;
  const rows = subjects.map(({ name, samples }) => [
    name,
    ...figures.flatMap(({ key, unit }) => {
      const values = samples[key];
      return values === undefined ? ['', ''] : [withUnit(median(values), unit), runs === 1 ? '' : spread(values)];
    }),
  ]);
  const head = ['', ...figures.flatMap((figure) => [figure.title, '10 % to 90 %'])];
  return [
    `#### ${title}${conditionsOf(measured)}`,
    ...(runs === 0 ? [] : ['', `${how} ${runsInWords(runs)}`, '', ...table(head, rows)]),
    ...(goals.length === 0
      ? []
      : [
          '',
          ...table(
            ['ratio (and the interval of its median)', 'measured', '', 'target', ''],
            goals.map((goal) => goalCells(goal, runs)),
          ),
        ]),
    ...evicted(measured),
    ...left.flatMap((line) => ['', `Left out: ${line}`]),
  ].join('\n');
}

/** A cold start that was not quite cold has to say so. */
export function evicted({ subjects }: Measured): string[] {
  const cold = subjects.filter((one) => one.evicted !== undefined);
  if (cold.length === 0) return [];
  const said = cold.map(
    ({ name, evicted: { size = 0, left = 0 } = {} }) =>
      `${name} ${number(size)} MB${left === 0 ? '' : `, of which ${number(left)} stayed in memory (in use by other programs)`}`,
  );
  return ['', `Out of the page cache before each start, by mincore: ${said.join('; ')}.`];
}

export function notes({ notes: all }: Result): string {
  return all.map((note) => `- ${note}`).join('\n');
}

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = head.map((cell, column) => Math.max(cell.length, 1, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(' | ')} |`;
  return [line(head), `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`, ...rows.map(line)];
}
