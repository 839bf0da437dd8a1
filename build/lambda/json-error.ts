// Where a text stops being JSON, and what was expected there. JSON.parse knows, but what it says differs between Node
// versions and often lacks the position. Knows RFC 8259 and nothing else.

export interface JsonError {
  /** Index of the first character that cannot be. */
  readonly offset: number;
  readonly problem: string;
}

/** The first error of a JSON text, or undefined when JSON.parse accepts it. */
export function findJsonError(text: string): JsonError | undefined {
  try {
    JSON.parse(text);
    return undefined;
  } catch {
    return scan(text);
  }
}

function scan(text: string): JsonError {
  let at = 0;
  // One entry per open bracket: the bracket that closes it.
  const open: ('}' | ']')[] = [];
  let wanted: 'value' | 'value or ]' | 'key' | 'key or }' | ':' | 'end' = 'value';
  for (;;) {
    at += /^[ \t\n\r]*/.exec(text.slice(at))![0].length;
    const char = text[at];
    const closer = open.at(-1);
    if (char === undefined) return { offset: at, problem: text.trim() === '' ? 'it is empty' : 'it ends too early' };
    const closes =
      (wanted === 'end' || wanted === `value or ${closer}` || wanted === `key or ${closer}`) && char === closer;
    if (closes) {
      open.pop();
      at += 1;
      wanted = 'end';
    } else if (wanted === 'end') {
      if (closer === undefined) return { offset: at, problem: `there is ${shown(char)} after the end of the value` };
      if (char !== ',') return { offset: at, problem: `expected "," or "${closer}" but found ${shown(char)}` };
      at += 1;
      wanted = closer === '}' ? 'key' : 'value';
    } else if (wanted === ':') {
      if (char !== ':') return { offset: at, problem: `expected ":" but found ${shown(char)}` };
      at += 1;
      wanted = 'value';
    } else if (wanted === 'key' || wanted === 'key or }') {
      if (char !== '"') return { offset: at, problem: `expected a key in double quotes but found ${shown(char)}` };
      const end = stringEnd(text, at);
      if (typeof end !== 'number') return end;
      at = end;
      wanted = ':';
    } else if (char === '{' || char === '[') {
      open.push(char === '{' ? '}' : ']');
      at += 1;
      wanted = char === '{' ? 'key or }' : 'value or ]';
    } else if (char === '"') {
      const end = stringEnd(text, at);
      if (typeof end !== 'number') return end;
      at = end;
      wanted = 'end';
    } else {
      const scalar = /^(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)/.exec(text.slice(at));
      if (scalar === null) return { offset: at, problem: `expected a value but found ${shown(char)}` };
      at += scalar[0].length;
      wanted = 'end';
    }
  }
}

/** The index after a string that begins at `start`, or what is wrong in it. */
function stringEnd(text: string, start: number): number | JsonError {
  for (let at = start + 1; at < text.length; at += 1) {
    const char = text[at]!;
    if (char === '"') return at + 1;
    if (char < ' ') return { offset: at, problem: `${shown(char)} inside a string must be escaped` };
    if (char !== '\\') continue;
    const sequence = /^\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/.exec(text.slice(at, at + 6));
    if (sequence === null) return { offset: at, problem: 'there is no such escape' };
    at += sequence[0].length - 1;
  }
  return { offset: text.length, problem: 'a string has no end' };
}

function shown(char: string): string {
  return char === '\n' ? 'the end of the line' : JSON.stringify(char);
}
