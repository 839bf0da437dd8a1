// A container engine as a script: answers what a test says, remembers every call. For the ways of failing that a real
// engine cannot be brought to; real engines are in test/slow/container.test.ts.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface FakeEngine {
  /** A PATH on which the engine is, and a shell's usual programs. */
  readonly path: string;
  /** What a verb does from now on: shell lines, "$@" being all the arguments. */
  does(verb: string, script: string): Promise<void>;
  /** Every call so far, each as its words. */
  calls(): Promise<string[][]>;
}

/** What an image of Debian for x86_64 with everything in it says about itself. */
export const completeProbe = (compiler = 'cc (Debian) 12.2.0'): string =>
  [
    '::system',
    'Debian GNU/Linux 12 (bookworm)',
    '::cc',
    compiler,
    ...['make', 'tar', 'xz', 'ar', 'ld', 'objcopy'].flatMap((tool) => [`::tool ${tool}`, `${tool} 1.0`]),
    '::packages apt',
    'gcc 4:12.2.0-3',
    '::headers',
    '',
  ].join('\n');

export const imageJson = (architecture = 'amd64', id = 'sha256:aa'): string =>
  JSON.stringify([{ Id: id, Architecture: architecture, RootFS: { Layers: ['sha256:11', 'sha256:22'] } }]);

export async function fakeEngine(dir: string, name: string): Promise<FakeEngine> {
  const bin = join(dir, 'bin');
  const state = join(dir, `fake-${name}`);
  await mkdir(bin, { recursive: true });
  await mkdir(state, { recursive: true });
  await writeFile(join(state, 'calls'), '');
  await writeFile(
    join(bin, name),
    [
      '#!/bin/sh',
      `{ printf '%s\\037' "$@"; printf '\\036'; } >> '${state}/calls'`,
      `if [ -e "${state}/$1" ]; then . "${state}/$1"; fi`,
      '',
    ].join('\n'),
    { mode: 0o755 },
  );
  const does: FakeEngine['does'] = (verb, script) => writeFile(join(state, verb), `${script}\n`);
  await does('info', name === 'podman' ? 'echo false' : `echo '["name=seccomp,profile=default"]'`);
  await does('image', `case $3 in make-runtime-builder*) exit 1;; esac; echo '${imageJson()}'`);
  await does('run', `cat <<'PROBE'\n${completeProbe()}PROBE`);
  return {
    path: `${bin}:/usr/bin:/bin`,
    does,
    calls: async () =>
      (await readFile(join(state, 'calls'), 'utf8'))
        .split('\x1e')
        .filter((call) => call !== '')
        .map((call) => call.split('\x1f').slice(0, -1)),
  };
}
