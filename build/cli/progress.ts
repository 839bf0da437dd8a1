// Report events -> what a person sees on stderr: one live line with elapsed time on a terminal, one plain line per
// event when piped, NDJSON with --json, nothing with --quiet.
import type { Writable } from 'node:stream';
import type pc from 'picocolors';
import type { Report } from '../lib/report.ts';

export interface Progress {
  readonly report: Report;
  /** Takes the live line off the screen; call before anything else is written. */
  stop(): void;
}

export type Colors = ReturnType<typeof pc.createColors>;

type Terminal = Writable & { isTTY?: boolean; columns?: number };

const frames = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];

/** Silent but for warnings: `--quiet`. */
export function quietProgress(stderr: Terminal, colors: Colors): Progress {
  return { report: (event) => void (event.type === 'warn' && stderr.write(warning(event, colors))), stop: () => {} };
}

/** One JSON object a line: `--json`. */
export function jsonProgress(stderr: Terminal): Progress {
  return { report: (event) => void stderr.write(`${JSON.stringify(event)}\n`), stop: () => {} };
}

/** A line when a stage starts and one when it ends: pipes, files, CI. */
export function plainProgress(stderr: Terminal, colors: Colors): Progress {
  const last = new Map<string, string>();
  return {
    report: (event) => {
      // Lines of builds that run side by side are mixed: each says whose it is.
      const whose = event.build === undefined ? '' : `[${event.build}] `;
      if (event.type === 'stage-start') stderr.write(`${whose}${colors.cyan('>')} ${event.title}\n`);
      else if (event.type === 'stage-end') stderr.write(`${whose}${ended(event, colors)}\n`);
      else if (event.type === 'stage-failed')
        stderr.write(`${whose}${colors.red('✗')} ${event.title} (${seconds(event.milliseconds)})\n`);
      else if (event.type === 'warn') stderr.write(`${whose}${warning(event, colors)}`);
      else if (event.type === 'note') stderr.write(`${whose}  ${event.message}\n`);
      else {
        // Counters would flood a log; only the words before them are news.
        const text = event.text.replace(/: \d+ (files|of \d+)$/, '');
        if (text !== last.get(whose)) stderr.write(`${whose}    ${text}\n`);
        last.set(whose, text);
      }
    },
    stop: () => {},
  };
}

/** One row for each build under way, redrawn with a spinner and the time its stage has taken. */
export function liveProgress(stderr: Terminal, colors: Colors): Progress {
  const rows = new Map<string, { title: string; text: string; since: number }>();
  let drawn = 0;
  let frame = 0;
  const clear = () => {
    if (drawn > 0) stderr.write(`\r${drawn > 1 ? `\x1b[${drawn - 1}A` : ''}\x1b[J`);
    drawn = 0;
  };
  const draw = () => {
    clear();
    if (rows.size === 0) return;
    stderr.write([...rows.values()].map(row).join('\n'));
    drawn = rows.size;
  };
  const row = ({ title, text, since }: { title: string; text: string; since: number }): string => {
    const right = ` ${seconds(Date.now() - since)}`;
    // Never wraps: a wrapped line cannot be redrawn.
    const columns = stderr.columns || 80;
    const left = `${frames[frame % frames.length]} ${title}`.slice(0, Math.max(0, columns - right.length - 4));
    const room = Math.max(0, columns - left.length - right.length - 4);
    const shown = text.length > room ? `${text.slice(0, Math.max(0, room - 1))}…` : text;
    return `${colors.cyan(left)} ${colors.dim(shown)}${colors.dim(right)}`;
  };
  const timer = setInterval(() => {
    frame += 1;
    draw();
  }, 100);
  timer.unref();
  const line = (text: string) => {
    clear();
    stderr.write(text);
    draw();
  };
  return {
    report: (event) => {
      const build = event.build ?? '';
      const named = (title: string): string => (build === '' ? title : `${build}: ${title}`);
      if (event.type === 'stage-start') {
        rows.set(build, { title: named(event.title), text: '', since: Date.now() });
        draw();
      } else if (event.type === 'progress') {
        const current = rows.get(build);
        if (current) current.text = event.text;
      } else if (event.type === 'warn') line(warning(event, colors));
      else if (event.type === 'note') line(`  ${named(event.message)}\n`);
      else {
        rows.delete(build);
        const title = named(event.title);
        line(
          event.type === 'stage-end'
            ? `${ended({ ...event, title }, colors)}\n`
            : `${colors.red('✗')} ${title} ${colors.dim(seconds(event.milliseconds))}\n`,
        );
      }
    },
    stop: () => {
      clearInterval(timer);
      clear();
      rows.clear();
    },
  };
}

function ended(event: { title: string; milliseconds: number; cached: boolean }, colors: Colors): string {
  return `${colors.green('✓')} ${event.title} ${colors.dim(event.cached ? 'cached' : seconds(event.milliseconds))}`;
}

function warning(event: { message: string; remedy?: string }, colors: Colors): string {
  return `${colors.yellow('!')} ${event.message}\n${event.remedy ? `  ${event.remedy}\n` : ''}`;
}

/** "0.8 s", "47 s", "2 min 05 s" */
export function seconds(milliseconds: number): string {
  const total = milliseconds / 1000;
  if (total < 10) return `${total.toFixed(1)} s`;
  if (total < 60) return `${Math.round(total)} s`;
  const rounded = Math.round(total);
  return `${Math.floor(rounded / 60)} min ${String(rounded % 60).padStart(2, '0')} s`;
}
