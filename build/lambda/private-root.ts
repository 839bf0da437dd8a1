// The root folder that a sandboxed function sees: a skeleton on disk and the list of mounts that fill it. The host's
// system folders appear read-only, the user's home and everything else of the host not at all.
// Only says what is where; sandbox.ts decides with which tool it is mounted.
import {
  access,
  chmod,
  chown,
  copyFile,
  lstat,
  mkdir,
  readdir,
  readlink,
  realpath,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** User and group of a Lambda function (`sbx_user1051`). */
export const lambdaUser = { uid: 993, gid: 990 } as const;

interface Mount {
  /** A host path, or undefined for proc. */
  readonly source: string | undefined;
  /** Absolute path inside the sandbox. */
  readonly target: string;
  readonly kind: 'ro' | 'rw' | 'device' | 'proc';
}

export interface PrivateRoot {
  /** The folder that becomes `/`, read-only. */
  readonly skeleton: string;
  readonly mounts: readonly Mount[];
}

export interface RootContent {
  /** A folder of ours on a disk that may hold executables. */
  readonly scratch: string;
  readonly layerDir: string;
  readonly codeDir: string;
  /** The function's /tmp on the host: outlives restarts of the runtime. */
  readonly tmpDir: string;
  /** Further host folders to show, read-only, at their own paths. */
  readonly visible: readonly string[];
  /** True when the sandbox maps our own user to the function's, so that file modes cannot lock it out. */
  readonly ownsFiles: boolean;
  /** A loader and C library of another architecture, to show where its programs look for them. */
  readonly foreign?: { readonly loader: string; readonly folder: string } | undefined;
}

const devices = ['null', 'zero', 'full', 'random', 'urandom'];

/** Makes the skeleton below `scratch` and lists the mounts. Nothing is mounted yet. */
export async function assembleRoot(content: RootContent): Promise<PrivateRoot> {
  const skeleton = join(content.scratch, 'root');
  const mounts: Mount[] = [];
  const folder = async (path: string): Promise<void> => {
    await mkdir(join(skeleton, path), { recursive: true });
    // The umask of the caller is not the function's business.
    for (let at = path; at !== '/' && at !== '.'; at = dirname(at)) await chmod(join(skeleton, at), 0o755);
  };
  const mount = async (source: string, target: string, kind: Mount['kind']): Promise<void> => {
    if ((await lstat(source)).isDirectory()) await folder(target);
    else {
      await folder(dirname(target));
      await writeFile(join(skeleton, target), '');
    }
    mounts.push({ source, target, kind });
  };

  await mkdir(skeleton, { recursive: true });
  await chmod(skeleton, 0o755);
  // Empty folders of Lambda's image; /mnt also holds the old root for a moment while the sandbox starts.
  for (const path of ['/dev', '/home', '/mnt', '/proc', '/run', '/srv', '/sys', '/var/runtime', '/var/lib', '/var/log'])
    await folder(path);
  await mount('/usr', '/usr', 'ro');
  for (const name of ['bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32']) {
    const found = await lstat(`/${name}`).catch(() => undefined);
    if (content.foreign && `/${name}` === dirname(content.foreign.loader)) {
      await showForeign(content.foreign, skeleton, folder);
      continue;
    }
    if (found?.isSymbolicLink()) await symlink(await readlink(`/${name}`), join(skeleton, name));
    else if (found?.isDirectory()) await mount(`/${name}`, `/${name}`, 'ro');
  }
  await writeEtc(skeleton, folder, mount);
  for (const name of devices) await mount(`/dev/${name}`, `/dev/${name}`, 'device');
  // No /dev/shm and no /dev/pts: Lambda has neither (Developer Guide: lambda-runtime-environment).
  for (const [name, target] of [
    ['fd', '/proc/self/fd'],
    ['stdin', '/proc/self/fd/0'],
    ['stdout', '/proc/self/fd/1'],
    ['stderr', '/proc/self/fd/2'],
  ] as const)
    await symlink(target, join(skeleton, 'dev', name));
  if (await isThere('/sys/devices/system/cpu')) await mount('/sys/devices/system/cpu', '/sys/devices/system/cpu', 'ro');
  for (const path of content.visible) await mount(await realpath(path), path, 'ro');
  for (const [source, target] of [
    [content.layerDir, '/opt'],
    [content.codeDir, '/var/task'],
  ] as const)
    await (content.ownsFiles || (await othersMayEnter(source))
      ? mount(await realpath(source), target, 'ro')
      : mountEntries(source, target, skeleton, folder, mount));
  await mount(content.tmpDir, '/tmp', 'rw');
  mounts.push({ source: undefined, target: '/proc', kind: 'proc' });
  return { skeleton, mounts };
}

/**
 * A /lib (or /lib64) of links: to everything in the host's, which its own programs need, and to the other architecture's
 * loader and libraries, which are somewhere below /usr.
 */
async function showForeign(
  { loader, folder: libraries }: NonNullable<RootContent['foreign']>,
  skeleton: string,
  folder: MakeFolder,
): Promise<void> {
  const place = dirname(loader);
  const own = await realpath(place).catch(() => undefined);
  if (own !== undefined && !own.startsWith('/usr/')) throw new Error(`${place} is no link into /usr on this machine`);
  await folder(place);
  const names = own === undefined ? [] : await readdir(own);
  for (const name of names) await symlink(join(own ?? '', name), join(skeleton, place, name));
  for (const name of await readdir(libraries)) {
    if (!/\.so(\.|$)/.test(name) || names.includes(name)) continue;
    await symlink(join(libraries, name), join(skeleton, place, name));
  }
}

type MakeFolder = (path: string) => Promise<void>;
type AddMount = (source: string, target: string, kind: Mount['kind']) => Promise<void>;

async function othersMayEnter(folder: string): Promise<boolean> {
  return ((await lstat(await realpath(folder))).mode & 0o005) === 0o005;
}

/**
 * A top folder that others may not enter (every `mkdtemp`) would lock the function's user out, although on Lambda that
 * folder is Lambda's own. So its entries are shown one by one in a folder of ours.
 */
async function mountEntries(
  source: string,
  target: string,
  skeleton: string,
  folder: MakeFolder,
  mount: AddMount,
): Promise<void> {
  await folder(target);
  for (const entry of await readdir(source, { withFileTypes: true })) {
    const from = join(source, entry.name);
    const to = join(target, entry.name);
    if (entry.isSymbolicLink()) await symlink(await readlink(from), join(skeleton, to));
    else if (entry.isDirectory() || entry.isFile()) await mount(from, to, 'ro');
  }
}

/** An /etc of our own: what name resolution, the loader and TLS need, and no file of the host beyond that. */
async function writeEtc(skeleton: string, folder: MakeFolder, mount: AddMount): Promise<void> {
  await folder('/etc/pki/tls/certs');
  const etc = (name: string): string => join(skeleton, 'etc', name);
  const { uid, gid } = lambdaUser;
  const files: Record<string, string> = {
    passwd: `root:x:0:0:root:/root:/bin/bash\nsbx_user1051:x:${uid}:${gid}::/home/sbx_user1051:/sbin/nologin\n`,
    group: `root:x:0:\nsbx_user1051:x:${gid}:\n`,
    // Only modules that are in glibc itself: the host's own list may name some that need more of the host.
    'nsswitch.conf':
      'passwd: files\ngroup: files\nhosts: files dns\nnetworks: files\nprotocols: files\nservices: files\n',
  };
  for (const [name, text] of Object.entries(files)) await writeFile(etc(name), text, { mode: 0o644 });
  for (const name of [
    'hosts',
    'host.conf',
    'resolv.conf',
    'protocols',
    'services',
    'ld.so.cache',
    'ld.so.conf',
    'os-release',
  ]) {
    const source = await realpath(`/etc/${name}`).catch(() => undefined);
    if (source === undefined) continue;
    await copyFile(source, etc(name)).catch(() => {});
    await chmod(etc(name), 0o644).catch(() => {});
  }
  await symlink('../usr/share/zoneinfo/UTC', etc('localtime'));
  for (const name of ['ssl', 'alternatives', 'ld.so.conf.d', 'crypto-policies'])
    if (await isThere(`/etc/${name}`)) await mount(await realpath(`/etc/${name}`), `/etc/${name}`, 'ro');
  // AL2023 keeps its CA bundle under /etc/pki, and OpenSSL builds for Lambda look there; Debian keeps it elsewhere.
  if (await isThere('/etc/pki/tls/certs/ca-bundle.crt')) await mount(await realpath('/etc/pki'), '/etc/pki', 'ro');
  else if (await isThere('/etc/ssl/certs/ca-certificates.crt')) {
    await symlink('/etc/ssl/certs/ca-certificates.crt', etc('pki/tls/certs/ca-bundle.crt'));
    await symlink('certs/ca-bundle.crt', etc('pki/tls/cert.pem'));
  }
}

/** A fresh /tmp for a function, on the host. */
export async function makeTmp(path: string, asRoot: boolean): Promise<void> {
  await mkdir(path, { recursive: true });
  if (asRoot) await chown(path, lambdaUser.uid, lambdaUser.gid);
  await chmod(path, 0o1777);
}

/** The mounts as an fstab for `mount --all`: one process for all of them. `mountinfo` is /proc/self/mountinfo. */
export function renderFstab({ skeleton, mounts }: PrivateRoot, mountinfo: string): string {
  const line = (source: string, target: string, type: string, options: string): string =>
    `${escaped(source)} ${escaped(target)} ${type} ${options} 0 0`;
  // A user namespace may not drop the host's own restrictions in a remount (mount_namespaces(7)), so repeat noexec.
  const noexec = (source: string): string => (optionsOf(source, mountinfo).includes('noexec') ? ',noexec' : '');
  return [
    line(skeleton, skeleton, 'none', `bind,ro,nosuid,nodev${noexec(skeleton)}`),
    ...mounts.map(({ source, target, kind }) => {
      const at = join(skeleton, target);
      if (source === undefined) return line('proc', at, 'proc', 'nosuid,nodev,noexec');
      if (kind === 'device') return line(source, at, 'none', 'bind');
      const access = kind === 'ro' ? 'rbind,ro' : 'bind';
      return line(source, at, 'none', `${access},nosuid,nodev${noexec(source)}`);
    }),
    '',
  ].join('\n');
}

/** The mounts as arguments of bubblewrap. */
export function renderBubblewrap({ skeleton, mounts }: PrivateRoot): string[] {
  return [
    ...['--ro-bind', skeleton, '/'],
    ...mounts.flatMap(({ source, target, kind }) => {
      if (source === undefined) return ['--proc', target];
      return [{ ro: '--ro-bind', rw: '--bind', device: '--dev-bind', proc: '--proc' }[kind], source, target];
    }),
  ];
}

/** fstab(5): blanks and backslashes are written as octal. */
function escaped(path: string): string {
  return path.replace(/[\s\\#]/g, (char) => `\\${char.charCodeAt(0).toString(8).padStart(3, '0')}`);
}

/** Per-mount options of the mount that holds `path` (proc(5), mountinfo fields 5 and 6). */
function optionsOf(path: string, mountinfo: string): string[] {
  let best = '';
  let options: string[] = [];
  for (const line of mountinfo.split('\n')) {
    const [, , , , point, flags] = line.split(' ');
    if (point === undefined || flags === undefined) continue;
    const at = point.replace(/\\(\d{3})/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 8)));
    const holds = at === '/' || path === at || path.startsWith(`${at}/`);
    if (holds && at.length >= best.length) [best, options] = [at, flags.split(',')];
  }
  return options;
}

function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
