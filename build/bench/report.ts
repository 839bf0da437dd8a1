// Measurements -> a table for people (it is Markdown too, so docs can carry it as it is).
import { type Measured, median, quantile, ratio, type Series } from './measure.ts';

export interface Target {
  readonly what: string;
  readonly measured: number;
  readonly target: number;
}

/** The first-version targets: each ratio must be at most its number. */
export function targets({ init, roundTrip }: Measured): readonly Target[] {
  return [
    { what: 'init / plain python', measured: ratio(init.layer, init.python), target: 1.3 },
    { what: "init / AWS's client", measured: ratio(init.layer, init.client), target: 1 / 4 },
    { what: "round trip / AWS's client", measured: ratio(roundTrip.layer, roundTrip.client), target: 1 / 3 },
  ];
}

export function describe(measured: Measured, heading: string): string {
  const { init, roundTrip } = measured;
  const row = (series: Series, unit: 'ms' | 'µs'): readonly string[] => {
    const scale = unit === 'ms' ? 1 : 1000;
    const digits = unit === 'ms' ? 1 : 0;
    const at = (fraction: number): string => (quantile(series.samples, fraction) * scale).toFixed(digits);
    return [series.name, `${(median(series.samples) * scale).toFixed(digits)} ${unit}`, `${at(0.1)} to ${at(0.9)}`];
  };
  return [
    heading,
    '',
    ...table(
      [`init (${measured.runs} runs)`, 'median', '10 % to 90 %'],
      [row(init.layer, 'ms'), row(init.python, 'ms'), row(init.client, 'ms'), row(init.nothing, 'ms')],
    ),
    '',
    ...table(['round trip', 'median', '10 % to 90 %'], [row(roundTrip.layer, 'µs'), row(roundTrip.client, 'µs')]),
    '',
    ...table(
      ['ratio', 'measured', 'target', ''],
      targets(measured).map(({ what, measured: value, target }) => [
        what,
        value.toFixed(2),
        `<= ${target.toFixed(2)}`,
        value <= target ? 'met' : 'missed',
      ]),
    ),
  ].join('\n');
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = head.map((cell, column) => Math.max(cell.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(' | ')} |`;
  return [line(head), `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`, ...rows.map(line)];
}
