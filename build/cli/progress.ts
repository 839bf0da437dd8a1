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
  let last = '';
  return {
    report: (event) => {
      if (event.type === 'stage-start') stderr.write(`${colors.cyan('>')} ${event.title}\n`);
      else if (event.type === 'stage-end') stderr.write(`${ended(event, colors)}\n`);
      else if (event.type === 'stage-failed')
        stderr.write(`${colors.red('✗')} ${event.title} (${seconds(event.milliseconds)})\n`);
      else if (event.type === 'warn') stderr.write(warning(event, colors));
      else if (event.type === 'note') stderr.write(`  ${event.message}\n`);
      else {
        // Counters would flood a log; only the words before them are news.
        const text = event.text.replace(/: \d+ (files|of \d+)$/, '');
        if (text !== last) stderr.write(`    ${text}\n`);
        last = text;
      }
    },
    stop: () => {},
  };
}

/** One line that is redrawn, with a spinner and the time the stage has taken. */
export function liveProgress(stderr: Terminal, colors: Colors): Progress {
  let current: { title: string; text: string; since: number } | undefined;
  let frame = 0;
  const clear = () => stderr.write('\r\x1b[K');
  const draw = () => {
    if (!current) return;
    const left = `${frames[frame % frames.length]} ${current.title}`;
    const right = ` ${seconds(Date.now() - current.since)}`;
    // Never wraps: a wrapped line cannot be redrawn.
    const room = Math.max(0, (stderr.columns || 80) - left.length - right.length - 4);
    const text = current.text.length > room ? `${current.text.slice(0, Math.max(0, room - 1))}…` : current.text;
    stderr.write(`\r\x1b[K${colors.cyan(left)} ${colors.dim(text)}${colors.dim(right)}`);
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
      if (event.type === 'stage-start') {
        current = { title: event.title, text: '', since: Date.now() };
        draw();
      } else if (event.type === 'progress') {
        if (current) current.text = event.text;
      } else if (event.type === 'warn') line(warning(event, colors));
      else if (event.type === 'note') line(`  ${event.message}\n`);
      else {
        current = undefined;
        line(
          event.type === 'stage-end'
            ? `${ended(event, colors)}\n`
            : `${colors.red('✗')} ${event.title} ${colors.dim(seconds(event.milliseconds))}\n`,
        );
      }
    },
    stop: () => {
      clearInterval(timer);
      if (current) clear();
      current = undefined;
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
