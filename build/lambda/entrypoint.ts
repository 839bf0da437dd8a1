// Which file Lambda would start, and whether it could: `bootstrap` of the function, then of the layers. Looks at files
// only; starts nothing. Real Lambda says Runtime.InvalidEntrypoint at the first invocation; here it is known before.
import { lstat, open, readlink } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { MakeRuntimeError } from '../lib/errors.ts';
import type { Arch } from '../recipe/model.ts';
import { machineArch } from './emulation.ts';
import type { Places } from './function-env.ts';

export interface Folders {
  readonly codeDir: string;
  readonly layerDir: string;
}

/** ELF e_machine (elf.h). */
const machines: Readonly<Record<Arch, number>> = { x86_64: 62, arm64: 183 };

/** The architecture that the bootstrap is for; undefined for a script, for one that is missing and for any other. */
export async function entrypointArch(folders: Folders): Promise<Arch | undefined> {
  for (const folder of [folders.codeDir, folders.layerDir]) {
    const file = await follow(join(folder, 'bootstrap'), folders);
    if (file === undefined) continue;
    const head = await headOf(file);
    if (head.toString('latin1', 0, 4) !== '\x7fELF') return undefined;
    const machine = head.readUInt16LE(18);
    return (Object.keys(machines) as Arch[]).find((arch) => machines[arch] === machine);
  }
  return undefined;
}

/**
 * Path of the bootstrap inside the sandbox.
 * @param runs what the sandbox runs programs of
 * Throws ARTIFACT_NOT_A_LAYER when there is none that can be executed and ARTIFACT_WRONG_ARCH when it is for another
 * processor.
 */
export async function findEntrypoint(
  folders: Folders,
  places: Places,
  runs: Arch | undefined = machineArch(),
): Promise<string> {
  for (const [folder, inside] of [
    [folders.codeDir, places.taskRoot],
    [folders.layerDir, places.layerRoot],
  ] as const) {
    const file = await follow(join(folder, 'bootstrap'), folders);
    if (file === undefined) continue;
    await requireExecutable(file, runs);
    return `${inside}/bootstrap`;
  }
  throw new MakeRuntimeError('ARTIFACT_NOT_A_LAYER', 'Neither the layer nor the function has a file named bootstrap.', {
    remedy:
      'Use a layer made by `make-runtime build`, or put an executable named bootstrap at the top of the function.',
  });
}

/** Follows symbolic links as the sandbox will see them: /opt and /var/task are our folders there. */
async function follow(path: string, { codeDir, layerDir }: Folders): Promise<string | undefined> {
  let at = path;
  for (let links = 0; links < 40; links += 1) {
    const found = await lstat(at).catch(() => undefined);
    if (found?.isSymbolicLink()) {
      const target = await readlink(at);
      at = resolve(dirname(at), target);
      if (target.startsWith('/opt/')) at = join(layerDir, target.slice('/opt/'.length));
      if (target.startsWith('/var/task/')) at = join(codeDir, target.slice('/var/task/'.length));
    } else return found?.isFile() ? at : undefined;
  }
  return undefined;
}

async function headOf(file: string): Promise<Buffer> {
  const handle = await open(file);
  const head = Buffer.alloc(20);
  await handle.read(head, 0, 20, 0).finally(() => handle.close());
  return head;
}

async function requireExecutable(file: string, runs: Arch | undefined): Promise<void> {
  const { mode } = await lstat(file);
  if ((mode & 0o111) !== 0o111)
    throw new MakeRuntimeError('ARTIFACT_NOT_A_LAYER', `The bootstrap (${file}) is not executable.`, {
      remedy: 'Give it mode 755 before packing; Lambda keeps the modes of the zip.',
    });
  const head = await headOf(file);
  if (head.toString('latin1', 0, 2) === '#!') return;
  if (head.toString('latin1', 0, 4) !== '\x7fELF')
    throw new MakeRuntimeError(
      'ARTIFACT_NOT_A_LAYER',
      `The bootstrap (${file}) is neither a program nor a script with #!.`,
      {
        remedy: 'Lambda executes it without a shell: begin a script with a #! line.',
      },
    );
  const machine = head.readUInt16LE(18);
  if (runs === undefined || machine !== machines[runs]) {
    const name = (Object.keys(machines) as Arch[]).find((arch) => machines[arch] === machine);
    throw new MakeRuntimeError(
      'ARTIFACT_WRONG_ARCH',
      `The bootstrap is for ${name ?? `ELF machine ${machine}`}; this machine is ${machineArch() ?? process.arch}.`,
      {
        remedy: 'Invoke it on a machine of that architecture, or build the layer for this one with --arch.',
      },
    );
  }
}
