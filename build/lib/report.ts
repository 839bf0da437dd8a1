// What the rooms say while they work. Library code never prints: it sends events to a Report, and the edge decides
// whether they become live rows, plain lines, NDJSON or nothing.

type StageEvent =
  | { type: 'stage-start'; stage: string; title: string }
  | { type: 'progress'; stage: string; text: string }
  | { type: 'stage-end'; stage: string; title: string; milliseconds: number; cached: boolean }
  | { type: 'stage-failed'; stage: string; title: string; milliseconds: number }
  | { type: 'warn'; message: string; remedy?: string }
  | { type: 'note'; message: string };

/** `build` names the runtime when several are built side by side. */
export type ReportEvent = StageEvent & { readonly build?: string };

export type Report = (event: ReportEvent) => void;
