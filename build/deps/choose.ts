// Which wheels: pip resolves and downloads for the target's Python, flavour and architecture, on this machine's
// python3. What pip cannot say in its own words, which packages have no wheel for the target and what they have instead,
// is read off its log. Refuses to know what becomes of the wheels; has no resolver of its own.
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import type { Context } from '../lib/context.ts';
import { MakeRuntimeError, throwIfCancelled } from '../lib/errors.ts';
import { zipBytes } from '../package/zip.ts';
import type { Plan } from '../recipe/model.ts';
import { digestFile } from '../source/cache.ts';
import { fileOf, makeTree } from '../tree/tree.ts';
import { pipEnvironment } from '../wheels/pip.ts';
import { environmentOf } from '../wheels/resolve.ts';
import { tags } from '../wheels/tags.ts';

export interface ChosenWheel {
  /** Normalised (PEP 503). */
  readonly name: string;
  readonly version: string;
  readonly path: string;
  readonly sha256: string;
}

/** A package that the target could have in this version, if there was a wheel of it. */
export interface MissingWheel {
  readonly name: string;
  readonly version: string;
  /** What there is of this version instead, in words: "wheels with the GIL". Empty: nothing that is of use. */
  readonly instead: readonly string[];
  /** Its source distribution, with the hash that the index gives for it. */
  readonly source: { readonly file: string; readonly link: string; readonly sha256?: string } | undefined;
}

export interface Choice {
  readonly wheels: readonly ChosenWheel[];
  /** Packages of which nothing fits; what needs them was resolved as if they were there. */
  readonly missing: readonly MissingWheel[];
  /** Releases newer than the chosen one, without a wheel for the target. */
  readonly passedOver: readonly { readonly name: string; readonly chosen: string; readonly newest: string }[];
}

export interface ChoiceRequest {
  /** Requirements files of pip. */
  readonly requirements: readonly string[];
  /** Folders of wheels that pip takes as well. Their hashes are in no requirements, so the caller checks the others'. */
  readonly wheels?: readonly string[];
  /** An empty folder that gets the wheels. */
  readonly folder: string;
  readonly plan: Plan;
  readonly pip: string;
}

/** More packages than anybody has that all lack wheels. */
const maxStandIns = 40;

/**
 * Resolves and downloads. When the requirements have hashes, pip refuses every other file, and so a package that is not
 * named.
 * @throws DEPS_UNAVAILABLE, DEPS_HASH_MISMATCH, USAGE for an unreadable file, CANCELLED
 */
export async function chooseWheels(request: ChoiceRequest, ctx: Context): Promise<Choice> {
  const standIns = new Map<string, readonly Skipped[]>();
  for (;;) {
    const folder = join(request.folder, `try-${standIns.size}`);
    await mkdir(folder, { recursive: true });
    const found = [...(request.wheels ?? []), ...[...standIns.keys()].map((name) => standInFolder(request, name))];
    const run = await download(request, folder, found, found.length > 0, ctx);
    if (run.ok) return inspectChoice(folder, run.skipped, standIns, request, ctx);
    const lacking = run.lacking === undefined ? undefined : normalise(run.lacking);
    const others = lacking === undefined ? [] : run.skipped.filter((one) => one.name === lacking && one.fits);
    if (lacking === undefined || others.length === 0 || standIns.has(lacking) || standIns.size >= maxStandIns)
      throw explain(run, request);
    standIns.set(lacking, others);
    await writeStandIns(standInFolder(request, lacking), others);
  }
}

function standInFolder({ folder }: ChoiceRequest, name: string): string {
  return join(folder, `stand-in-${name}`);
}

/** A file that pip has seen in an index and has not considered. */
interface Skipped {
  readonly name: string;
  readonly version: string;
  readonly file: string;
  /** Its address, with the hash behind "#" when the index gives one. */
  readonly link: string;
  /** It was only the platform or its being a source: with a wheel, this version could be chosen. */
  readonly fits: boolean;
}

interface PipRun {
  readonly ok: boolean;
  readonly started: boolean;
  readonly said: string;
  readonly skipped: readonly Skipped[];
  /** The package that pip found no file of. */
  readonly lacking: string | undefined;
}

// pip asks the machine it runs on for the values of markers, whatever --python-version says
// (https://github.com/pypa/pip/issues/11664): it gets the target's.
const program = `
import json, sys
from pip._vendor.packaging import markers
target = json.loads(sys.argv.pop(1))
markers.default_environment = lambda: dict(target)
from pip._internal.cli.main import main
sys.exit(main())
`;

async function download(
  { requirements, plan, pip }: ChoiceRequest,
  folder: string,
  wheels: readonly string[],
  withoutHashes: boolean,
  ctx: Context,
): Promise<PipRun> {
  ctx.report({ type: 'progress', stage: 'deps', text: 'resolving and fetching with pip' });
  const files = withoutHashes ? await stripHashes(requirements, folder) : requirements;
  const argv = [
    ...['-c', program, JSON.stringify(environmentOf({ ...plan.python, arch: plan.arch }))],
    ...['download', '-vv', '--only-binary=:all:', '--no-input', '--progress-bar=off'],
    ...['--disable-pip-version-check', '--dest', folder],
    ...files.flatMap((file) => ['--requirement', file]),
    ...wheels.flatMap((one) => ['--find-links', one]),
    ...tags(plan),
  ];
  const result = await execa('python3', argv, {
    extendEnv: false,
    env: { ...pipEnvironment(ctx.env), PYTHONPATH: pip, PYTHONDONTWRITEBYTECODE: '1' },
    reject: false,
    all: true,
    maxBuffer: 400_000_000,
    cancelSignal: ctx.signal,
    stdin: 'ignore',
  });
  throwIfCancelled(ctx.signal);
  const said = result.all ?? result.shortMessage ?? '';
  return {
    ok: !result.failed,
    started: result.exitCode !== undefined,
    said,
    skipped: skippedIn(said),
    lacking: /^\s*ERROR: No matching distribution found for ([A-Za-z0-9][A-Za-z0-9._-]*)/m.exec(said)?.[1],
  };
}

/** Only to look for all that is missing: what was downloaded so is never used. */
async function stripHashes(requirements: readonly string[], folder: string): Promise<string[]> {
  return Promise.all(
    requirements.map(async (file, index) => {
      const text = await readFile(file, 'utf8');
      const path = join(folder, `requirements-${index}.txt`);
      await writeFile(path, text.replaceAll(/\\\r?\n/g, ' ').replaceAll(/\s--hash[=\s]\S+/g, ''));
      return path;
    }),
  );
}

/** "Skipping link: <reason>: <address> (from <page>)", as package_finder.py logs it at -vv. */
export function skippedIn(log: string): Skipped[] {
  const found: Skipped[] = [];
  for (const [, reason = '', link = ''] of log.matchAll(/Skipping link: (.+?): ((?:https?|file):\S+)/g)) {
    const file = decodeURIComponent(link.replace(/#.*$/, '').split('/').at(-1) ?? '');
    const wheel = /^([^-]+)-([^-]+)-.+\.whl$/.exec(file);
    const source = /^(.+)-(\d[^-]*?)\.(?:tar\.(?:gz|bz2|xz)|tgz|zip)$/.exec(file);
    const [, name, version] = wheel ?? source ?? [];
    if (name === undefined || version === undefined) continue;
    const fits = /^(none of the wheel's tags|No sources permitted)/.test(reason);
    found.push({ name: normalise(name), version, file, link, fits });
  }
  return found;
}

export function normalise(name: string): string {
  return name.toLowerCase().replaceAll(/[-_.]+/g, '-');
}

/** Empty wheels that fit any target, one for each version there is: so that pip goes on to the next package. */
async function writeStandIns(folder: string, skipped: readonly Skipped[]): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const { name, version } of new Map(skipped.map((one) => [one.version, one])).values()) {
    const module = name.replaceAll('-', '_');
    const info = `${module}-${version}.dist-info`;
    const bytes = await zipBytes(
      makeTree([
        [`${info}/METADATA`, fileOf(`Metadata-Version: 2.1\nName: ${name}\nVersion: ${version}\n`)],
        [
          `${info}/WHEEL`,
          fileOf('Wheel-Version: 1.0\nGenerator: make-runtime\nRoot-Is-Purelib: true\nTag: py3-none-any\n'),
        ],
        [`${info}/RECORD`, fileOf('')],
      ]),
    );
    await writeFile(join(folder, `${module}-${version}-py3-none-any.whl`), bytes);
  }
}

async function inspectChoice(
  folder: string,
  skipped: readonly Skipped[],
  standIns: ReadonlyMap<string, readonly Skipped[]>,
  { plan, pip }: ChoiceRequest,
  ctx: Context,
): Promise<Choice> {
  const wheels: ChosenWheel[] = [];
  const missing: MissingWheel[] = [];
  for (const file of (await readdir(folder)).filter((name) => name.endsWith('.whl')).sort()) {
    const [, written = '', version = '', abis = ''] = /^([^-]+)-([^-]+)-(?:\d[^-]*-)?[^-]+-([^-]+)-/.exec(file) ?? [];
    const name = normalise(written);
    const path = join(folder, file);
    const others = standIns.get(name);
    if (others !== undefined) missing.push({ name, version, ...instead(others, version, plan) });
    // The stable ABI of a build with the GIL (PEP 803 has one for both from 3.15 on, under another tag).
    else if (plan.python.executable.endsWith('t') && /^(abi3\.?)+$/.test(abis))
      missing.push({ name, version, instead: ['wheels for the stable ABI with the GIL'], source: undefined });
    else wheels.push({ name, version, path, sha256: (await digestFile(path, ctx.signal)).sha256 });
  }
  return { wheels, missing, passedOver: await newerOnes(wheels, skipped, pip, ctx) };
}

/** What there is of a version, as far as somebody who looks for a way out wants to know. */
function instead(
  others: readonly Skipped[],
  version: string,
  { python, arch }: Plan,
): Pick<MissingWheel, 'instead' | 'source'> {
  const machine = arch === 'arm64' ? 'aarch64' : 'x86_64';
  const own = others.filter((one) => one.version === version);
  const files = own.map(({ file }) => file);
  const linux = files.filter((file) => file.includes('linux') && file.includes(machine));
  const abi = python.executable.replace(/^python|\./g, '');
  const words: string[] = [];
  if (abi.endsWith('t') && linux.some((file) => file.includes(`-cp${abi.slice(0, -1)}-cp${abi.slice(0, -1)}-`)))
    words.push(`wheels for ${python.minor} with the GIL`);
  if (linux.some((file) => file.includes('-abi3-'))) words.push('wheels for the stable ABI with the GIL');
  if (linux.some((file) => file.includes(`-cp${abi}-`))) words.push('wheels for a newer glibc than 2.34, or musl');
  const sdist = own.find(({ file }) => !file.endsWith('.whl'));
  if (sdist === undefined) return { instead: words, source: undefined };
  const [link = '', fragment = ''] = sdist.link.split('#');
  const sha256 = /(?:^|&)sha256=([0-9a-f]{64})/.exec(fragment)?.[1];
  return { instead: [...words, 'its source'], source: { file: sdist.file, link, ...(sha256 && { sha256 }) } };
}

const newerProgram = `
import json, sys
from pip._vendor.packaging.version import InvalidVersion, Version
def read(text):
    try:
        return Version(text)
    except InvalidVersion:
        return None
found = []
for name, chosen, seen in json.load(sys.stdin):
    own = Version(chosen)
    newer = [v for v in map(read, seen) if v is not None and not v.is_prerelease and v > own]
    if newer:
        found.append({"name": name, "chosen": chosen, "newest": str(max(newer))})
print(json.dumps(found))
`;

async function newerOnes(
  wheels: readonly ChosenWheel[],
  skipped: readonly Skipped[],
  pip: string,
  ctx: Context,
): Promise<Choice['passedOver']> {
  const asked = wheels.flatMap(({ name, version }) => {
    const seen = new Set(skipped.flatMap((one) => (one.name === name && one.fits ? [one.version] : [])));
    seen.delete(version);
    return seen.size === 0 ? [] : [[name, version, [...seen]]];
  });
  if (asked.length === 0) return [];
  const { failed, stdout } = await execa('python3', ['-c', newerProgram], {
    extendEnv: false,
    env: { PATH: ctx.env['PATH'] ?? '', PYTHONPATH: pip, PYTHONDONTWRITEBYTECODE: '1' },
    input: JSON.stringify(asked),
    reject: false,
    cancelSignal: ctx.signal,
  });
  throwIfCancelled(ctx.signal);
  return failed ? [] : (JSON.parse(stdout) as Choice['passedOver']);
}

function explain({ said, started }: PipRun, { plan, requirements }: ChoiceRequest): MakeRuntimeError {
  const errors = said.split('\n').filter((line) => /^\s*(ERROR|Expected|Got)\b/.test(line));
  const detail = (errors.length > 0 ? errors : said.trim().split('\n').slice(-6)).map((line) => line.trim()).join('\n');
  if (/DO NOT MATCH THE HASHES/.test(said)) {
    return new MakeRuntimeError('DEPS_HASH_MISMATCH', 'A package is not the file that the requirements name.', {
      remedy: 'Find out why before touching the hashes: a release on PyPI never changes its files.',
      detail: said.slice(said.indexOf('THESE PACKAGES')).split('\n').slice(1, 6).join('\n').trim(),
    });
  }
  if (/Hashes are required in --require-hashes mode|must have their versions pinned/.test(said)) {
    return new MakeRuntimeError('DEPS_UNAVAILABLE', 'Some requirements have hashes, and some packages have none.', {
      remedy:
        'Pin all of them with their hashes, also what they need: `uv pip compile --generate-hashes`, or --lock FILE of this command on a file without hashes.',
      detail,
    });
  }
  if (/Could not open requirements file/.test(said)) {
    return new MakeRuntimeError('USAGE', `pip cannot read ${requirements.join(', ')}.`, {
      remedy: 'Give the path of a requirements file with -r.',
      detail,
    });
  }
  const abi = plan.python.executable.replace(/^python/, 'CPython ');
  return new MakeRuntimeError('DEPS_UNAVAILABLE', `pip finds no set of packages for ${abi} on ${plan.arch}.`, {
    remedy: started
      ? 'Check the names, the versions, the network and pip’s settings.'
      : 'Install python3: pip runs on it.',
    detail,
  });
}
