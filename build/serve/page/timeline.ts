// The timeline: a row for each execution environment, with its life, its init and its invocations. Draws what it is
// given; knows nothing of where entries come from.
import type { Entry } from '../journal.ts';

interface Bar {
  readonly kind: 'init' | 'ok' | 'bad';
  readonly from: number;
  readonly to: number | undefined;
  readonly title: string;
}

interface Row {
  readonly name: string;
  readonly from: number;
  to: number | undefined;
  readonly bars: Map<string, Bar>;
}

const rowHeight = 22;
const labelWidth = 92;

export class Timeline {
  readonly #target: HTMLElement;
  readonly #rows = new Map<string, Row>();
  seconds = 30;

  constructor(target: HTMLElement) {
    this.#target = target;
  }

  /** Takes an entry of the function that is shown. @returns whether something is to be drawn */
  add(entry: Entry): boolean {
    if (!('environment' in entry)) return false;
    const { environment, at } = entry;
    if (entry.type === 'environment-starting')
      this.#rows.set(environment, { name: `#${environment}`, from: at, to: undefined, bars: new Map() });
    const row = this.#rows.get(environment);
    if (row === undefined) return false;
    if (entry.type === 'environment-starting')
      this.#bar(row, 'init', { kind: 'init', from: at, to: undefined, title: 'init' });
    else if (entry.type === 'environment-ready')
      this.#bar(row, 'init', {
        kind: 'init',
        from: entry.startedAt,
        to: at,
        title: `start and init: ${at - entry.startedAt} ms`,
      });
    else if (entry.type === 'environment-failed') {
      this.#bar(row, 'init', { kind: 'bad', from: entry.startedAt, to: at, title: entry.message });
    } else if (entry.type === 'invocation-started')
      this.#bar(row, entry.requestId, { kind: 'ok', from: at, to: undefined, title: `${entry.requestId}: running` });
    else if (entry.type === 'invocation-ended') {
      const good = entry.statusKind === 'ok';
      const title = `${entry.requestId}: ${good ? 'ok' : (entry.errorType ?? entry.statusKind)}, ${entry.durationMs.toFixed(1)} ms`;
      this.#bar(row, entry.requestId, { kind: good ? 'ok' : 'bad', from: entry.startedAt, to: at, title });
    } else if (entry.type === 'environment-ended') row.to = at;
    else return false;
    return true;
  }

  clear(): void {
    this.#rows.clear();
  }

  /** Whether something moves: then the picture is to be drawn again soon. */
  get moving(): boolean {
    return [...this.#rows.values()].some((row) => (row.to ?? Date.now()) > Date.now() - this.seconds * 1000);
  }

  draw(): void {
    const now = Date.now();
    const start = now - this.seconds * 1000;
    const rows = [...this.#rows.values()].filter(({ to }) => to === undefined || to > start).slice(-12);
    if (rows.length === 0) {
      this.#target.innerHTML = '<p class="empty">No execution environment: the next invocation starts one.</p>';
      return;
    }
    const width = Math.max(320, this.#target.clientWidth);
    const height = rows.length * rowHeight + 20;
    const x = (at: number): number =>
      labelWidth + ((Math.max(at, start) - start) / (now - start)) * (width - labelWidth - 4);
    const parts: string[] = [];
    for (let step = 0; step <= 4; step += 1) {
      const at = start + ((now - start) * step) / 4;
      const seconds = Math.round((now - at) / 1000);
      const label = step === 4 ? 'now' : `−${seconds >= 120 ? `${seconds / 60} min` : `${seconds} s`}`;
      const anchor = step === 0 ? 'start' : step === 4 ? 'end' : 'middle';
      parts.push(`<line x1="${x(at)}" x2="${x(at)}" y1="0" y2="${height - 18}"/>`);
      parts.push(`<text x="${x(at)}" y="${height - 4}" text-anchor="${anchor}">${label}</text>`);
    }
    for (const [index, row] of rows.entries()) {
      const y = index * rowHeight + 3;
      const rect = (kind: string, from: number, to: number, least: number, title = ''): string =>
        `<rect class="${kind}" x="${x(from).toFixed(1)}" y="${y}" width="${Math.max(least, x(to) - x(from)).toFixed(1)}" height="${rowHeight - 7}" rx="3"><title>${escaped(title)}</title></rect>`;
      parts.push(`<text x="0" y="${y + 12}">${row.to === undefined ? '' : 'ended '}${escaped(row.name)}</text>`);
      parts.push(rect(`life${row.to === undefined ? '' : ' ended'}`, row.from, row.to ?? now, 2));
      for (const bar of row.bars.values())
        if ((bar.to ?? now) > start) parts.push(rect(bar.kind, bar.from, bar.to ?? now, 3, bar.title));
    }
    const running = rows.filter(({ to }) => to === undefined).length;
    this.#target.innerHTML = `<svg role="img" aria-label="${running} execution environments running" viewBox="0 0 ${width} ${height}" height="${height}">${parts.join('')}</svg>`;
  }

  #bar(row: Row, id: string, bar: Bar): void {
    row.bars.set(id, bar);
    if (row.bars.size > 400) row.bars.delete([...row.bars.keys()][0]!);
  }
}

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (char) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[char]!);
}
