// The page at /_/: functions, an event to send, the response as it comes, logs, and what the environments do. Talks to
// Lambda's own API for invocations and to /_/ for the rest. Built by bundle.mjs into one HTML file.
import type { Entry } from '../journal.ts';
import type { FunctionFacts } from '../page-server.ts';
import { messages } from './event-stream.ts';
import { templates } from './templates.ts';
import { Timeline } from './timeline.ts';

const byId = <E extends HTMLElement = HTMLElement>(id: string): E => document.getElementById(id) as E;

const eventBox = byId<HTMLTextAreaElement>('event');
const answerBox = byId('answer');
const logBox = byId('logs');
const invocationRows = byId('invocations');
const timeline = new Timeline(byId('timeline'));
const buttons = ['invoke', 'stream', 'later'].map((id) => byId<HTMLButtonElement>(id));

const shownLines = 2000;
const shownInvocations = 100;

let functions: readonly FunctionFacts[] = [];
let chosen = '';
const entries: Entry[] = [];

function element(name: string, className: string, text = ''): HTMLElement {
  const made = document.createElement(name);
  if (className !== '') made.className = className;
  if (text !== '') made.textContent = text;
  return made;
}

// Functions

function showFunctions(): void {
  const tabs = byId('functions');
  tabs.replaceChildren(
    ...functions.map(({ name }) => {
      const tab = element('button', '', name) as HTMLButtonElement;
      tab.type = 'button';
      tab.setAttribute('role', 'tab');
      tab.setAttribute('aria-selected', String(name === chosen));
      tab.tabIndex = name === chosen ? 0 : -1;
      tab.addEventListener('click', () => choose(name));
      return tab;
    }),
  );
  const fn = functions.find(({ name }) => name === chosen);
  if (fn === undefined) return;
  const facts: [string, string][] = [
    ['Handler', fn.handler],
    ['Memory', `${fn.memoryMb} MB`],
    ['Timeout', `${fn.timeoutSeconds} s`],
    [fn.managed ? 'Managed Instances, invocations at a time' : 'Environments', `up to ${fn.concurrency}`],
  ];
  const about = byId('about');
  about.replaceChildren(
    ...facts.map(([label, value]) => {
      const fact = element('span', '', `${label} `);
      fact.append(element('b', '', value));
      return fact;
    }),
  );
  const link = document.createElement('a');
  link.href = fn.url;
  link.textContent = fn.url;
  const url = element('span', '', 'Function URL ');
  url.append(link);
  about.append(url);
}

function choose(name: string): void {
  chosen = name;
  location.hash = encodeURIComponent(name);
  showFunctions();
  timeline.clear();
  invocationRows.replaceChildren();
  for (const entry of entries) if (entry.function === name) takeOne(entry);
  timeline.draw();
  showLogs();
}

byId('functions').addEventListener('keydown', (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (step === undefined) return;
  const at = functions.findIndex(({ name }) => name === chosen);
  const next = functions[(at + step + functions.length) % functions.length];
  if (next === undefined) return;
  choose(next.name);
  byId('functions').querySelector<HTMLElement>('[aria-selected="true"]')?.focus();
});

// The event

const templateBox = byId<HTMLSelectElement>('template');
templateBox.replaceChildren(
  ...templates.map(({ name }, index) => {
    const option = element('option', '', name) as HTMLOptionElement;
    option.value = String(index);
    return option;
  }),
);
templateBox.addEventListener('change', () => {
  eventBox.value = JSON.stringify(templates[Number(templateBox.value)]!.event, undefined, 2);
  eventBox.dispatchEvent(new Event('input'));
});

function problemOf(text: string): string {
  if (text.trim() === '') return '';
  try {
    JSON.parse(text);
    return '';
  } catch (error) {
    return (error as Error).message;
  }
}

eventBox.addEventListener('input', () => {
  byId('event-problem').textContent = problemOf(eventBox.value);
  localStorage.setItem('make-runtime-event', eventBox.value);
});
byId('tidy').addEventListener('click', () => {
  if (problemOf(eventBox.value) === '' && eventBox.value.trim() !== '')
    eventBox.value = JSON.stringify(JSON.parse(eventBox.value), undefined, 2);
});

// Sending

type Tone = 'good' | 'bad' | 'wait';

function status(text: string, tone: Tone, figures = ''): void {
  const chip = byId('answer-status');
  chip.textContent = text;
  chip.className = `chip ${tone}`;
  byId('answer-figures').textContent = figures;
}

async function during(work: () => Promise<void>): Promise<void> {
  for (const button of buttons) button.disabled = true;
  try {
    await work();
  } catch (error) {
    status('not sent', 'bad');
    answerBox.textContent = (error as Error).message;
  } finally {
    for (const button of buttons) button.disabled = false;
  }
}

function post(path: string, headers: Record<string, string>): Promise<Response> {
  return fetch(path.replace('*', encodeURIComponent(chosen)), { method: 'POST', body: eventBox.value, headers });
}

function invoke(): Promise<void> {
  return during(async () => {
    status('running', 'wait');
    answerBox.textContent = '';
    const begun = performance.now();
    const response = await post('/2015-03-31/functions/*/invocations', { 'X-Amz-Log-Type': 'Tail' });
    const text = await response.text();
    const error = response.headers.get('x-amz-function-error');
    const took = `${(performance.now() - begun).toFixed(0)} ms round trip`;
    if (!response.ok) status(`${response.status} ${response.headers.get('x-amzn-errortype') ?? ''}`, 'bad', took);
    else if (error !== null) status('function error', 'bad', took);
    else status('200', 'good', took);
    answerBox.textContent = pretty(text);
  });
}

function stream(): Promise<void> {
  return during(async () => {
    status('streaming', 'wait');
    answerBox.replaceChildren();
    const begun = performance.now();
    const response = await post('/2021-11-15/functions/*/response-streaming-invocations', {});
    if (!response.ok || response.body === null) {
      status(`${response.status} ${response.headers.get('x-amzn-errortype') ?? ''}`, 'bad');
      answerBox.textContent = pretty(await response.text());
      return;
    }
    const decoder = new TextDecoder();
    let chunks = 0;
    let bytes = 0;
    for await (const { type, payload } of messages(response.body)) {
      const at = `${(performance.now() - begun).toFixed(0)} ms`;
      if (type === 'PayloadChunk') {
        chunks += 1;
        bytes += payload.length;
        answerBox.append(chunkRow(at, decoder.decode(payload, { stream: true })));
        answerBox.scrollTop = answerBox.scrollHeight;
        status('streaming', 'wait', `${chunks} chunks, ${bytes} bytes`);
      } else if (type === 'InvokeComplete') {
        const { ErrorCode, ErrorDetails } = JSON.parse(new TextDecoder().decode(payload));
        const figures = `${chunks} chunk${chunks === 1 ? '' : 's'}, ${bytes} bytes, complete after ${at}`;
        if (ErrorCode === undefined) status('200', 'good', figures);
        else {
          status(ErrorCode, 'bad', figures);
          answerBox.append(chunkRow(at, pretty(ErrorDetails ?? '')));
        }
      }
    }
  });
}

function sendLater(): Promise<void> {
  return during(async () => {
    const response = await post('/2015-03-31/functions/*/invocations', { 'X-Amz-Invocation-Type': 'Event' });
    status(String(response.status), response.ok ? 'good' : 'bad', response.ok ? 'accepted' : '');
    answerBox.textContent = pretty(await response.text());
  });
}

function chunkRow(at: string, text: string): HTMLElement {
  const row = element('div', 'chunk');
  row.append(element('time', '', at), element('span', '', text));
  return row;
}

function pretty(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), undefined, 2);
  } catch {
    return text;
  }
}

byId('invoke').addEventListener('click', invoke);
byId('stream').addEventListener('click', stream);
byId('later').addEventListener('click', sendLater);
document.addEventListener('keydown', (event) => {
  if (event.key === 'Enter' && (event.ctrlKey || event.metaKey) && !buttons[0]!.disabled) void invoke();
});

// What happens

const clock = (at: number): string => {
  const time = new Date(at);
  return `${time.toTimeString().slice(0, 8)}.${String(time.getMilliseconds()).padStart(3, '0').slice(0, 1)}`;
};

function takeOne(entry: Entry): void {
  timeline.add(entry);
  if (entry.type === 'invocation-ended') {
    invocationRows.prepend(invocationRow(entry));
    while (invocationRows.childElementCount > shownInvocations) invocationRows.lastElementChild?.remove();
  }
}

function invocationRow(entry: Extract<Entry, { type: 'invocation-ended' }>): HTMLElement {
  const row = element('tr', '');
  const cell = (text: string, className = ''): HTMLElement => {
    const made = element('td', className, text);
    row.append(made);
    return made;
  };
  const good = entry.statusKind === 'ok';
  cell(clock(entry.startedAt));
  const request = element('button', 'link', entry.requestId.slice(0, 8));
  request.title = `Show the log of ${entry.requestId}`;
  request.addEventListener('click', () => {
    byId<HTMLInputElement>('filter').value = entry.requestId;
    showLogs();
    logBox.scrollIntoView({ block: 'nearest' });
  });
  cell('').append(request);
  cell(`#${entry.environment}`);
  const result = element('span', `chip ${good ? 'good' : 'bad'}`, good ? 'ok' : (entry.errorType ?? entry.statusKind));
  result.title = entry.errorMessage ?? '';
  cell('').append(result);
  cell(`${entry.durationMs.toFixed(1)} ms`, 'number');
  cell(`${entry.billedMs} ms`, 'number');
  cell(entry.initMs === undefined ? '' : `${entry.initMs.toFixed(1)} ms`, 'number');
  const memory = element('span', 'memory');
  const bar = element('i', '');
  bar.style.setProperty('--part', `${Math.round((entry.maxMemoryMb / entry.memoryMb) * 100)}%`);
  memory.append(bar, `${entry.maxMemoryMb} of ${entry.memoryMb} MB`);
  cell('').append(memory);
  return row;
}

function logLine(entry: Entry): HTMLElement | undefined {
  const filter = byId<HTMLInputElement>('filter').value.trim().toLowerCase();
  let text: string;
  let kind = '';
  if (entry.type === 'log') {
    text = entry.text.replaceAll('\r', '\n');
    if (entry.source === 'platform') kind = 'platform';
    else if (/^\[ERROR\]|"level": ?"(ERROR|FATAL|CRITICAL)"/.test(text)) kind = 'failed';
  } else if (entry.type === 'environment-failed') [text, kind] = [`init failed: ${entry.message}`, 'failed'];
  else if (entry.type === 'deployed')
    [text, kind] = [`deployed ${entry.changed.join(', ')} in ${entry.tookMs.toFixed(0)} ms`, 'news'];
  else if (entry.type === 'throttled') [text, kind] = ['throttled: all environments are busy', 'failed'];
  else if (entry.type === 'event-record')
    text = `event ${entry.requestId}: ${entry.condition} after ${entry.attempts} attempts`;
  else return undefined;
  const known = 'requestId' in entry ? (entry.requestId ?? '') : '';
  if (filter !== '' && !text.toLowerCase().includes(filter) && known !== filter) return undefined;
  const line = element('div', kind);
  line.append(element('time', '', clock(entry.at)), text);
  return line;
}

function appendLog(entry: Entry): void {
  const line = logLine(entry);
  if (line === undefined) return;
  logBox.append(line);
  while (logBox.childElementCount > shownLines) logBox.firstElementChild?.remove();
  if (byId<HTMLInputElement>('follow').checked) logBox.scrollTop = logBox.scrollHeight;
}

function showLogs(): void {
  logBox.replaceChildren();
  for (const entry of entries.slice(-shownLines)) if (entry.function === chosen) appendLog(entry);
}

byId('filter').addEventListener('input', showLogs);
byId('clear').addEventListener('click', () => {
  entries.splice(0);
  showLogs();
});
byId<HTMLSelectElement>('span').addEventListener('change', () => {
  timeline.seconds = Number(byId<HTMLSelectElement>('span').value);
  timeline.draw();
});
addEventListener('resize', () => timeline.draw());
setInterval(() => {
  if (timeline.moving && !document.hidden) timeline.draw();
}, 500);

function listen(): void {
  const live = byId('live');
  const source = new EventSource('/_/events');
  source.addEventListener('open', () => {
    live.textContent = 'live';
    live.className = 'live on';
  });
  source.addEventListener('error', () => {
    live.textContent = 'not connected';
    live.className = 'live off';
  });
  source.addEventListener('message', (message) => {
    const entry = JSON.parse(message.data) as Entry;
    // After a new start of the server its entries are counted from one again.
    if (entry.sequence <= (entries.at(-1)?.sequence ?? 0)) entries.splice(0);
    entries.push(entry);
    if (entries.length > 6000) entries.splice(0, 2000);
    if (entry.function !== chosen) return;
    takeOne(entry);
    appendLog(entry);
    if (entry.type !== 'log') timeline.draw();
  });
}

eventBox.value = localStorage.getItem('make-runtime-event') ?? '{}';
functions = (await (await fetch('/_/functions')).json()) as FunctionFacts[];
const wanted = decodeURIComponent(location.hash.slice(1));
choose(functions.some(({ name }) => name === wanted) ? wanted : (functions[0]?.name ?? ''));
listen();
