// Questions about requirements that only an implementation of PEP 508 and PEP 440 can answer: does a marker hold on the
// target, does a version satisfy another package's demand. Answered by `packaging` inside of pip's wheel, for the
// target's environment; pip itself would ask the machine it runs on.
import { execa } from 'execa';
import type { Context } from '../lib/context.ts';
import { MakeRuntimeError, throwIfCancelled } from '../lib/errors.ts';
import type { Arch, Plan } from '../recipe/model.ts';
import type { PinnedPackage } from '../recipe/requirements.ts';

export type Target = Plan['python'] & { readonly arch: Arch };

/** The packages whose marker holds on the target. */
export async function applicable(
  packages: readonly PinnedPackage[],
  target: Target,
  pip: string,
  ctx: Context,
): Promise<readonly PinnedPackage[]> {
  const markers = packages.map(({ marker }) => marker ?? null);
  if (markers.every((marker) => marker === null)) return packages;
  const holds = await ask<boolean[]>(markersProgram, { environment: environmentOf(target), markers }, pip, ctx);
  return packages.filter((_, index) => holds[index]);
}

/** One sentence for each demand of an installed package that no other one meets. */
export async function unmet(
  installed: readonly { readonly name: string; readonly version: string; readonly requires: readonly string[] }[],
  packages: readonly PinnedPackage[],
  target: Target,
  pip: string,
  ctx: Context,
): Promise<readonly string[]> {
  if (installed.every(({ requires }) => requires.length === 0)) return [];
  const parts = Object.fromEntries(packages.map(({ name, parts = [] }) => [name, parts]));
  return ask<string[]>(unmetProgram, { environment: environmentOf(target), installed, parts }, pip, ctx);
}

/** https://packaging.python.org/specifications/dependency-specifiers/#environment-markers */
export function environmentOf({ minor, version, arch }: Target): Record<string, string> {
  return {
    os_name: 'posix',
    sys_platform: 'linux',
    platform_system: 'Linux',
    platform_machine: arch === 'arm64' ? 'aarch64' : 'x86_64',
    platform_release: '',
    platform_version: '',
    platform_python_implementation: 'CPython',
    implementation_name: 'cpython',
    implementation_version: version,
    python_version: minor,
    python_full_version: version,
    extra: '',
  };
}

const markersProgram = `
import json, sys
from pip._vendor.packaging.markers import Marker
asked = json.load(sys.stdin)
print(json.dumps([m is None or Marker(m).evaluate(asked["environment"]) for m in asked["markers"]]))
`;

const unmetProgram = `
import json, sys
from pip._vendor.packaging.requirements import Requirement
from pip._vendor.packaging.utils import canonicalize_name
asked = json.load(sys.stdin)
versions = {canonicalize_name(one["name"]): one["version"] for one in asked["installed"]}
parts = {name: set(chosen) for name, chosen in asked["parts"].items()}
said, again = [], True
while again:
    said, again = [], False
    for one in asked["installed"]:
        for text in one["requires"]:
            need = Requirement(text)
            chosen = {"", *parts.get(canonicalize_name(one["name"]), ())}
            if need.marker and not any(need.marker.evaluate({**asked["environment"], "extra": part}) for part in chosen):
                continue
            name = canonicalize_name(need.name)
            if not need.extras <= parts.setdefault(name, set()):
                parts[name] |= need.extras
                again = True
            if name not in versions:
                said.append(f'{one["name"]} needs {need.name}{need.specifier}')
            elif not need.specifier.contains(versions[name], prereleases=True):
                said.append(f'{one["name"]} needs {need.name}{need.specifier}, not {versions[name]}')
print(json.dumps(sorted(set(said))))
`;

async function ask<Answer>(program: string, question: unknown, pip: string, ctx: Context): Promise<Answer> {
  const result = await execa('python3', ['-c', program], {
    extendEnv: false,
    env: { PATH: ctx.env['PATH'] ?? '', PYTHONPATH: pip },
    input: JSON.stringify(question),
    reject: false,
    cancelSignal: ctx.signal,
  });
  throwIfCancelled(ctx.signal);
  if (!result.failed) return JSON.parse(result.stdout) as Answer;
  const last = result.stderr?.trim().split('\n').at(-1) ?? '';
  throw new MakeRuntimeError('EXTRAS_UNAVAILABLE', 'The requirements of the extras cannot be read.', {
    remedy:
      result.exitCode === undefined
        ? 'Install python3: pip runs on it.'
        : 'Correct the marker or the version named below.',
    detail: last || (result.shortMessage ?? ''),
  });
}
