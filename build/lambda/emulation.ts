// How this machine runs programs of Lambda's other architecture: qemu in user mode, a glibc of that architecture for it
// to start them with, and the kernel's binfmt_misc, which makes `execve` find it, so that also what a function's children
// execute is run. Looks only; the sandbox sets it up, for itself alone.
//
// Documentation/admin-guide/binfmt-misc.rst; since Linux 6.7 each user namespace can have handlers of its own.
import { access, constants, readdir, readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { execa } from 'execa';
import type { Context } from '../lib/context.ts';
import { MakeRuntimeError } from '../lib/errors.ts';
import { emulatedLibraries, emulationPackages, emulators } from '../recipe/cross.ts';
import type { Arch } from '../recipe/model.ts';

export interface Emulation {
  readonly arch: Arch;
  /** "qemu-aarch64 7.2.22" */
  readonly name: string;
  /** The line that registers a handler; undefined where the machine has one already. */
  readonly handler: string | undefined;
  /** Where the dynamic loader is expected, and the folder with it and glibc; absent when it is there already. */
  readonly libraries: { readonly loader: string; readonly folder: string } | undefined;
}

/** ELF's e_machine, low byte; and the program interpreter that the ABI of each names. */
const abi: Readonly<Record<Arch, { readonly machine: string; readonly loader: string }>> = {
  x86_64: { machine: '3e', loader: '/lib64/ld-linux-x86-64.so.2' },
  arm64: { machine: 'b7', loader: '/lib/ld-linux-aarch64.so.1' },
};

const handlers = '/proc/sys/fs/binfmt_misc';

/** This machine's architecture, or undefined when it is none of Lambda's. */
export function machineArch(): Arch | undefined {
  return process.arch === 'arm64' ? 'arm64' : process.arch === 'x64' ? 'x86_64' : undefined;
}

/**
 * What runs programs of an architecture that is not this machine's.
 * @throws ARTIFACT_WRONG_ARCH when something for it is missing, which the error names
 */
export async function findEmulation(arch: Arch, { env }: Pick<Context, 'env'>): Promise<Emulation> {
  const own = machineArch() ?? process.arch;
  const folders = (env['PATH'] ?? '').split(':').filter((one) => one.startsWith('/'));
  const program = await firstOf(
    folders.flatMap((folder) => ['', '-static'].map((suffix) => join(folder, `${emulators[arch]}${suffix}`))),
  );
  const missing = (what: string): MakeRuntimeError =>
    new MakeRuntimeError(
      'ARTIFACT_WRONG_ARCH',
      `The artifact is for ${arch}, and this ${own} machine has no ${what}.`,
      {
        remedy: `Install it (Debian, Ubuntu: apt-get install ${emulationPackages(arch).join(' ')}), or use a machine with ${arch}.`,
      },
    );
  if (program === undefined) throw missing(`${emulators[arch]} to run it with`);
  const { loader } = abi[arch];
  const folder = emulatedLibraries(arch);
  const installed = await isThere(loader);
  if (!installed && !(await isThere(join(folder, loader.slice(dirname(loader).length + 1)))))
    throw missing(`glibc for ${arch} to start it with`);
  const { stdout } = await execa(program, ['--version'], { reject: false, extendEnv: false, stdin: 'ignore' });
  const version = /version ([\w.]+)/.exec(stdout)?.[1];
  return {
    arch,
    name: version === undefined ? emulators[arch] : `${emulators[arch]} ${version}`,
    handler: (await isHandled(arch)) ? undefined : handlerLine(arch, program),
    libraries: installed ? undefined : { loader, folder },
  };
}

/**
 * P: argv[0] stays what the caller said. F: the program is opened now, so that it need not be visible in the sandbox.
 * Matches ELF64, little-endian, any OS ABI, executables and shared objects (ET_EXEC 2, ET_DYN 3).
 */
function handlerLine(arch: Arch, program: string): string {
  const bytes = (hex: string): string => (hex.match(/../g) ?? []).map((byte) => `\\x${byte}`).join('');
  const magic = bytes(`7f454c46020101000000000000000000${'0200'}${abi[arch].machine}00`);
  const mask = bytes(`ffffffffffffff00ffffffffffffffff${'feff'}ffff`);
  return `:make-runtime-${arch}:M::${magic}:${mask}:${program}:PF`;
}

/** Whether the machine's administrator has a handler that also works in another root. */
async function isHandled(arch: Arch): Promise<boolean> {
  for (const name of await readdir(handlers).catch(() => [])) {
    if (name === 'register' || name === 'status') continue;
    const text = await readFile(join(handlers, name), 'latin1').catch(() => '');
    const magic = /^magic ([0-9a-f]+)$/m.exec(text)?.[1] ?? '';
    const isOpen = /^flags: .*F/m.test(text);
    if (
      text.startsWith('enabled') &&
      isOpen &&
      magic.startsWith('7f454c4602') &&
      magic.slice(36, 38) === abi[arch].machine
    )
      return true;
  }
  return false;
}

async function firstOf(paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths) {
    const found = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found && (await stat(path)).isFile()) return path;
  }
  return undefined;
}

function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
