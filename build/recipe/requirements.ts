// Reads a requirements file as far as a plan can obey one: exact versions with hashes, nothing that means another place
// or another file. Knows the notation only (https://pip.pypa.io/en/stable/reference/requirements-file-format/).

/** One pinned package: "boto3", "1.43.2", and the sha256 of every file of it that may be used. */
export interface PinnedPackage {
  /** Normalised (PEP 503): lower case, hyphens. */
  readonly name: string;
  readonly version: string;
  /** Its optional parts, as in "name[part]". */
  readonly parts?: readonly string[];
  /** An environment marker (PEP 508): installed only where it is true. */
  readonly marker?: string;
  /** Hexadecimal, sorted. */
  readonly sha256: readonly string[];
}

/** What is wrong with one line. */
export interface RequirementProblem {
  readonly line: number;
  readonly message: string;
}

const shape =
  /^([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:\[([^\]]*)\])?\s*==\s*([A-Za-z0-9.!+_-]+)\s*(?:;\s*(.*))?$/;

/** @returns the packages sorted by name, and every line that cannot be obeyed */
export function parseRequirements(text: string): { packages: PinnedPackage[]; problems: RequirementProblem[] } {
  const packages = new Map<string, PinnedPackage>();
  const problems: RequirementProblem[] = [];
  for (const { line, words } of logicalLines(text)) {
    const complain = (message: string): void => void problems.push({ line, message });
    const hashes = [...words.matchAll(/\s--hash[=\s](\S+)/g)].map(([, hash = '']) => hash);
    const requirement = words.replaceAll(/\s--hash[=\s]\S+/g, '').trim();
    if (requirement.startsWith('-')) {
      complain(`options are not possible here, only packages: ${requirement.split(/[\s=]/)[0]}`);
      continue;
    }
    const match = shape.exec(requirement);
    if (!match) {
      complain(`"${requirement}" is not pinned to one version like name==1.2.3`);
      continue;
    }
    const [, written = '', parts, version = '', marker] = match;
    const sha256 = hashes.map((hash) => /^sha256:([0-9a-f]{64})$/.exec(hash)?.[1]);
    if (sha256.length === 0) complain(`${written} has no --hash=sha256:...`);
    else if (sha256.includes(undefined)) complain(`${written} has a --hash that is not sha256:<64 hexadecimal digits>`);
    const name = written.toLowerCase().replaceAll(/[-_.]+/g, '-');
    const key = `${name};${marker ?? ''}`;
    if (packages.has(key)) complain(`${name} is there twice`);
    packages.set(key, {
      name,
      version,
      ...(parts === undefined ? {} : { parts: parts.split(',').map((part) => part.trim()) }),
      ...(marker === undefined ? {} : { marker: marker.trim() }),
      sha256: sha256.flatMap((one) => one ?? []).sort(),
    });
  }
  const sorted = [...packages].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, one]) => one);
  return { packages: sorted, problems };
}

/** The packages as pip reads them, without markers: for those that apply. */
export function printRequirements(packages: readonly PinnedPackage[]): string {
  const rows = packages.map(({ name, version, sha256 }) =>
    [`${name}==${version}`, ...sha256.map((hash) => `--hash=sha256:${hash}`)].join(' '),
  );
  return `${rows.join('\n')}\n`;
}

/** Lines with continuations joined and comments gone, by the number of their first line. */
function logicalLines(text: string): { line: number; words: string }[] {
  const lines: { line: number; words: string }[] = [];
  let open: { line: number; words: string } | undefined;
  for (const [index, raw] of text.split(/\r?\n/).entries()) {
    const bare = raw.replace(/(^|\s)#.*$/, '').trimEnd();
    const words = bare.replace(/\\$/, '');
    if (open) open.words += ` ${words.trim()}`;
    else open = { line: index + 1, words: words.trim() };
    if (bare.endsWith('\\')) continue;
    if (open.words !== '') lines.push(open);
    open = undefined;
  }
  if (open && open.words !== '') lines.push(open);
  return lines;
}
