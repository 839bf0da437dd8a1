// A result as one HTML file that can be read anywhere and sent to anybody: no script, nothing from a network, light and
// dark, and on paper. Refuses to know how a figure was measured.
import { evicted, groupTitles } from './markdown.ts';
import { labelOf, type Measured, type Result } from './result.ts';
import type { Group } from './scenario.ts';
import { intervalOfMedian, median } from './statistics.ts';
import { escaped, stripPlot, targetMark } from './strip-plot.ts';
import { goalCells, grouped, number, runsInWords, spread, withUnit } from './wording.ts';

export function html(result: Result): string {
  const { machine, date, command, load, version, runtimes, scenarios, notes } = result;
  const kinds = new Map(runtimes.map(({ name, kind }) => [name, kind]));
  const facts: [string, string][] = [
    ['Machine', `${machine.processor}, ${machine.cores} cores`],
    ['System', `${machine.system}, Linux ${machine.kernel}`],
    ['When', date.replace('T', ' ').replace(/\..*/, ' UTC')],
    ['Load average', `${number(load[0])} before, ${number(load[1])} after`],
    ['Command', command],
    ['Tool', `make-runtime ${version}`],
  ];
  const title = `Benchmark of ${runtimes[0]?.identity ?? 'runtimes'}`;
  const shown = scenarios.filter(({ runs }) => runs > 0);
  const groups = grouped(shown, ({ group }) => group);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${escaped(title)}</title>
<style>${style}</style>
</head>
<body>
<header>
<h1>${escaped(title)}</h1>
<dl class="facts">${facts.map(([name, value]) => `<div><dt>${name}</dt><dd>${words(value)}</dd></div>`).join('')}</dl>
<table class="runtimes"><thead><tr><th>runtime</th><th>CPython</th><th>what it is</th></tr></thead><tbody>${runtimes
    .map(
      ({ name, kind, python, identity }) =>
        `<tr><td><i class="key ${kind}"></i>${escaped(name)}</td><td>${escaped(python)}</td><td>${escaped(identity)}</td></tr>`,
    )
    .join('')}</tbody></table>
<nav>${groups.map(([group]) => `<a href="#${group}">${groupTitles[group as Group]}</a>`).join(' ')}</nav>
</header>
<main>
${targetTable(scenarios)}
${groups
  .map(
    ([group, members]) =>
      `<section class="group" id="${group}"><h2>${groupTitles[group as Group]}</h2>${overviewTable(members, result)}${members
        .map((measured) => scenarioSection(measured, kinds))
        .join('')}</section>`,
  )
  .join('\n')}
${notesList([...notes, ...scenarios.flatMap((one) => one.left.map((line) => `${labelOf(one)}: ${line}`))])}
<section class="reading"><h2>How to read it</h2>
<p>Every dot is one start of a process (of a warm figure: the median of that process). Runs are interleaved: each starts
every runtime once, one after the other. The stroke is the median, the band holds it with 95&nbsp;% confidence whatever the
distribution; with fewer than six runs it is the range. A ratio is the median of the ratios of neighbours. A target is met
or missed when the whole interval says so; otherwise the noise is larger than the difference. Everything runs outside of
Lambda's sandbox: it compares runtimes and does not predict Lambda's own figures.</p></section>
</main>
</body>
</html>
`;
}

function targetTable(scenarios: readonly Measured[]): string {
  const rows = scenarios.flatMap((measured) =>
    measured.goals.flatMap((goal) => {
      const { target, verdict, measured: value, interval } = goal;
      if (target === undefined || verdict === undefined) return [];
      const [what = '', figure = '', range = '', bound = '', said = ''] = goalCells(goal, measured.runs);
      return `<tr><td><a href="#${anchor(measured)}">${escaped(labelOf(measured))}</a></td><td>${escaped(what)}</td><td class="n">${figure}</td><td class="n dim">${range}</td><td class="n">${escaped(bound)}</td><td>${targetMark(value, interval.low, interval.high, target.value, verdict)}</td><td><span class="pill ${verdict}">${escaped(said)}</span></td></tr>`;
    }),
  );
  if (rows.length === 0) return '';
  return `<section><h2>Targets</h2><div class="wide"><table><thead><tr><th>benchmark</th><th>ratio</th><th>measured</th><th>interval</th><th>target</th><th>interval and target</th><th></th></tr></thead><tbody>${rows.join('')}</tbody></table></div></section>`;
}

/** Handlers by runtimes; a bar in each cell says how it compares with the largest of its row. */
function overviewTable(members: readonly Measured[], { runtimes }: Result): string {
  const names = runtimes
    .map(({ name }) => name)
    .filter((name) => members.some(({ subjects }) => subjects.some((one) => one.name === name)));
  const rows = members.flatMap((measured) =>
    measured.figures
      .filter(({ key }) => measured.overview.includes(key))
      .map(({ key, title, unit }) => {
        const cells = names.map((name) => measured.subjects.find((one) => one.name === name)?.samples[key]);
        const most = Math.max(...cells.map((values) => (values === undefined ? 0 : median(values))));
        const shown = cells.map((values) => {
          if (values === undefined) return '<td></td>';
          const share = most > 0 ? Math.max(0, median(values) / most) : 0;
          const { low, high } = intervalOfMedian(values);
          const range = values.length > 1 ? `${number(low)} to ${number(high)}` : 'one run';
          return `<td class="n cell" style="--share:${(share * 100).toFixed(1)}%"><b>${escaped(withUnit(median(values), unit))}</b><small>${range}</small></td>`;
        });
        const label = labelOf(measured);
        const more = label === measured.scenario ? '' : label.slice(measured.scenario.length);
        return `<tr><td><a href="#${anchor(measured)}">${escaped(`${measured.handler ?? measured.title}${more}`)}</a></td><td>${escaped(title)}</td>${shown.join('')}</tr>`;
      }),
  );
  if (rows.length === 0) return '';
  return `<div class="wide"><table class="overview"><thead><tr><th>handler</th><th></th>${names.map((name) => `<th>${escaped(name)}</th>`).join('')}</tr></thead><tbody>${rows.join('')}</tbody></table></div>`;
}

function scenarioSection(measured: Measured, kinds: ReadonlyMap<string, string>): string {
  const { title, how, runs, figures, subjects, goals } = measured;
  const kindOf = (name: string): string =>
    kinds.get(name) ?? [...kinds].find(([runtime]) => name.startsWith(`${runtime}, `))?.[1] ?? 'floor';
  const plots = figures.map(({ key, title: what, unit }) =>
    stripPlot(
      what,
      unit,
      subjects.map(({ name, samples }) => ({ name, kind: kindOf(name), values: samples[key] ?? [] })),
    ),
  );
  const label = labelOf(measured);
  const more = label === measured.scenario ? '' : label.slice(measured.scenario.length);
  const head = figures.flatMap((figure) => [`<th>${escaped(figure.title)}</th><th>10 % to 90 %</th>`]).join('');
  const rows = subjects.map(
    ({ name, samples }) =>
      `<tr><td><i class="key ${kindOf(name)}"></i>${escaped(name)}</td>${figures
        .map(({ key, unit }) => {
          const values = samples[key];
          return values === undefined
            ? '<td></td><td></td>'
            : `<td class="n">${escaped(withUnit(median(values), unit))}</td><td class="n dim">${runs === 1 ? '' : spread(values)}</td>`;
        })
        .join('')}</tr>`,
  );
  const ratios = goals.map((goal) => {
    const [what = '', figure = '', range = '', bound = '', said = ''] = goalCells(goal, runs);
    const pill = goal.verdict === undefined ? '' : `<span class="pill ${goal.verdict}">${escaped(said)}</span>`;
    return `<tr><td>${escaped(what)}</td><td class="n">${figure}</td><td class="n dim">${range}</td><td class="n">${escaped(bound)}</td><td>${pill}</td></tr>`;
  });
  const cold = evicted(measured).filter((line) => line !== '');
  return `<article id="${anchor(measured)}"><h3>${escaped(`${title}${more}`)}</h3><p>${inline(how)} ${runsInWords(runs)}</p>${cold
    .map((line) => `<p>${escaped(line)}</p>`)
    .join(
      '',
    )}<div class="plots">${plots.join('')}</div><details><summary>Figures and ratios</summary><div class="wide"><table><thead><tr><th></th>${head}</tr></thead><tbody>${rows.join('')}</tbody></table></div>${
    ratios.length === 0
      ? ''
      : `<div class="wide"><table><thead><tr><th>ratio (and the interval of its median)</th><th>measured</th><th></th><th>target</th><th></th></tr></thead><tbody>${ratios.join('')}</tbody></table></div>`
  }</details></article>`;
}

const notesList = (notes: readonly string[]): string =>
  notes.length === 0
    ? ''
    : `<section><h2>Notes</h2><ul>${notes.map((note) => `<li>${escaped(note)}</li>`).join('')}</ul></section>`;

const anchor = (measured: Measured): string =>
  labelOf(measured)
    .replace(/[^a-z0-9]+/gi, '-')
    .replace(/-$/, '');

/** Options are not torn at their hyphens. */
const words = (text: string): string =>
  text
    .split(' ')
    .map((word) => (word.startsWith('-') ? `<span class="n">${escaped(word)}</span>` : escaped(word)))
    .join(' ');

/** Backticks, the only mark-up that descriptions have. */
const inline = (text: string): string => escaped(text).replace(/`([^`]+)`/g, '<code>$1</code>');

const style = `
:root{--back:#fff;--card:#f7f8fa;--text:#1b1f24;--dim:#5b6572;--line:#dfe3e8;--artifact:#1f63d6;--awslambdaric:#c2570c;--image:#18794e;--floor:#6b7280;--met:#14713f;--missed:#b3261e;--unsure:#7a5b00;--metb:#e2f4e9;--missedb:#fdeae8;--unsureb:#fbf1d3}
@media (prefers-color-scheme:dark){:root{--back:#14171b;--card:#1c2026;--text:#e6e9ee;--dim:#9aa4b1;--line:#323841;--artifact:#6ea3ff;--awslambdaric:#f39a55;--image:#55c48d;--floor:#9aa4b1;--met:#6fd39b;--missed:#ff8f86;--unsure:#e3bf5b;--metb:#16321f;--missedb:#3c1c1a;--unsureb:#352b10}}
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--text);font:15px/1.5 system-ui,sans-serif}
header,main{max-width:1180px;margin:0 auto;padding:0 24px}
h1{font-size:24px;margin:32px 0 12px;overflow-wrap:anywhere}h2{font-size:20px;margin:44px 0 10px}h3{font-size:16px;margin:0 0 4px}
p{margin:0 0 12px;max-width:80ch;color:var(--dim)}
a{color:inherit;text-decoration-color:var(--line);text-underline-offset:3px}
code{font:13px ui-monospace,monospace;background:var(--card);padding:0 3px;border-radius:3px}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(300px,1fr));gap:6px 24px;margin:0 0 16px}
.facts div{display:flex;gap:10px}dt{color:var(--dim);flex:0 0 96px}dd{margin:0;overflow-wrap:anywhere}
nav{display:flex;gap:18px;flex-wrap:wrap;margin:16px 0}
.wide{overflow-x:auto;margin-bottom:14px}
table{border-collapse:collapse;font-size:14px}th{font-weight:500;color:var(--dim);text-align:left}
th,td{padding:5px 14px 5px 0;border-bottom:1px solid var(--line);vertical-align:middle}
.n{font-variant-numeric:tabular-nums;white-space:nowrap}.dim{color:var(--dim)}
.overview{min-width:60%}.overview .cell{min-width:150px;background:linear-gradient(var(--line),var(--line)) left bottom/calc(var(--share)*.92) 3px no-repeat;padding-bottom:8px}
.cell b{font-weight:600}.cell small{color:var(--dim);margin-left:8px}
.pill{display:inline-block;padding:1px 9px;border-radius:9px;font-size:13px;white-space:nowrap}
.pill.met{background:var(--metb);color:var(--met)}.pill.missed{background:var(--missedb);color:var(--missed)}.pill.unsure{background:var(--unsureb);color:var(--unsure)}
.key{display:inline-block;width:10px;height:10px;border-radius:5px;margin-right:8px;background:var(--floor)}
.key.artifact{background:var(--artifact)}.key.awslambdaric{background:var(--awslambdaric)}.key.image{background:var(--image)}
article{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:16px 18px;margin:14px 0}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,480px),1fr));gap:10px 26px}
figure{margin:0}figcaption{font-size:13px;color:var(--dim);margin-bottom:2px}
svg{display:block;width:100%;height:auto;font:12px system-ui,sans-serif}svg text{fill:var(--text)}
svg .tick,svg .name{fill:var(--dim)}svg .grid{stroke:var(--line)}svg .value{font-weight:600;font-variant-numeric:tabular-nums}
svg .artifact{color:var(--artifact)}svg .awslambdaric{color:var(--awslambdaric)}svg .image{color:var(--image)}svg .floor{color:var(--floor)}
svg g circle{fill:currentColor;fill-opacity:.5}svg .band{fill:currentColor;fill-opacity:.16}svg .median{stroke:currentColor;stroke-width:2.5}
svg.mark{width:180px}.mark .target{stroke:var(--text);stroke-width:2}.mark .range{stroke:currentColor;stroke-width:5;stroke-opacity:.45}.mark circle{fill:currentColor}
.mark.met{color:var(--met)}.mark.missed{color:var(--missed)}.mark.unsure{color:var(--unsure)}
summary{cursor:pointer;color:var(--dim);margin:8px 0}
.reading{margin-bottom:60px}
@media print{article{break-inside:avoid}nav{display:none}}
`;
