// What is in a layer, without judging it: sizes by folder, what was pruned, what it needs from the system, how its
// Python was built. Facts come from the files, from build.json, and from the interpreter where it can be run.
import type { BuildRecord } from '../package/build-json.ts';
import { type Arch, architectures } from '../recipe/model.ts';
import { compareVersions, ElfError, glibcNumber, highestGlibc } from '../tree/elf.ts';
import { treeSize } from '../tree/tree.ts';
import { askJit, describeJit, type JitState } from './jit.ts';
import { megabytes } from './layout-checks.ts';
import type { FactsOutput } from './probes.ts';
import { askFacts, runnable } from './run-checks.ts';
import type { Runner } from './runner.ts';
import { type Subject, sha256Of } from './subject.ts';
import { count, firstFew } from './verdict.ts';

interface FolderSize {
  readonly folder: string;
  readonly files: number;
  /** Bytes on disk, and bytes in the zip without its headers. */
  readonly unpacked: number;
  readonly packed: number;
}

export interface Inspection {
  readonly artifact: string;
  readonly arch: Arch | undefined;
  readonly sha256: string | undefined;
  /** Of the zip, bytes; undefined for a folder. */
  readonly size: number | undefined;
  readonly unpacked: number;
  readonly files: number;
  /** The biggest, by their unpacked size. */
  readonly folders: readonly FolderSize[];
  /** What pruning took, from build.json. */
  readonly ledger: BuildRecord['ledger'] | undefined;
  /** Shared libraries that files of the layer need, with those files. */
  readonly libraries: readonly { readonly name: string; readonly neededBy: readonly string[] }[];
  readonly glibc: { readonly highest: string; readonly path: string; readonly symbols: readonly string[] } | undefined;
  readonly plan: BuildRecord['plan'] | undefined;
  readonly toolchain: BuildRecord['toolchain'] | undefined;
  /** What the interpreter says about itself, or why it was not asked. */
  readonly python: FactsOutput | { readonly notAsked: string };
  /** Whether it has the JIT and when that is on; undefined when it was not asked. */
  readonly jit: JitState | undefined;
}

export interface InspectOptions {
  readonly runner?: Runner;
  readonly hostArch?: string;
  /** Segments that folders are cut to, and how many of them are listed. */
  readonly depth?: number;
  readonly top?: number;
}

/** Looks at a layer. Throws nothing of its own: what cannot be found out is absent or says why. */
export async function inspect(
  subject: Subject,
  { runner, hostArch = process.arch, depth = 4, top = 15 }: InspectOptions = {},
): Promise<Inspection> {
  const { files, bytes } = treeSize(subject.tree);
  const { record, zip, source } = subject;
  return {
    artifact: subject.name,
    arch: subject.arch,
    sha256: source === undefined ? undefined : await sha256Of(source),
    size: zip?.size,
    unpacked: bytes,
    files,
    folders: folderSizes(subject, depth).slice(0, top),
    ledger: record?.ledger,
    libraries: neededLibraries(subject),
    glibc: highestNeed(subject),
    plan: record?.plan,
    toolchain: record?.toolchain,
    ...(await python(subject, runner, hostArch)),
  };
}

function folderSizes({ tree, zip }: Subject, depth: number): FolderSize[] {
  const packed = new Map(zip?.members.map(({ path, compressedSize }) => [path, compressedSize]));
  const folders = new Map<string, { files: number; unpacked: number; packed: number }>();
  for (const [path, entry] of tree.entries) {
    const folder = path.split('/').slice(0, -1).slice(0, depth).join('/') || '.';
    const size = folders.get(folder) ?? { files: 0, unpacked: 0, packed: 0 };
    size.files += 1;
    size.unpacked += entry.kind === 'file' ? entry.size : Buffer.byteLength(entry.target);
    size.packed += packed.get(path) ?? 0;
    folders.set(folder, size);
  }
  const rows = [...folders].map(([folder, size]) => ({ folder, ...size }));
  return rows.sort((a, b) => b.unpacked - a.unpacked || (a.folder < b.folder ? -1 : 1));
}

function neededLibraries({ elves }: Subject): Inspection['libraries'] {
  const needed = new Map<string, string[]>();
  for (const [path, elf] of elves) {
    if (elf instanceof ElfError) continue;
    for (const name of elf.needed) needed.set(name, [...(needed.get(name) ?? []), path]);
  }
  const rows = [...needed].map(([name, neededBy]) => ({ name, neededBy }));
  return rows.sort((a, b) => (a.name < b.name ? -1 : 1));
}

function highestNeed({ elves }: Subject): Inspection['glibc'] {
  const needs = [...elves].flatMap(([path, elf]) => {
    const highest = elf instanceof ElfError ? undefined : highestGlibc(elf);
    const number = highest === undefined ? undefined : glibcNumber(`GLIBC_${highest}`);
    return elf instanceof ElfError || highest === undefined || !number ? [] : [{ path, elf, highest, number }];
  });
  const top = needs.sort((a, b) => compareVersions(a.number, b.number)).at(-1);
  if (!top) return undefined;
  const symbols = top.elf.versionedSymbols.filter(({ version }) => version === `GLIBC_${top.highest}`);
  return { highest: top.highest, path: top.path, symbols: symbols.map(({ symbol }) => symbol).sort() };
}

async function python(
  subject: Subject,
  runner: Runner | undefined,
  hostArch: string,
): Promise<Pick<Inspection, 'python' | 'jit'>> {
  const interpreter = runnable(subject, runner, hostArch);
  if (typeof interpreter === 'string') return { python: { notAsked: interpreter }, jit: undefined };
  const facts = await askFacts(interpreter);
  if ('check' in facts) return { python: { notAsked: facts.message }, jit: undefined };
  return { python: facts, jit: await askJit(interpreter, facts) };
}

/** The inspection for a person: headed blocks of aligned lines. */
export function describeInspection(inspection: Inspection): string {
  const { plan, ledger, glibc, libraries, python: facts } = inspection;
  const number = (value: number) => value.toLocaleString('en-US');
  const arch = inspection.arch ?? `neither ${architectures.join(' nor ')}`;
  const blocks: [string, readonly (readonly [string, string])[]][] = [
    [
      inspection.artifact,
      [
        ['architecture', arch],
        ...(inspection.size === undefined ? [] : [['zip', `${number(inspection.size)} bytes`] as const]),
        ...(inspection.sha256 === undefined ? [] : [['sha256', inspection.sha256] as const]),
        ['unpacked', `${number(inspection.unpacked)} bytes in ${count(inspection.files, 'file')}`],
      ],
    ],
    [
      'Biggest folders (unpacked, in the zip, files)',
      inspection.folders.map(({ folder, unpacked, packed, files }) => [
        `${megabytes(unpacked).padStart(9)} ${megabytes(packed).padStart(9)} ${String(files).padStart(6)}`,
        folder,
      ]),
    ],
    [
      ledger ? `Left out: ${count(ledger.files, 'file')}, ${megabytes(ledger.bytes)}` : 'Left out',
      ledger
        ? ledger.rows.map((row) => [
            `${megabytes(row.bytes).padStart(9)} ${String(row.files).padStart(6)}  ${row.rule}`,
            row.reason,
          ])
        : [['unknown', 'the layer has no build.json of make-runtime']],
    ],
    [
      'Needed from the system',
      [
        ...libraries.map(({ name, neededBy }) => [name, firstFew(neededBy, 2)] as const),
        glibc
          ? ['highest glibc', `${glibc.highest} by ${glibc.path}: ${firstFew(glibc.symbols, 4) || 'no symbol named'}`]
          : ['highest glibc', 'none'],
      ],
    ],
    ['Python', pythonLines(plan, facts, inspection.jit)],
  ];
  return blocks.map(([title, rows]) => [title, ...aligned(rows)].join('\n')).join('\n\n');
}

function pythonLines(
  plan: Inspection['plan'],
  facts: Inspection['python'],
  jit: JitState | undefined,
): [string, string][] {
  const planned: [string, string][] = plan
    ? [
        ['plan', `${plan.id} (${plan.name})`],
        ['version', plan.python.version],
        ['flavour', plan.flavor],
        ['profile', plan.profile],
        ['built on', [plan.builder.system, plan.builder.compiler ?? 'no compiler'].join(', ')],
        ['configure', plan.configure.map(({ value }) => value).join(' ')],
        ['not built', plan.withoutModules.map(({ value }) => value).join(', ') || 'nothing'],
      ]
    : [];
  if ('notAsked' in facts) return [...planned, ['interpreter', facts.notAsked]];
  const variables = typeof facts.variables === 'string' ? {} : facts.variables;
  const gil = facts.gil === null ? 'has no switch in this version' : facts.gil ? 'on' : 'off';
  return [
    ...planned,
    ['interpreter', facts.banner.replace(/\s+/g, ' ')],
    ['GIL', gil],
    ...(jit ? [['JIT', describeJit(jit)] as [string, string]] : []),
    ['built in', `${facts.builtin.length} modules`],
    ['libraries', `OpenSSL: ${facts.openssl}; SQLite: ${facts.sqlite}; zlib: ${facts.zlib}; expat: ${facts.expat}`],
    ...(plan ? [] : [['configure', String(variables.CONFIG_ARGS ?? 'unknown')] as [string, string]]),
    ['flags', String(variables.PY_CORE_CFLAGS ?? variables.PY_CFLAGS ?? 'unknown')],
  ];
}

function aligned(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(0, ...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`.trimEnd());
}
