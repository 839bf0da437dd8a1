// Whether Lambda can start the layer at all and users can read it: bootstrap, links, modes, places, sizes; and what the
// zip as such promises. Nothing is run, and file contents matter only for a script's first line.
import { maxDirectUploadBytes, maxUnpackedBytes } from '../package/layout.ts';
import { zipChunks } from '../package/zip.ts';
import { deflate } from '../recipe/plan.ts';
import { followLinks, resolvePath, sizesByFolder, treeSize } from '../tree/tree.ts';
import { type Subject, sha256Of } from './subject.ts';
import { count, type Finding, firstFew } from './verdict.ts';

export async function layoutChecks(subject: Subject): Promise<Finding[]> {
  return [...(await bootstrap(subject)), ...links(subject), ...places(subject), ...sizes(subject)];
}

async function bootstrap({ tree, bootstrap: path, elves }: Subject): Promise<Finding[]> {
  const check = 'layout.bootstrap';
  const fail = (message: string, remedy: string): Finding[] => [{ check, level: 'fail', message, remedy }];
  const entry = tree.entries.get('bootstrap');
  if (!entry) {
    const elsewhere = [...tree.entries.keys()].find((other) => other.endsWith('/bootstrap'));
    const hint = elsewhere === undefined ? '' : ` (there is one at ${elsewhere})`;
    return fail(
      `There is no file named bootstrap at the root${hint}, so Lambda answers Runtime.InvalidEntrypoint.`,
      'Put an executable named bootstrap at the root of the zip, without a folder around it.',
    );
  }
  const file = path === undefined ? undefined : tree.entries.get(path);
  if (path === undefined || file?.kind !== 'file') {
    const target = entry.kind === 'link' ? entry.target : '?';
    return fail(
      `bootstrap is a link to ${target}, where nothing is.`,
      'Link it to a file of the layer, relative or below /opt.',
    );
  }
  const what = entry.kind === 'link' ? `bootstrap (a link to ${path})` : 'bootstrap';
  if (file.mode !== 0o755) {
    return fail(
      `${what} is not executable, so Lambda answers Runtime.InvalidEntrypoint.`,
      'chmod 755 it before packing.',
    );
  }
  if (elves.has(path)) return [{ check, level: 'pass', message: `${what} is an executable program.` }];
  const firstLine =
    Buffer.from((await file.read()).subarray(0, 256))
      .toString('latin1')
      .split('\n')[0] ?? '';
  if (!firstLine.startsWith('#!'))
    return fail(`${what} is neither a program nor a script with a #! line.`, 'Start it with #!/bin/sh.');
  if (firstLine.endsWith('\r'))
    return fail(`${what} has Windows line endings, so its #! line names no program.`, 'Save it with LF endings.');
  const program = firstLine.slice(2).trim().split(/\s+/)[0] ?? '';
  if (program.startsWith('/opt/') && resolvePath(tree, program.slice('/opt/'.length)) === undefined) {
    return fail(
      `${what} is a script for ${program}, which is not in the layer.`,
      'Name a program of the layer or of Lambda.',
    );
  }
  return [{ check, level: 'pass', message: `${what} is a script for ${program}.` }];
}

function links({ tree }: Subject): Finding[] {
  const check = 'layout.links';
  const folders = new Set<string>();
  for (const path of tree.entries.keys()) {
    const segments = path.split('/');
    for (let depth = 1; depth < segments.length; depth++) folders.add(segments.slice(0, depth).join('/'));
  }
  const dangling: string[] = [];
  let total = 0;
  for (const [path, entry] of tree.entries) {
    if (entry.kind !== 'link') continue;
    total += 1;
    // Absolute targets outside /opt are the system's and cannot be judged from here.
    if (entry.target.startsWith('/') && !entry.target.startsWith('/opt/')) continue;
    const target = followLinks(tree, path);
    if (target === undefined || !(tree.entries.has(target) || folders.has(target))) {
      dangling.push(`${path} -> ${entry.target}`);
    }
  }
  if (dangling.length > 0) {
    return [
      {
        check,
        level: 'warn',
        message: `Links lead nowhere: ${firstFew(dangling)}.`,
        remedy: 'Remove them with a prune rule.',
      },
    ];
  }
  return [
    {
      check,
      level: 'pass',
      message: total === 0 ? 'There are no links.' : `${count(total, 'link')} lead to files of the layer.`,
    },
  ];
}

/** What has a meaning at the root of /opt. Everything else is only reached by those who know of it. */
const expectedPlaces: Readonly<Record<string, string>> = {
  bootstrap: 'what Lambda starts',
  bin: 'on PATH',
  lib: 'on LD_LIBRARY_PATH',
  python: 'on sys.path of Python runtimes',
  extensions: 'where Lambda looks for extensions',
  lang: 'the interpreter of make-runtime',
};

function places({ tree }: Subject): Finding[] {
  const check = 'layout.places';
  const odd = [...new Set([...tree.entries.keys()].map((path) => path.split('/')[0] ?? ''))].filter(
    (top) => !(top in expectedPlaces),
  );
  if (odd.length > 0) {
    return [
      {
        check,
        level: 'warn',
        message: `At the root of /opt are names that nothing looks for: ${firstFew(odd)}.`,
        remedy: `Expected there: ${Object.keys(expectedPlaces).join(', ')}.`,
      },
    ];
  }
  return [{ check, level: 'pass', message: 'Everything is where Lambda or Python looks for it.' }];
}

function sizes({ tree, zip }: Subject): Finding[] {
  const check = 'layout.size';
  const { bytes, files } = treeSize(tree);
  const findings: Finding[] = [];
  if (bytes > maxUnpackedBytes) {
    const biggest = sizesByFolder(tree, 4).map(({ folder, bytes: weight }) => `${folder} (${megabytes(weight)})`);
    findings.push({
      check,
      level: 'fail',
      message: `It unpacks to ${bytes.toLocaleString('en-US')} bytes, over Lambda's ${maxUnpackedBytes.toLocaleString('en-US')}; the biggest folders: ${firstFew(biggest, 4)}.`,
      remedy: 'Prune it, or use a container image.',
    });
  }
  if (zip && zip.size > maxDirectUploadBytes) {
    findings.push({
      check,
      level: 'warn',
      message: `The zip has ${megabytes(zip.size)}; above 50 MB it has to be published through S3.`,
    });
  }
  if (findings.length > 0) return findings;
  const packed = zip ? `${megabytes(zip.size)} packed, ` : '';
  return [{ check, level: 'pass', message: `${packed}${megabytes(bytes)} unpacked, ${count(files, 'file')}.` }];
}

/** Megabytes as people say them: 1,000,000 bytes. */
export function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

/** The zip itself. Names, duplicates and overlaps need no check here: unzip.ts does not open such an archive. */
export async function zipChecks(subject: Subject, signal?: AbortSignal): Promise<Finding[]> {
  const { zip } = subject;
  if (!zip) return [];
  const modeless = zip.members.filter(({ mode }) => mode === undefined).map(({ path }) => path);
  // Functions run as an unprivileged user that owns none of the files (runtime-api.md 5.4).
  const unreadable = zip.members
    .filter(
      ({ mode, kind }) => mode !== undefined && kind !== 'link' && (mode & needed(mode, kind)) !== needed(mode, kind),
    )
    .map(({ path, mode = 0 }) => `${path} (${(mode & 0o777).toString(8).padStart(4, '0')})`);
  const findings: Finding[] = [];
  if (modeless.length > 0) {
    findings.push({
      check: 'zip.modes',
      level: 'fail',
      message: `${count(modeless.length, 'member')} of the zip without a Unix mode, and so not executable: ${firstFew(modeless, 3)}.`,
      remedy: 'Pack it on Linux or macOS, or with a tool that writes modes.',
    });
  }
  if (unreadable.length > 0) {
    findings.push({
      check: 'zip.modes',
      level: 'fail',
      message: `Functions cannot read ${firstFew(unreadable, 3)}.`,
      remedy: 'Give files 0644 or 0755 and folders 0755 before packing.',
    });
  }
  if (findings.length === 0) {
    findings.push({
      check: 'zip.modes',
      level: 'pass',
      message: 'Every member has a mode that lets functions read it.',
    });
  }
  return [...findings, ...dates(zip.members.map(({ date }) => date)), ...(await repack(subject, signal))];
}

function needed(mode: number, kind: string): number {
  return kind === 'folder' || mode & 0o111 ? 0o005 : 0o004;
}

function dates(all: readonly string[]): Finding[] {
  const check = 'zip.dates';
  const different = [...new Set(all)].sort();
  const [first, last] = [different[0], different.at(-1)];
  if (different.length <= 1) return [{ check, level: 'pass', message: `Every date is ${first}.` }];
  return [{ check, level: 'note', message: `Dates vary (${first} to ${last}): packing it again gives another hash.` }];
}

/** Packs the layer's own content again: the hash must come out the same, or the artifact is not a function of it. */
async function repack({ zip, tree, source, record }: Subject, signal: AbortSignal | undefined): Promise<Finding[]> {
  const check = 'zip.determinism';
  if (!zip || source === undefined) return [];
  if (!record) {
    return [{ check, level: 'note', message: 'Not packed again: it was not made by make-runtime.' }];
  }
  if (record.plan.deflate !== deflate) {
    const message = `Not packed again: it was compressed with ${record.plan.deflate}, and this version has ${deflate}.`;
    return [{ check, level: 'note', message }];
  }
  const expected = await sha256Of(source);
  const received = await sha256Of(zipChunks(tree, signal));
  if (received === expected) {
    return [{ check, level: 'pass', message: `Packed again it has the same sha256, ${expected.slice(0, 12)}…` }];
  }
  return [
    {
      check,
      level: 'fail',
      message: `Packed again it has the sha256 ${received}, not ${expected}.`,
      remedy: 'The zip was changed after it was built, or written by another tool: build it again.',
    },
  ];
}
