// The machine itself as a place to build: what it has. Asked by plan (to record the builder), by compile (to refuse
// early), by doctor and by quickstart. Refuses to install anything.
import { execa } from 'execa';
import type { Builder } from '../recipe/model.ts';
import { factsOf, type Needs, type Probe, probeProgram, readProbe } from './probe.ts';

export { installCommand, requireComplete } from './probe.ts';

type Environment = Readonly<Record<string, string | undefined>>;

export interface HostProbe extends Probe {
  readonly builder: Builder;
}

/** Looks at the machine without changing it, for the C libraries that will be linked and what else a build needs. */
export async function probeHost(needs: Needs, env: Environment): Promise<HostProbe> {
  const cc = env['CC'] ?? 'cc';
  const { stdout } = await execa('/bin/sh', ['-c', probeProgram(needs, cc)], {
    reject: false,
    env: clean(env),
    extendEnv: false,
    stdin: 'ignore',
  });
  const probe = readProbe(stdout, needs, cc);
  return { ...probe, builder: { engine: 'host', ...factsOf(probe, needs) } };
}

function clean(env: Environment): Record<string, string> {
  return { LC_ALL: 'C', PATH: env['PATH'] ?? '/usr/local/bin:/usr/bin:/bin' };
}
