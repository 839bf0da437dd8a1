// What the ELF files of a layer ask for, against what Lambda gives: machine, libraries, glibc, stack, relocations.
// Judges files without running them, so it works for any architecture on any machine.
import { compareVersions, type Elf, ElfError, glibcNumber } from '../tree/elf.ts';
import { resolvePath, type Tree } from '../tree/tree.ts';
import { allowedLibraries, type Inventory, lambdaGlibc, loaders, whereabouts } from './libraries.ts';
import type { Subject } from './subject.ts';
import { count, type Finding, firstFew } from './verdict.ts';

type Files = readonly (readonly [path: string, elf: Elf])[];

/** @param inventory the libraries of the image for the subject's architecture. */
export function elfChecks(subject: Subject, inventory: Inventory): Finding[] {
  const files = [...subject.elves].flatMap(([path, elf]) => (elf instanceof ElfError ? [] : [[path, elf] as const]));
  return [
    ...machine(subject),
    // What a file for another machine needs says nothing about this layer.
    ...[libraries, glibc, stack, textRelocations, searchPaths].flatMap((check) =>
      check(
        files.filter(([, elf]) => elf.arch === subject.arch),
        subject,
        inventory,
      ),
    ),
  ];
}

const noElf = (check: string): Finding => ({ check, level: 'note', message: 'The layer has no ELF file to look at.' });

/** e_machine numbers people meet, for messages. */
const machineNames: Readonly<Record<number, string>> = { 3: 'x86 (32-bit)', 40: 'ARM (32-bit)', 243: 'RISC-V' };

function machine({ elves, arch, name }: Subject): Finding[] {
  const check = 'elf.machine';
  if (elves.size === 0) return [noElf(check)];
  const findings: Finding[] = [];
  for (const [path, elf] of elves) {
    if (elf instanceof ElfError) {
      findings.push({
        check,
        level: 'fail',
        message: `${path} is an ELF file that Lambda cannot load: ${elf.message}.`,
      });
    }
  }
  const wrong = [...elves].flatMap(([path, elf]) =>
    elf instanceof ElfError || elf.arch === arch ? [] : [{ path, elf }],
  );
  const first = wrong[0];
  if (first) {
    const is = first.elf.arch ?? machineNames[first.elf.machine] ?? `machine number ${first.elf.machine}`;
    const more = wrong.length > 1 ? `, and so are ${wrong.length - 1} more of ${elves.size} ELF files` : '';
    findings.push({
      check,
      level: 'fail',
      code: 'ARTIFACT_WRONG_ARCH',
      message: `${first.path} is for ${is}${more}, but the layer is for ${arch ?? 'neither x86_64 nor arm64'}.`,
      remedy: `Build ${name} on (or for) that architecture, or give the function the architecture of the layer.`,
    });
  }
  if (findings.length > 0) return findings;
  return [{ check, level: 'pass', message: `${count(elves.size, 'ELF file')} for ${arch}.` }];
}

function libraries(files: Files, { tree, arch }: Subject, inventory: Inventory): Finding[] {
  const check = 'elf.libraries';
  if (files.length === 0) return [];
  const allowed = new Map(allowedLibraries.map((library) => [library.name, library]));
  const provided = providedBy(tree, files);
  const problems = new Map<string, { files: string[]; text: string }>();
  const noted = new Map<string, string[]>();
  for (const [path, elf] of files) {
    if (elf.interpreter !== undefined && arch !== undefined && elf.interpreter !== loaders[arch]) {
      problems.set(`${path} loader`, { files: [path], text: `the loader ${elf.interpreter}, which is not glibc's` });
    }
    for (const library of elf.needed) {
      const entry = allowed.get(library);
      if (entry?.noteworthy) noted.set(library, [...(noted.get(library) ?? []), path]);
      if (entry || isBundled(library, path, elf, tree, inventory)) continue;
      const lost = provided.get(library);
      const where = lost
        ? `which is in the layer at ${lost}, where the loader does not look or the system's comes first`
        : '';
      const problem = problems.get(library) ?? {
        files: [],
        text: `${library}, ${where || whereabouts(library, inventory)}`,
      };
      problem.files.push(path);
      problems.set(library, problem);
    }
  }
  const failures = [...problems.values()].map(
    ({ files: needing, text }): Finding => ({
      check,
      level: 'fail',
      message: `${firstFew(needing, 2)} ${needing.length > 1 ? 'need' : 'needs'} ${text}.`,
      remedy: 'Link it statically, or put it into the layer and reach it through DT_RPATH with $ORIGIN.',
    }),
  );
  const notes = [...noted].map(
    ([library, needing]): Finding => ({
      check,
      level: 'note',
      message: `${firstFew(needing, 2)} ${needing.length > 1 ? 'need' : 'needs'} ${library}: ${allowed.get(library)?.reason}.`,
    }),
  );
  if (failures.length > 0) return [...failures, ...notes];
  const all = [...new Set(files.flatMap(([, elf]) => elf.needed))].sort();
  const needs =
    all.length === 0 ? 'No shared library is needed' : `Only allowed libraries are needed: ${firstFew(all, 8)}`;
  return [{ check, level: 'pass', message: `${needs}.` }, ...notes];
}

/** Libraries in the layer, by the name others ask for them. */
function providedBy(tree: Tree, files: Files): Map<string, string> {
  const provided = new Map<string, string>();
  for (const [path, elf] of files) if (elf.soname !== undefined) provided.set(elf.soname, path);
  for (const path of tree.entries.keys()) if (path.includes('.so')) provided.set(path.split('/').at(-1)!, path);
  return provided;
}

/**
 * Whether the loader finds the library in the layer. Order of ld.so(8): DT_RPATH (ignored beside DT_RUNPATH),
 * LD_LIBRARY_PATH (on Lambda /lib64 first, /opt/lib last), DT_RUNPATH.
 */
function isBundled(library: string, path: string, elf: Elf, tree: Tree, inventory: Inventory): boolean {
  const origin = path.split('/').slice(0, -1).join('/');
  const inFolder = (folder: string): boolean => {
    const place = folder.replace(/\$ORIGIN|\$\{ORIGIN\}/, `/opt/${origin}`);
    if (!place.startsWith('/opt/')) return false;
    return resolvePath(tree, `${place.slice('/opt/'.length)}/${library}`) !== undefined;
  };
  if (elf.runpath.length === 0 && elf.rpath.some(inFolder)) return true;
  if (inventory.has(library)) return false;
  return inFolder('/opt/lib') || elf.runpath.some(inFolder);
}

/**
 * Versions without a number are promises about the loader itself. DT_RELR came with glibc 2.36 (its NEWS);
 * GLIBC_PRIVATE is whatever exactly this build of glibc has.
 */
function tooNew(version: string): boolean {
  const number = glibcNumber(version);
  return number ? compareVersions(number, lambdaGlibc) > 0 : /^GLIBC_(ABI_|PRIVATE)/.test(version);
}

function glibc(files: Files): Finding[] {
  const check = 'elf.glibc';
  if (files.length === 0) return [];
  const lambda = lambdaGlibc.join('.');
  const findings = files.flatMap(([path, elf]): Finding[] => {
    const versions = elf.versionNeeds.flatMap((need) =>
      need.versions.filter(tooNew).map((version) => ({ ...need, version })),
    );
    const first = versions[0];
    if (!first) return [];
    const symbols = elf.versionedSymbols.filter(({ version }) => tooNew(version));
    const named = symbols.length > 0 ? symbols.map(({ symbol, version }) => `${symbol}@${version}`) : [first.version];
    return [
      {
        check,
        level: 'fail',
        code: 'ARTIFACT_GLIBC_TOO_NEW',
        message: `${path} needs ${firstFew(named)} from ${first.library}; Lambda has glibc ${lambda}.`,
        remedy: `Build where glibc is ${lambda} or older, or bind the symbol to an older version at link time.`,
      },
    ];
  });
  if (findings.length > 0) return findings;
  const numbers = files.flatMap(([path, elf]) =>
    elf.versionNeeds.flatMap(({ versions }) =>
      versions.flatMap((version) => {
        const number = glibcNumber(version);
        return number ? [{ path, number }] : [];
      }),
    ),
  );
  const highest = numbers.sort((a, b) => compareVersions(a.number, b.number)).at(-1);
  const message = highest
    ? `The highest glibc version needed is ${highest.number.join('.')} (${highest.path}); Lambda has ${lambda}.`
    : 'No versioned symbol of glibc is needed.';
  return [{ check, level: 'pass', message }];
}

function stack(files: Files): Finding[] {
  const check = 'elf.stack';
  if (files.length === 0) return [];
  const loaded = files.filter(([, elf]) => elf.type === 'executable' || elf.type === 'shared');
  const bad = loaded.filter(([, elf]) => elf.stack !== 'plain').map(([path]) => path);
  if (bad.length === 0) return [{ check, level: 'pass', message: 'No file asks for an executable stack.' }];
  return [
    {
      check,
      level: 'fail',
      message: `${firstFew(bad)} ${bad.length > 1 ? 'ask' : 'asks'} for an executable stack.`,
      remedy: 'Link with -Wl,-z,noexecstack; an assembler file without a .note.GNU-stack section is the usual cause.',
    },
  ];
}

function textRelocations(files: Files): Finding[] {
  const check = 'elf.textrel';
  if (files.length === 0) return [];
  const bad = files.filter(([, elf]) => elf.textRelocations).map(([path]) => path);
  if (bad.length === 0) return [{ check, level: 'pass', message: 'No file has relocations in its code.' }];
  return [
    {
      check,
      level: 'fail',
      message: `${firstFew(bad)} ${bad.length > 1 ? 'have' : 'has'} relocations in read-only code (DT_TEXTREL).`,
      remedy: 'Compile everything that goes into it with -fPIC, or link the program with -no-pie.',
    },
  ];
}

/** Where a search path may lead on Lambda; anything else is a folder of the machine that built it. */
const searchable = /^(\$ORIGIN|\$\{ORIGIN\}|\/opt|\/var\/(lang|runtime|task)|\/usr\/lib64|\/lib64)(\/|$)/;

function searchPaths(files: Files): Finding[] {
  const check = 'elf.rpath';
  if (files.length === 0) return [];
  const odd = files.flatMap(([path, elf]) =>
    [...elf.rpath, ...elf.runpath].filter((folder) => !searchable.test(folder)).map((folder) => `${folder} (${path})`),
  );
  if (odd.length === 0)
    return [{ check, level: 'pass', message: 'No library search path of the build machine is left.' }];
  return [
    {
      check,
      level: 'warn',
      message: `Library search paths lead to folders that Lambda does not have: ${firstFew(odd, 3)}.`,
      remedy: 'Link without -rpath, or with $ORIGIN: such a path also tells where the layer was built.',
    },
  ];
}
