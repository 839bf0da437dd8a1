// What a build needs beside a C compiler and make (the JIT's LLVM and Python, the libraries' perl): how a machine is asked for it, what the
// answers mean, and the error when it is not there. Knows nothing of where the questions are run.
import { MakeRuntimeError } from '../lib/errors.ts';
import type { Requirement } from '../recipe/model.ts';
import { toolName, whereToGet } from '../recipe/tools.ts';
import { newEnough, pythonNames } from './script.ts';

/** A requirement that a machine does not meet. */
export interface Gap {
  readonly requirement: Requirement;
  /** "LLVM 18 (clang is 19.1.7, there is no llvm-readobj)", "Python 3.11 or newer" */
  readonly name: string;
}

const llvmTools = ['clang', 'llvm-readobj'] as const;

/** Commands whose outputs `gapOf` reads, in its order. Words for a shell. */
export function requirementCommands({ tool, version }: Requirement): readonly string[] {
  if (tool === 'python') return pythonNames.map((name) => `${name} -c '${newEnough(version)}'`);
  if (tool !== 'llvm') return [`${tool} --version`];
  // Tools/jit looks for `clang` on PATH first, then for `clang-18` (Tools/jit/_llvm.py).
  return llvmTools.flatMap((name) => [`${name} --version`, `${name}-${version} --version`]);
}

/** @param answers what each command printed; undefined for one that could not be run or failed */
export function gapOf(requirement: Requirement, answers: readonly (string | undefined)[]): Gap | undefined {
  const { tool, version } = requirement;
  if (tool !== 'llvm') {
    return answers.some((answer) => answer !== undefined) ? undefined : { requirement, name: toolName(requirement) };
  }
  const lacking = llvmTools.flatMap((name, index) => {
    const found = answers.slice(2 * index, 2 * index + 2).map((text) => /version (\d+)[.\d]*/.exec(text ?? ''));
    if (found.some((match) => match?.[1] === version)) return [];
    const other = found.find((match) => match !== null)?.[0].replace('version ', '');
    return [other === undefined ? `there is no ${name}` : `${name} is ${other}`];
  });
  return lacking.length === 0 ? undefined : { requirement, name: `${toolName(requirement)} (${lacking.join(', ')})` };
}

/**
 * LLVM_MISSING, or COMPILER_MISSING where only tools of the C libraries or of the training are lacking, for every gap at once.
 * @param where "on this machine", "in the builder image debian:12"
 */
export function missingRequirements(gaps: readonly Gap[], where: string): MakeRuntimeError {
  const requires = gaps.map(({ requirement }) => requirement);
  const jit = requires.some(({ tool }) => tool === 'llvm' || tool === 'python');
  const training = requires.every(({ tool }) => tool.startsWith('qemu-'));
  const doing = jit ? 'Building the JIT' : training ? 'Training for another processor' : 'Compiling the C libraries';
  const sentence = `${doing} needs ${andList(gaps)}, not found ${where}.`;
  return new MakeRuntimeError(jit ? 'LLVM_MISSING' : 'COMPILER_MISSING', sentence, {
    remedy: `${whereToGet(requires)}.`,
    detail: requires.map(({ reason }) => reason).join('\n'),
  });
}

/**
 * LLVM_MISSING when a package manager said that it has no such package, and undefined when that was not it.
 * @param output of apt-get or dnf
 */
export function unobtainableRequirements(
  output: string,
  requires: readonly Requirement[],
  image: string,
): MakeRuntimeError | undefined {
  const refused = [
    ...output.matchAll(
      /(?:Unable to locate package|No match for argument:|Unable to find a match:|Package) '?([\w.+-]+)(?:'? has no installation candidate)?/g,
    ),
  ].map(([, name]) => name);
  const gaps = requires
    .filter(({ packages }) => [...packages.apt.names, ...packages.dnf.names].some((name) => refused.includes(name)))
    .map((requirement) => ({ requirement, name: toolName(requirement) }));
  return gaps.length === 0 ? undefined : missingRequirements(gaps, `among the packages of the builder image ${image}`);
}

/** "LLVM 18 (there is no clang, there is no llvm-readobj) and Python 3.11 or newer" */
export function andList(gaps: readonly Gap[]): string {
  return gaps.map(({ name }) => name).join(' and ');
}
