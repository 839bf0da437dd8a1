// The REPORT line that Lambda ends an invocation's log with. Refuses to know who invoked what.

/** Milliseconds and MB, as the line has them. */
export interface ReportLine {
  readonly duration: number;
  readonly billed: number;
  readonly size: number;
  readonly used: number;
  /** Only where the environment was new. */
  readonly init: number | undefined;
}

/**
 * @param log the end of a log, as Invoke returns it with LogType Tail, decoded
 * @returns undefined where there is none
 */
export function readReportLine(log: string): ReportLine | undefined {
  const line = log.split('\n').find((one) => one.startsWith('REPORT RequestId:'));
  if (line === undefined) return undefined;
  const field = (name: string, unit: string): number | undefined => {
    const found = new RegExp(`(?:^|\\t)${name}: ([\\d.]+) ${unit}(?:\\t|$)`).exec(line.trim());
    return found === null ? undefined : Number(found[1]);
  };
  const [duration, billed, size, used] = [
    field('Duration', 'ms'),
    field('Billed Duration', 'ms'),
    field('Memory Size', 'MB'),
    field('Max Memory Used', 'MB'),
  ];
  if (duration === undefined || billed === undefined || size === undefined || used === undefined) return undefined;
  return { duration, billed, size, used, init: field('Init Duration', 'ms') };
}
