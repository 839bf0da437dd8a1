// A Debian archive as a mirror: its source packages of CPython carry upstream's tarball, byte for byte. Indexes are
// read and files fetched by apt itself, in a private root below the cache, so that apt's proxies, mirrors and
// signatures count and the machine's own apt state is not touched. Works without being root.
import { copyFile, lstat, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import type { Context } from '../lib/context.ts';
import { throwIfCancelled } from '../lib/errors.ts';
import { writeWhole } from '../lib/folder.ts';
import { sizeOf } from './cache.ts';
import { MirrorFailure } from './http.ts';
import type { Mirror } from './mirror.ts';

export type DebianMirror = Extract<Mirror, { kind: 'debian' }>;

const defaultArchive = 'https://deb.debian.org/debian';
const defaultKeyring = '/usr/share/keyrings/debian-archive-keyring.gpg';

/**
 * Fetches a source package's file to `target`.
 * @throws MirrorFailure with a sentence: no apt, archive not reachable, version gone; CANCELLED
 */
export async function fetchFromDebian(mirror: DebianMirror, target: string, ctx: Context): Promise<void> {
  const apt = await openAptRoot(mirror.suite, ctx);
  const version = await findVersion(apt, mirror, ctx);
  const folder = await mkdtemp(join(apt.root, 'download-'));
  try {
    const source = ['source', '--download-only', '--tar-only', '--only-source', `${mirror.package}=${version}`];
    const result = await apt.run('apt-get', source, folder);
    if (result.exitCode !== 0) throw new MirrorFailure(complaint(result.stderr));
    if ((await sizeOf(join(folder, mirror.file))) === undefined) {
      const files = (await readdir(folder)).join(', ');
      throw new MirrorFailure(`${mirror.package} ${version} has no file ${mirror.file}${files && `, only ${files}`}`);
    }
    // For an archive on disk apt makes a link; the cache needs the bytes.
    const received = join(folder, mirror.file);
    if ((await lstat(received)).isSymbolicLink()) await copyFile(received, target);
    else await rename(received, target);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** True when the suite's index lists the package at that version. */
export async function debianHas(mirror: DebianMirror, ctx: Context): Promise<boolean> {
  try {
    await findVersion(await openAptRoot(mirror.suite, ctx), mirror, ctx);
    return true;
  } catch (error) {
    if (error instanceof MirrorFailure) return false;
    throw error;
  }
}

/**
 * The upstream versions of a source package that a suite has now, as upstream writes them ("3.15.0rc1"), from a fresh
 * index.
 * @throws MirrorFailure; CANCELLED
 */
export async function debianUpstreamVersions(suite: string, name: string, ctx: Context): Promise<readonly string[]> {
  const apt = await openAptRoot(suite, ctx);
  await update(apt, ctx);
  const versions = await listVersions(apt, { package: name });
  // "3.15.0~rc1-2" is Debian revision 2 of 3.15.0rc1.
  return [...new Set(versions.map((version) => version.replace(/-[^-]*$/, '').replace('~', '')))];
}

interface AptRoot {
  readonly root: string;
  run(
    command: 'apt-get' | 'apt-cache',
    args: readonly string[],
    cwd?: string,
  ): Promise<{ exitCode: number; stdout: string; stderr: string }>;
}

async function openAptRoot(suite: string, ctx: Context): Promise<AptRoot> {
  const root = join(ctx.cacheDir, 'apt', suite);
  for (const folder of ['lists/partial', 'archives/partial', 'state', 'log', 'empty'])
    await mkdir(join(root, folder), { recursive: true });
  await writeFile(join(root, 'state', 'status'), '', { flag: 'a' });
  const archive = (await machineArchive()) ?? { uri: defaultArchive, signedBy: defaultKeyring };
  await replace(join(root, 'sources.list'), `deb-src [signed-by=${archive.signedBy}] ${archive.uri} ${suite} main\n`);
  await replace(join(root, 'apt.conf'), aptConf(root));

  return {
    root,
    async run(command, args, cwd = root) {
      const result = await execa(command, ['-c', join(root, 'apt.conf'), ...args], {
        cwd,
        env: { ...ctx.env, LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' },
        extendEnv: false,
        reject: false,
        stdin: 'ignore',
        cancelSignal: ctx.signal,
        maxBuffer: 64 << 20,
      });
      throwIfCancelled(ctx.signal);
      if (result.exitCode === undefined) {
        throw new MirrorFailure(
          (result as { code?: string }).code === 'ENOENT'
            ? `needs ${command}, which this machine does not have`
            : `${command} could not be run: ${result.shortMessage}`,
        );
      }
      return { exitCode: result.exitCode, stdout: result.stdout, stderr: result.stderr };
    },
  };
}

/** Configuration that keeps apt inside one folder. The machine's apt.conf.d is read before it: proxies live there. */
export function aptConf(root: string): string {
  const at = (...below: string[]) => JSON.stringify(join(root, ...below));
  return [
    // Hooks of the machine would act on the machine.
    '#clear APT::Update::Pre-Invoke;',
    '#clear APT::Update::Post-Invoke;',
    '#clear APT::Update::Post-Invoke-Success;',
    '#clear DPkg::Post-Invoke;',
    `Dir::State ${at('state')};`,
    `Dir::State::lists ${at('lists')};`,
    `Dir::State::status ${at('state', 'status')};`,
    `Dir::Cache ${at()};`,
    `Dir::Cache::archives ${at('archives')};`,
    `Dir::Etc::sourcelist ${at('sources.list')};`,
    `Dir::Etc::sourceparts ${at('empty')};`,
    `Dir::Etc::preferencesparts ${at('empty')};`,
    `Dir::Log ${at('log')};`,
    // The _apt user cannot enter a cache folder below somebody's home; apt would warn and go on as root anyway.
    'APT::Sandbox::User "root";',
    // An index is only asked where a file is; what the file must be is pinned, so an old index can do no harm.
    'Acquire::Check-Valid-Until "false";',
    'Acquire::Languages "none";',
    'Acquire::Retries "3";',
    '',
  ].join('\n');
}

/** The exact Debian version that matches, from the index at hand or else from a fresh one. */
async function findVersion(apt: AptRoot, mirror: DebianMirror, ctx: Context): Promise<string> {
  const known = await listVersions(apt, mirror);
  const match = known.find((version) => matches(mirror.version, version));
  if (match !== undefined) return match;

  ctx.report({ type: 'progress', stage: 'sources', text: `reading the index of Debian ${mirror.suite}` });
  await update(apt, ctx);
  const fresh = await listVersions(apt, mirror);
  const found = fresh.find((version) => matches(mirror.version, version));
  if (found !== undefined) return found;
  throw new MirrorFailure(
    fresh.length === 0
      ? `Debian ${mirror.suite} has no source package ${mirror.package}`
      : `Debian ${mirror.suite} no longer has ${mirror.package} ${mirror.version}, but ${fresh.join(', ')}`,
  );
}

async function update(apt: AptRoot, ctx: Context): Promise<void> {
  // Another run may be reading the same index; apt's lock goes away with its process, even a killed one.
  for (let waited = 0; ; waited++) {
    const { exitCode, stderr } = await apt.run('apt-get', ['update', '-q', '--error-on=any']);
    if (exitCode === 0) return;
    if (!/could not get lock/i.test(stderr) || waited >= 180) throw new MirrorFailure(complaint(stderr));
    await new Promise((done) => setTimeout(done, 1000));
    throwIfCancelled(ctx.signal);
  }
}

/** Versions of the source package in the index, newest first as apt lists them. */
async function listVersions(apt: AptRoot, mirror: Pick<DebianMirror, 'package'>): Promise<readonly string[]> {
  const { stdout } = await apt.run('apt-cache', ['showsrc', '--only-source', mirror.package]);
  return stdout
    .split(/\n\s*\n/)
    .filter((paragraph) => new RegExp(`^Package: ${literal(mirror.package)}$`, 'm').test(paragraph))
    .flatMap((paragraph) => /^Version: (.+)$/m.exec(paragraph)?.[1]?.trim() ?? []);
}

function matches(wanted: string, version: string): boolean {
  return wanted.endsWith('*') ? version.startsWith(wanted.slice(0, -1)) : version === wanted;
}

/** The Debian archive this machine uses itself, so that a local mirror or cache serves us too. */
async function machineArchive(): Promise<{ uri: string; signedBy: string } | undefined> {
  const etc = '/etc/apt';
  const files = [join(etc, 'sources.list')];
  for (const name of await readdir(join(etc, 'sources.list.d')).catch(() => []))
    files.push(join(etc, 'sources.list.d', name));
  for (const file of files) {
    const text = await readFile(file, 'utf8').catch(() => '');
    const entry = file.endsWith('.sources') ? deb822Archive(text) : oneLineArchive(text);
    if (entry) return { uri: entry.uri, signedBy: entry.signedBy ?? defaultKeyring };
  }
  return undefined;
}

interface ArchiveEntry {
  readonly uri: string;
  readonly signedBy: string | undefined;
}

/** The first archive of Debian proper in a deb822 file (*.sources). */
export function deb822Archive(text: string): ArchiveEntry | undefined {
  for (const paragraph of text.split(/\n\s*\n/)) {
    const field = (name: string) => new RegExp(`^${name}:[ \\t]*(.+)$`, 'im').exec(paragraph)?.[1]?.trim();
    if (/^Enabled:\s*no/im.test(paragraph)) continue;
    const uri = field('URIs')?.split(/\s+/).find(isDebianArchive);
    if (uri === undefined) continue;
    const signedBy = field('Signed-By');
    return { uri, signedBy: signedBy?.startsWith('/') ? signedBy : undefined };
  }
  return undefined;
}

/** The first archive of Debian proper in a classic sources.list. */
export function oneLineArchive(text: string): ArchiveEntry | undefined {
  for (const line of text.split('\n')) {
    const match = /^\s*deb(?:-src)?\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+\S+/.exec(line);
    if (!match || !isDebianArchive(match[2]!)) continue;
    return { uri: match[2]!, signedBy: /signed-by=(\/\S+)/.exec(match[1] ?? '')?.[1] };
  }
  return undefined;
}

/** https://mirror.example/debian/, but not debian-security or debian-backports, which hold other suites. */
function isDebianArchive(uri: string): boolean {
  return /\/debian\/?$/.test(uri);
}

/** The first thing apt complains of, without its prefix. */
function complaint(stderr: string): string {
  const lines = stderr.split('\n').map((line) => line.trim());
  const line = lines.find((one) => one.startsWith('E:')) ?? lines.find((one) => one.startsWith('W:')) ?? lines[0] ?? '';
  return `apt says: ${line.replace(/^[EW]:\s*/, '') || 'nothing'}`;
}

async function replace(path: string, text: string): Promise<void> {
  if ((await readFile(path, 'utf8').catch(() => undefined)) !== text) await writeWhole(path, text);
}

function literal(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
