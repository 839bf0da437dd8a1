// Where in a TOML text a key stands, for error messages: validators know paths, people need lines.
// Not a parser: it is only asked about texts that smol-toml has accepted, so it may trust them.

/** "prune[1].patterns" -> line number (from 1), for every table header and key of a valid TOML text. */
export type Positions = ReadonlyMap<string, number>;

/** A path as people write it: prune[1].reason, flavor.jit */
export function printPath(path: readonly PropertyKey[]): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else text += text === '' ? String(part) : `.${String(part)}`;
  }
  return text;
}

/** The line of a path, or of the nearest enclosing key that has one. */
export function lineOf(positions: Positions, path: readonly PropertyKey[]): number | undefined {
  for (let length = path.length; length > 0; length--) {
    const line = positions.get(printPath(path.slice(0, length)));
    if (line !== undefined) return line;
  }
  return undefined;
}

export function findPositions(text: string): Positions {
  const positions = new Map<string, number>();
  const counts = new Map<string, number>();
  let table: PropertyKey[] = [];
  const note = (path: readonly PropertyKey[], line: number) => {
    // A dotted key or header also introduces the tables it goes through.
    for (let length = 1; length <= path.length; length++) {
      const key = printPath(path.slice(0, length));
      if (!positions.has(key)) positions.set(key, line);
    }
  };

  const lines = text.split('\n');
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i]!.trim();
    if (line === '' || line.startsWith('#')) continue;
    if (line.startsWith('[[')) {
      const keys = splitKey(line.slice(2));
      const at = resolve(keys.slice(0, -1), counts);
      const name = printPath([...at, keys.at(-1)!]);
      const index = counts.get(name) ?? 0;
      counts.set(name, index + 1);
      table = [...at, keys.at(-1)!, index];
      note(table, i + 1);
      continue;
    }
    if (line.startsWith('[')) {
      table = resolve(splitKey(line.slice(1)), counts);
      note(table, i + 1);
      continue;
    }
    const keys = splitKey(line);
    if (keys.length === 0) continue;
    note([...table, ...keys], i + 1);
    i += continuationLines(lines, i, afterKey(lines[i]!));
  }
  return positions;
}

/** [prune.x] after [[prune]] means the last prune. */
function resolve(keys: readonly string[], counts: ReadonlyMap<string, number>): PropertyKey[] {
  const path: PropertyKey[] = [];
  for (const key of keys) {
    path.push(key);
    const count = counts.get(printPath(path));
    if (count !== undefined) path.push(count - 1);
  }
  return path;
}

/** The parts of the (dotted, perhaps quoted) key at the start of a text. */
function splitKey(text: string): string[] {
  const keys: string[] = [];
  let rest = text.trimStart();
  for (;;) {
    const match = /^(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([A-Za-z0-9_-]+))\s*/.exec(rest);
    if (!match) return keys;
    keys.push(match[1] ?? match[2] ?? match[3]!);
    rest = rest.slice(match[0].length);
    if (!rest.startsWith('.')) return keys;
    rest = rest.slice(1).trimStart();
  }
}

function afterKey(line: string): number {
  const match = /^\s*(?:"(?:[^"\\]|\\.)*"|'[^']*'|[A-Za-z0-9_.\s-])+=/.exec(line);
  return match ? match[0].length : 0;
}

/** How many further lines the value that starts at lines[from][column] takes. */
function continuationLines(lines: readonly string[], from: number, column: number): number {
  let depth = 0;
  let quote = '';
  for (let i = from; i < lines.length; i++) {
    const line = lines[i]!;
    for (let at = i === from ? column : 0; at < line.length; at++) {
      if (quote !== '') {
        if (quote.startsWith('"') && line[at] === '\\') at++;
        else if (line.startsWith(quote, at)) {
          at += quote.length - 1;
          quote = '';
        }
        continue;
      }
      const character = line[at]!;
      if (character === '#') break;
      if (character === '"' || character === "'") {
        quote = line.startsWith(character.repeat(3), at) ? character.repeat(3) : character;
        at += quote.length - 1;
      } else if (character === '[' || character === '{') depth++;
      else if (character === ']' || character === '}') depth--;
    }
    if (depth <= 0 && quote === '') return i - from;
  }
  return lines.length - 1 - from;
}
