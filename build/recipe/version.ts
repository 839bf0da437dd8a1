// CPython version numbers: "3.13.15", "3.15.0rc1". Only what this room needs to sort pins and name them.

export interface PythonVersion {
  readonly major: number;
  readonly minor: number;
  readonly patch: number;
  /** "rc1", or the empty string for a final release. */
  readonly pre: string;
}

const shape = /^(\d+)\.(\d+)\.(\d+)((?:a|b|rc)\d+)?$/;

/** The parts of a full version number, or undefined when the text is not one. */
export function parseVersion(text: string): PythonVersion | undefined {
  const match = shape.exec(text);
  if (!match) return undefined;
  return { major: Number(match[1]), minor: Number(match[2]), patch: Number(match[3]), pre: match[4] ?? '' };
}

/** Orders two full version numbers, oldest first; a pre-release comes before its final release (PEP 440). */
export function compareVersions(a: string, b: string): number {
  const left = parseVersion(a);
  const right = parseVersion(b);
  if (!left || !right) return a < b ? -1 : a > b ? 1 : 0;
  return (
    left.major - right.major || left.minor - right.minor || left.patch - right.patch || comparePre(left.pre, right.pre)
  );
}

/** "3.13.15" -> "3.13" */
export function seriesOf(version: string): string {
  return version.split('.').slice(0, 2).join('.');
}

function comparePre(a: string, b: string): number {
  if (a === b) return 0;
  if (a === '') return 1;
  if (b === '') return -1;
  const [, leftStage = '', leftNumber = ''] = /^([a-z]+)(\d+)$/.exec(a) ?? [];
  const [, rightStage = '', rightNumber = ''] = /^([a-z]+)(\d+)$/.exec(b) ?? [];
  // "a" < "b" < "rc" happens to be alphabetical order.
  if (leftStage !== rightStage) return leftStage < rightStage ? -1 : 1;
  return Number(leftNumber) - Number(rightNumber);
}
