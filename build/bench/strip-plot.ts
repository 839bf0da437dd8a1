// Samples -> an SVG strip plot: every run a dot, the median a stroke, the interval that holds it a band. Colours are the
// page's (classes), so that one drawing serves light and dark. Refuses to know what was measured.
import { intervalOfMedian, median } from './statistics.ts';
import { number } from './wording.ts';

export interface Strip {
  readonly name: string;
  /** A class of the page: whose dots these are. */
  readonly kind: string;
  readonly values: readonly number[];
}

const width = 560;
const label = 190;
const right = 84;
const row = 30;
const foot = 26;

export function stripPlot(title: string, unit: string, strips: readonly Strip[]): string {
  const shown = strips.filter(({ values }) => values.length > 0);
  const all = shown.flatMap(({ values }) => values).filter(Number.isFinite);
  if (all.length === 0) return '';
  const axis = scaleOf(all);
  const height = shown.length * row + foot + 4;
  const x = (value: number): number => label + axis.at(value) * (width - label - right);
  const bottom = shown.length * row + 4;
  const ticks = axis.ticks.map(
    (value) =>
      `<line class="grid" x1="${r(x(value))}" x2="${r(x(value))}" y1="2" y2="${bottom}"/><text class="tick" x="${r(x(value))}" y="${bottom + 15}" text-anchor="middle">${number(value)}</text>`,
  );
  const rows = shown.map(({ name, kind, values }, index) => {
    const middle = index * row + row / 2 + 2;
    const mid = median(values);
    const { low, high } = intervalOfMedian(values);
    const dots = values.map((value, nth) => {
      // The same jitter for the same run in every row, so that a slow moment of the machine shows as one.
      const y = middle + (((nth * 7) % 11) - 5) * (values.length > 1 ? 1.5 : 0);
      return `<circle cx="${r(x(value))}" cy="${r(y)}" r="3"><title>${escaped(`${name}, run ${nth + 1}: ${number(value)} ${unit}`)}</title></circle>`;
    });
    const band =
      values.length > 1
        ? `<rect class="band" x="${r(x(low))}" width="${r(Math.max(2, x(high) - x(low)))}" y="${middle - 10}" height="20" rx="3"><title>${escaped(`the median lies between ${number(low)} and ${number(high)} ${unit}`)}</title></rect>`
        : '';
    return `<g class="${kind}"><text class="name" x="${label - 10}" y="${middle + 4}" text-anchor="end">${escaped(cut(name))}<title>${escaped(name)}</title></text>${band}${dots.join('')}<line class="median" x1="${r(x(mid))}" x2="${r(x(mid))}" y1="${middle - 11}" y2="${middle + 11}"/><text class="value" x="${width - right + 10}" y="${middle + 4}">${number(mid)} ${escaped(unit)}</text></g>`;
  });
  const caption = `${title}${unit === '' ? '' : `, ${unit}`}${axis.log ? ' (logarithmic)' : ''}`;
  return `<figure><figcaption>${escaped(caption)}</figcaption><svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escaped(`${caption}: ${shown.map(({ name, values }) => `${name} ${number(median(values))}`).join('; ')}`)}">${ticks.join('')}${rows.join('')}</svg></figure>`;
}

/** A ratio's interval beside its target, on a logarithmic axis from a hundredth to ten. */
export function targetMark(measured: number, low: number, high: number, target: number, verdict: string): string {
  const [w, h] = [180, 22];
  const from = Math.min(0.01, low, target) * 0.8;
  const to = Math.max(2, high, target) * 1.2;
  const x = (value: number): number => (Math.log(Math.max(value, from) / from) / Math.log(to / from)) * (w - 12) + 6;
  return `<svg class="mark ${verdict}" viewBox="0 0 ${w} ${h}" width="${w}" height="${h}" aria-hidden="true"><line class="grid" x1="6" x2="${w - 6}" y1="11" y2="11"/><line class="target" x1="${r(x(target))}" x2="${r(x(target))}" y1="2" y2="20"/><line class="range" x1="${r(x(low))}" x2="${r(Math.max(x(high), x(low) + 1))}" y1="11" y2="11"/><circle cx="${r(x(measured))}" cy="11" r="4"/></svg>`;
}

export function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
}

const r = (value: number): string => value.toFixed(1);

const cut = (name: string): string => (name.length <= 27 ? name : `${name.slice(0, 26)}…`);

interface Axis {
  readonly log: boolean;
  readonly ticks: readonly number[];
  /** From 0 to 1. */
  at(value: number): number;
}

/** From zero, so that lengths mean something; logarithmic where the smallest would vanish beside the largest. */
function scaleOf(all: readonly number[]): Axis {
  const least = Math.min(...all);
  const most = Math.max(...all);
  if (least > 0 && most / least > 12) {
    const low = Math.log10(least) - 0.08;
    const high = Math.log10(most) + 0.04;
    const whole = range(Math.ceil(low), Math.floor(high)).map((power) => 10 ** power);
    const more = whole.length >= 3 ? [] : range(Math.floor(low), Math.floor(high)).map((power) => 3 * 10 ** power);
    const ticks = [...whole, ...more].filter((value) => Math.log10(value) >= low && Math.log10(value) <= high);
    return { log: true, ticks, at: (value) => (Math.log10(Math.max(value, 10 ** low)) - low) / (high - low) };
  }
  const from = Math.min(0, least);
  const step = niceStep((most - from) / 4);
  const ticks = range(Math.ceil(from / step), Math.floor((most * 1.02) / step)).map((n) => n * step);
  const span = most * 1.02 - from || 1;
  return { log: false, ticks, at: (value) => (value - from) / span };
}

function niceStep(rough: number): number {
  if (!(rough > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const lead = rough / power;
  return (lead < 1.5 ? 1 : lead < 3.5 ? 2 : lead < 7.5 ? 5 : 10) * power;
}

const range = (from: number, to: number): number[] =>
  Array.from({ length: Math.max(0, to - from + 1) }, (_, index) => from + index);
