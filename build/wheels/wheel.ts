// A wheel's content -> the files it installs below an interpreter's prefix, as the installer's part of the wheel format
// says (https://packaging.python.org/specifications/binary-distribution-format/). Nothing of it is run, so the wheel may
// be for another machine. Which wheels, and where they come from, is not known here.
import { createHash } from 'node:crypto';
import { posix } from 'node:path';
import type { Plan } from '../recipe/model.ts';
import { type Entry, fileOf, makeTree, type Tree } from '../tree/tree.ts';

/** Where a wheel's parts go, as paths of the tree. */
export interface WheelLayout {
  /** Modules; '' for the tree's root. */
  readonly site: string;
  /** The folder of the commands; undefined leaves them out. */
  readonly scripts: string | undefined;
  /** Headers; undefined leaves them out. */
  readonly headers: string | undefined;
  /** What is neither: share/, etc/. '' for the tree's root. */
  readonly data: string;
  /** First lines of the commands: "#!" and what follows, up to and with the line's end. */
  readonly shebang: string;
}

/** Below an interpreter's prefix, as pip installs without --target. */
export function prefixLayout(python: Plan['python']): WheelLayout {
  return {
    site: sitePackages(python),
    scripts: 'bin',
    headers: `include/${python.executable}`,
    data: '',
    shebang: besideInterpreter(python),
  };
}

export interface Installed {
  /** Paths as the layout has them; below a prefix: lib/python3.13t/site-packages/..., bin/... */
  readonly tree: Tree;
  readonly name: string;
  readonly version: string;
}

/** A wheel that does not follow the format; the text says how, and begins in lower case. */
export class BadWheel extends Error {
  override readonly name = 'BadWheel';
}

/** Where packages lie below the prefix. */
export function sitePackages({ executable }: Pick<Plan['python'], 'executable'>): string {
  return `lib/${executable}/site-packages`;
}

/**
 * Installs a wheel.
 * @param wheel the unpacked archive
 * @param commands names for the package's commands that are not those in the wheel: name -> "module:function"
 * @throws BadWheel
 */
export async function installWheel(
  wheel: Tree,
  layout: WheelLayout,
  commands?: ReadonlyMap<string, string>,
): Promise<Installed> {
  const { site, shebang } = layout;
  const info = [...wheel.entries.keys()]
    .find((path) => /^[^/]+\.dist-info\/WHEEL$/.test(path))
    ?.slice(0, -'/WHEEL'.length);
  if (info === undefined) throw new BadWheel('it has no .dist-info/WHEEL');
  const text = async (file: string): Promise<string | undefined> => {
    const entry = wheel.entries.get(`${info}/${file}`);
    return entry?.kind === 'file' ? Buffer.from(await entry.read()).toString('utf8') : undefined;
  };
  const version = /^Wheel-Version:\s*(\d+)\./m.exec((await text('WHEEL')) ?? '')?.[1];
  if (version !== '1') throw new BadWheel(`its format is version ${version ?? '(none)'}, not 1`);
  const metadata = (await text('METADATA')) ?? '';
  const field = (name: string): string => new RegExp(`^${name}:\\s*(\\S+)`, 'm').exec(metadata)?.[1] ?? '';

  const data = info.replace(/\.dist-info$/, '.data');
  const schemes: Readonly<Record<string, string | undefined>> = {
    purelib: site,
    platlib: site,
    scripts: layout.scripts,
    headers: layout.headers && `${layout.headers}/${field('Name')}`,
    data: layout.data,
  };
  const files = new Map<string, Entry>();
  for (const [path, entry] of wheel.entries) {
    if (entry.kind === 'link') throw new BadWheel(`${path} is a symbolic link`);
    if (path === `${info}/RECORD`) continue;
    if (!path.startsWith(`${data}/`)) {
      files.set(below(site, path), entry);
      continue;
    }
    const [scheme = '', ...rest] = path.slice(data.length + 1).split('/');
    if (!Object.hasOwn(schemes, scheme) || rest.length === 0)
      throw new BadWheel(`${path} is of no kind that can be installed`);
    const folder = schemes[scheme];
    if (folder === undefined) continue;
    files.set(below(folder, rest.join('/')), scheme === 'scripts' ? await script(entry, shebang) : entry);
  }
  if (layout.scripts !== undefined)
    for (const [name, target] of commands ?? consoleScripts((await text('entry_points.txt')) ?? ''))
      files.set(below(layout.scripts, name), fileOf(entryPoint(target, shebang), 0o755));
  const own = below(site, `${info}/RECORD`);
  files.set(below(site, `${info}/INSTALLER`), fileOf('make-runtime\n'));
  files.set(own, fileOf(await record(files, site, own)));
  return { tree: makeTree(files), name: field('Name'), version: field('Version') };
}

/** The same tree with bytecode, which RECORD names without a hash, as pip writes it: so that pip can remove it. */
export async function withBytecode(
  { tree, ...rest }: Installed,
  { site }: Pick<WheelLayout, 'site'>,
  pycs: Tree,
): Promise<Installed> {
  const path = [...tree.entries.keys()].find((path) => /^[^/]+\.dist-info\/RECORD$/.test(relativeTo(site, path)));
  const entry = path === undefined ? undefined : tree.entries.get(path);
  if (path === undefined || entry?.kind !== 'file') throw new Error('An installed wheel has no RECORD.');
  const lines = Buffer.from(await entry.read())
    .toString('utf8')
    .trimEnd()
    .split('\n');
  for (const pyc of pycs.entries.keys()) lines.push(`${csv(relativeTo(site, pyc))},,`);
  const whole = fileOf(`${lines.sort().join('\n')}\n`);
  return { ...rest, tree: makeTree([...tree.entries, ...pycs.entries, [path, whole]]) };
}

/** [name, "module:attribute"] of the commands a package brings. */
function consoleScripts(text: string): [string, string][] {
  const found: [string, string][] = [];
  let wanted = false;
  for (const line of text.split(/\r?\n/).map((line) => line.trim())) {
    if (line.startsWith('[')) wanted = line === '[console_scripts]' || line === '[gui_scripts]';
    const match = /^([^\s=;#/][^=/]*?)\s*=\s*([\w.]+)\s*:\s*([\w.]+)/.exec(line);
    if (wanted && match) found.push([match[1]!, `${match[2]}:${match[3]}`]);
  }
  return found;
}

/**
 * A first line that finds the interpreter beside the script wherever the prefix is. The kernel takes an absolute path
 * only, so a shell looks it up; to Python the same lines are a string (pip does so for paths with a space).
 */
function besideInterpreter({ executable }: Plan['python']): string {
  return `#!/bin/sh\n'''exec' "$(dirname -- "$(readlink -f -- "$0")")/${executable}" "$0" "$@"\n' '''\n`;
}

function entryPoint(target: string, shebang: string): string {
  const [module = '', attribute = ''] = target.split(':');
  const [first = ''] = attribute.split('.');
  return `${shebang}import sys\nfrom ${module} import ${first}\nsys.exit(${attribute}())\n`;
}

/** Scripts in a wheel begin with "#!python", which the installer replaces. */
async function script(entry: Entry, shebang: string): Promise<Entry> {
  if (entry.kind !== 'file') return entry;
  const bytes = Buffer.from(await entry.read());
  const end = bytes.indexOf('\n');
  if (!/^#!pythonw?\b/.test(bytes.subarray(0, Math.max(end, 0)).toString('latin1'))) return fileOf(bytes, 0o755);
  return fileOf(Buffer.concat([Buffer.from(shebang), bytes.subarray(end + 1)]), 0o755);
}

/** https://packaging.python.org/specifications/recording-installed-packages/#the-record-file */
async function record(files: ReadonlyMap<string, Entry>, site: string, own: string): Promise<string> {
  const lines = [`${csv(relativeTo(site, own))},,`];
  for (const [path, entry] of files) {
    if (entry.kind !== 'file') continue;
    const hash = createHash('sha256')
      .update(await entry.read())
      .digest('base64url');
    lines.push(`${csv(relativeTo(site, path))},sha256=${hash},${entry.size}`);
  }
  return `${lines.sort().join('\n')}\n`;
}

function relativeTo(site: string, path: string): string {
  return posix.relative(`/${site}`, `/${path}`);
}

function below(folder: string, path: string): string {
  return folder === '' ? path : `${folder}/${path}`;
}

function csv(field: string): string {
  return /[",\r\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field;
}
