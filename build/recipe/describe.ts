// A plan as a person reads it: every choice with its reason, within 100 columns. Says nothing that is not in the plan.
import type { Library, Plan, Reasoned } from './model.ts';
import { stepsOf } from './steps.ts';
import { toolName, whereToGet } from './tools.ts';

const columns = 100;

/** What `make-runtime plan` prints; ends without a newline. */
export function describe(plan: Plan): string {
  const { source } = plan;
  return [
    `${plan.name}  (plan ${plan.id})`,
    '',
    ...facts([
      ['CPython', `${plan.python.version}, ${plan.flavor}, profile ${plan.profile}`],
      ['Target', `Lambda provided.al2023, ${plan.arch}, glibc ${plan.glibcFloor}`],
      ['Builder', `${plan.builder.system}, engine ${plan.builder.engine}${crossing(plan)}`],
      ...image(plan),
      ['Compiler', plan.builder.compiler ?? 'none found: `make-runtime doctor` says what to install'],
      ['Bootstrap', `sha256 ${plan.bootstrap.slice(0, 16)}`],
      ['Dates', `${new Date(plan.epoch * 1000).toISOString().slice(0, 19)}Z (SOURCE_DATE_EPOCH ${plan.epoch})`],
      ['Compressor', plan.deflate],
    ]),
    ...section('Notes', list(plan.notes)),
    ...section('Sources', [
      `  ${source.name} ${source.version}  ${source.file}  ${source.size.toLocaleString('en-US')} bytes  ${source.licence}`,
      ...facts([
        ['sha256', source.sha256],
        ['verified', source.verifiedBy],
        ...source.mirrors.map((mirror, index): [string, string] => [index === 0 ? 'mirrors' : '', mirror]),
      ]),
    ]),
    ...section('Needs beside a C compiler and make', [
      ...plan.requires.flatMap((one) => reasonedLines(toolName(one), `${one.reason} ${whereToGet([one])}.`)),
    ]),
    ...section('Configure', reasoned(collapse(plan.configure))),
    ...section('Compiler flags', reasoned(plan.cflags)),
    ...section('Linker flags', reasoned(collapse(plan.ldflags))),
    ...section('Extension modules', reasonedLines(plan.staticModules.mechanism, plan.staticModules.reason)),
    ...section(
      'Libraries, linked statically',
      plan.libraries.flatMap((library) => describeLibrary(library, plan)),
    ),
    ...section('How the libraries are compiled', libraryFlags(plan.libraries)),
    ...section('Profile-guided optimisation', describeProfiling(plan)),
    ...section('Bytecode', reasoned(plan.bytecode ?? [])),
    ...section('Symbols bound to an older glibc', symbols(plan)),
    ...section('Modules left out', reasoned(plan.withoutModules)),
    ...section(
      'Pruned from the tree',
      plan.prune.flatMap((rule) =>
        reasonedLines(rule.id, `${rule.reason}${rule.modules ? ` Modules: ${rule.modules.join(', ')}.` : ''}`),
      ),
    ),
    ...section(
      'Packages baked in',
      (plan.extras ?? []).flatMap(({ id, reason, packages }) => [
        ...reasonedLines(id, reason),
        ...hang(' '.repeat(30), packages.map(({ name, version }) => `${name} ${version}`).join(', ')),
      ]),
    ),
    ...section(
      'Steps',
      stepsOf(plan).flatMap(({ name, does }, index) => reasonedLines(`${index + 1} ${name}`, does, 14)),
    ),
  ].join('\n');
}

function describeLibrary(library: Library, plan: Plan): readonly string[] {
  const { source, archives, licence, reason } = library;
  const where = source
    ? `from source, ${source.file}, sha256 ${source.sha256.slice(0, 16)}`
    : `of the builder (${printPackage(plan, library.packages)})`;
  return reasonedLines(
    source ? `${library.name} ${source.version}` : library.name,
    `${archives.join(' ')} ${where}, ${licence}. ${reason}`,
  );
}

/** Choices that several libraries share are said once. */
function libraryFlags(libraries: readonly Library[]): readonly string[] {
  const users = new Map<string, { entry: Reasoned; names: string[] }>();
  for (const { name, build } of libraries) {
    for (const entry of build ? [...build.cflags, ...collapse(build.options)] : []) {
      const key = `${entry.value} ${entry.reason}`;
      const known = users.get(key) ?? { entry, names: [] };
      users.set(key, { entry, names: [...known.names, name] });
    }
  }
  const built = libraries.filter(({ build }) => build).length;
  return [...users.values()].flatMap(({ entry, names }) =>
    reasonedWords(entry.value, `${names.length === built ? 'all' : names.join(', ')}: ${entry.reason}`),
  );
}

function describeProfiling({ profiling }: Plan): readonly string[] {
  if (!profiling) return [];
  const { data, training, reason, generate, use } = profiling;
  return [
    ...(data === undefined
      ? reasonedLines(`training ${training.slice(0, 16)}`, reason)
      : reasonedLines(`profile ${data.slice(0, 16)}`, 'A stored profile takes the place of the training.')),
    ...(data === undefined ? reasoned(generate) : []),
    ...reasoned(use),
  ];
}

function crossing({ arch, builder: { cross } }: Plan): string {
  return cross ? `, ${cross.from} that cross-compiles for ${arch}` : '';
}

function image({ builder }: Plan): readonly (readonly [string, string])[] {
  if (builder.engine !== 'container') return [];
  const { reference, rootfs, packages } = builder.image;
  return [['Image', `${reference}, file system ${rootfs.slice(0, 16)}, packages ${packages.slice(0, 16)}`]];
}

function printPackage(plan: Plan, packages: { readonly apt: string; readonly dnf: string }): string {
  for (const name of [packages.apt, packages.dnf]) {
    const version = plan.builder.packages[name];
    if (version !== undefined) return `${name} ${version}`;
  }
  return `${packages.apt}: not installed`;
}

/** Entries with one and the same reason (py_cv_module_*) share it. */
function collapse(entries: readonly Reasoned[]): readonly Reasoned[] {
  const byReason = new Map<string, string[]>();
  for (const { value, reason } of entries) byReason.set(reason, [...(byReason.get(reason) ?? []), value]);
  return [...byReason].map(([reason, values]) => ({ value: values.join('\n'), reason }));
}

function symbols(plan: Plan): readonly string[] {
  const groups = new Map<string, string[]>();
  for (const { symbol, target, version } of plan.symbolBindings) {
    const how =
      target === undefined ? `itself at ${version}` : `${/^__isoc\d+_/.exec(target)?.[0] ?? ''}* at ${version}`;
    const kind = target === undefined ? how : `__isoc23_* -> ${how}`;
    groups.set(kind, [...(groups.get(kind) ?? []), symbol.replace(/^__isoc23_/, '')]);
  }
  return [...groups].flatMap(([kind, names]) => [`  ${kind}`, ...hang(' '.repeat(30), names.join(' '))]);
}

function section(title: string, lines: readonly string[]): readonly string[] {
  return lines.length === 0 ? [] : ['', title, ...lines];
}

function facts(rows: readonly (readonly [string, string])[]): readonly string[] {
  return rows.flatMap(([name, value]) => hang(`  ${name.padEnd(11)}`, value));
}

function list(items: readonly string[]): readonly string[] {
  return items.flatMap((item) => hang('  - ', item));
}

function reasoned(entries: readonly Reasoned[]): readonly string[] {
  return entries.flatMap(({ value, reason }) => reasonedLines(value, reason));
}

/** The value, its reason beside it when it fits the column, else below it. */
function reasonedLines(value: string, reason: string, column = 30): readonly string[] {
  const values = value.split('\n');
  const last = values.at(-1) ?? '';
  if (values.length === 1 && last.length <= column - 4) return hang(`  ${last.padEnd(column - 2)}`, reason);
  return [...values.map((one) => `  ${one}`), ...hang(' '.repeat(column), reason)];
}

/** As reasonedLines(), for choices of many words. */
function reasonedWords(value: string, reason: string): readonly string[] {
  if (!value.includes('\n')) return reasonedLines(value, reason);
  return [...hang('  ', value), ...hang(' '.repeat(30), reason)];
}

/** Wraps words after a lead; following lines are indented to where the words start. */
function hang(lead: string, words: string): readonly string[] {
  const lines: string[] = [];
  let line = lead;
  let empty = true;
  for (const word of words.trim().split(/\s+/)) {
    if (!empty && line.length + 1 + word.length > columns) {
      lines.push(line);
      line = ' '.repeat(lead.length);
      empty = true;
    }
    line += empty ? word : ` ${word}`;
    empty = false;
  }
  lines.push(line.trimEnd());
  return lines;
}
