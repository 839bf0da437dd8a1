// A wheel's content -> the files it installs below an interpreter's prefix, as the installer's part of the wheel format
// says (https://packaging.python.org/specifications/binary-distribution-format/). Nothing of it is run, so the wheel may
// be for another machine. Which wheels, and where they come from, is not known here.
import { createHash } from 'node:crypto';
import type { Plan } from '../recipe/model.ts';
import { type Entry, fileOf, makeTree, type Tree } from '../tree/tree.ts';

export interface Installed {
  /** Paths below the prefix: lib/python3.13t/site-packages/..., bin/... */
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
  python: Plan['python'],
  commands?: ReadonlyMap<string, string>,
): Promise<Installed> {
  const site = sitePackages(python);
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
  const schemes: Readonly<Record<string, string>> = {
    purelib: site,
    platlib: site,
    scripts: 'bin',
    headers: `include/${python.executable}/${field('Name')}`,
    data: '',
  };
  const files = new Map<string, Entry>();
  for (const [path, entry] of wheel.entries) {
    if (entry.kind === 'link') throw new BadWheel(`${path} is a symbolic link`);
    if (path === `${info}/RECORD`) continue;
    if (!path.startsWith(`${data}/`)) {
      files.set(`${site}/${path}`, entry);
      continue;
    }
    const [scheme = '', ...rest] = path.slice(data.length + 1).split('/');
    const folder = schemes[scheme];
    if (folder === undefined || rest.length === 0) throw new BadWheel(`${path} is of no kind that can be installed`);
    const place = [folder, ...rest].filter((part) => part !== '').join('/');
    files.set(place, scheme === 'scripts' ? await script(entry, python) : entry);
  }
  for (const [name, target] of commands ?? consoleScripts((await text('entry_points.txt')) ?? ''))
    files.set(`bin/${name}`, fileOf(entryPoint(target, python), 0o755));
  files.set(`${site}/${info}/INSTALLER`, fileOf('make-runtime\n'));
  files.set(`${site}/${info}/RECORD`, fileOf(await record(files, site, `${site}/${info}/RECORD`)));
  return { tree: makeTree(files), name: field('Name'), version: field('Version') };
}

/** The same tree with bytecode, which RECORD names without a hash, as pip writes it: so that pip can remove it. */
export async function withBytecode(
  { tree, ...rest }: Installed,
  python: Plan['python'],
  pycs: Tree,
): Promise<Installed> {
  const site = sitePackages(python);
  const path = [...tree.entries.keys()].find(
    (path) => path.startsWith(`${site}/`) && path.endsWith('.dist-info/RECORD'),
  );
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
function firstLines({ executable }: Plan['python']): string {
  return `#!/bin/sh\n'''exec' "$(dirname -- "$(readlink -f -- "$0")")/${executable}" "$0" "$@"\n' '''\n`;
}

function entryPoint(target: string, python: Plan['python']): string {
  const [module = '', attribute = ''] = target.split(':');
  const [first = ''] = attribute.split('.');
  return `${firstLines(python)}import sys\nfrom ${module} import ${first}\nsys.exit(${attribute}())\n`;
}

/** Scripts in a wheel begin with "#!python", which the installer replaces. */
async function script(entry: Entry, python: Plan['python']): Promise<Entry> {
  if (entry.kind !== 'file') return entry;
  const bytes = Buffer.from(await entry.read());
  const end = bytes.indexOf('\n');
  if (!/^#!pythonw?\b/.test(bytes.subarray(0, Math.max(end, 0)).toString('latin1'))) return fileOf(bytes, 0o755);
  return fileOf(Buffer.concat([Buffer.from(firstLines(python)), bytes.subarray(end + 1)]), 0o755);
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
  return path.startsWith(`${site}/`) ? path.slice(site.length + 1) : `../../../${path}`;
}

function csv(field: string): string {
  return /[",\r\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field;
}
