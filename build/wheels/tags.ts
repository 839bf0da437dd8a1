// Which wheels fit a target, in the words of pip's options. Knows names of platforms and ABIs, and runs nothing.
import type { Arch, Plan } from '../recipe/model.ts';

/** What pip has to be told about the target. */
export function tags({ python, arch }: Pick<Plan, 'python' | 'arch'>): string[] {
  const abi = `cp${python.executable.replace(/^python|\./g, '')}`;
  return [
    ...['--implementation', 'cp', '--python-version', python.minor, '--abi', abi],
    ...platforms(arch).flatMap((platform) => ['--platform', platform]),
  ];
}

/** Newest first: pip takes the first that fits. 2.34 is Amazon Linux 2023's glibc; the old names are PEP 571 and 599. */
function platforms(arch: Arch): string[] {
  const machine = arch === 'arm64' ? 'aarch64' : 'x86_64';
  const oldest = arch === 'arm64' ? 17 : 5;
  const numbered = Array.from({ length: 34 - oldest + 1 }, (_, index) => `manylinux_2_${34 - index}_${machine}`);
  const named = arch === 'arm64' ? ['manylinux2014'] : ['manylinux2014', 'manylinux2010', 'manylinux1'];
  return [...numbered, ...named.map((name) => `${name}_${machine}`), `linux_${machine}`];
}
