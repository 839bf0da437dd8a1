// docker, podman, finch and nerdctl as one: where they differ is this table, what they say when something is wrong
// becomes an error with a remedy. Knows nothing of compilers or plans.
import { execa } from 'execa';
import type { Context } from '../lib/context.ts';
import { isMakeRuntimeError, MakeRuntimeError, throwIfCancelled } from '../lib/errors.ts';

export interface ContainerCli {
  readonly name: 'docker' | 'podman' | 'finch' | 'nerdctl';
  /** Asks the engine itself, not only its client, whether it runs and whether without root. */
  readonly info: readonly string[];
  readonly rootless: RegExp;
  /**
   * What makes files belong to the caller where the engine runs without root. `root`: the caller is root inside.
   * `keep-id`: the caller has the same id inside.
   */
  readonly rootlessUser: 'root' | 'keep-id';
  /** Options of `run` that only some have. */
  readonly security: readonly string[];
  readonly start: string;
}

// Sources: docs.docker.com/engine/security/rootless, podman-run(1), the command references of nerdctl and finch.
// label=disable: with SELinux, a confined process may not read the caller's files, and relabelling them (:z) would
// change files that are not ours. nerdctl and finch know no SELinux and refuse the option.
const nerdctl = {
  info: ['info', '--format', '{{json .SecurityOptions}}'],
  rootless: /name=rootless/,
  rootlessUser: 'root',
  security: ['no-new-privileges'],
} as const;

/** In the order in which they are tried. */
export const containerClis: readonly ContainerCli[] = [
  {
    name: 'docker',
    info: ['info', '--format', '{{json .SecurityOptions}}'],
    rootless: /name=rootless/,
    rootlessUser: 'root',
    security: ['no-new-privileges', 'label=disable'],
    start: 'Start it: `systemctl start docker`, or open Docker Desktop.',
  },
  {
    name: 'podman',
    info: ['info', '--format', '{{.Host.Security.Rootless}}'],
    rootless: /^true/,
    rootlessUser: 'keep-id',
    security: ['no-new-privileges', 'label=disable'],
    start: 'Start it: `podman machine start` where it has a machine of its own; `podman info` says more.',
  },
  { name: 'finch', ...nerdctl, start: 'Start it: `finch vm start`.' },
  { name: 'nerdctl', ...nerdctl, start: 'Start it: `systemctl start containerd`.' },
];

export interface Answer {
  readonly stdout: string;
  readonly stderr: string;
  readonly ok: boolean;
}

/** One container engine that answered. */
export interface ContainerEngine {
  readonly cli: ContainerCli;
  readonly rootless: boolean;
  /** Calls the CLI; never throws for a command that fails, but CANCELLED and ENGINE_UNAVAILABLE. */
  call(args: readonly string[], options?: { readonly evenIfAborted?: boolean }): Promise<Answer>;
}

type Calling = Pick<Context, 'env' | 'signal'>;

/**
 * Asks one engine whether it is there.
 * @throws ENGINE_UNAVAILABLE, ENGINE_DENIED
 */
export async function openContainerEngine(cli: ContainerCli, ctx: Calling): Promise<ContainerEngine> {
  const call: ContainerEngine['call'] = async (args, { evenIfAborted = false } = {}) => {
    if (!evenIfAborted) throwIfCancelled(ctx.signal);
    // The user's own tool, with the user's own environment (DOCKER_HOST, contexts, proxies): nothing of it enters a container.
    const result = await execa(cli.name, args, {
      env: definedOnly(ctx.env),
      extendEnv: false,
      reject: false,
      stdin: 'ignore',
      ...(evenIfAborted ? {} : { cancelSignal: ctx.signal }),
    });
    if (!evenIfAborted) throwIfCancelled(ctx.signal);
    if ((result as { code?: string }).code === 'ENOENT') {
      throw new MakeRuntimeError('ENGINE_UNAVAILABLE', `${cli.name} is not installed.`, {
        remedy: 'Install it, choose another engine with --engine, or use `--engine host`.',
      });
    }
    return { stdout: result.stdout ?? '', stderr: result.stderr ?? '', ok: !result.failed };
  };
  const answer = await call(cli.info);
  if (!answer.ok) {
    // Docker 20.10 says of an engine that it cannot reach only that its template failed; `version` says why.
    const { stderr } = await call(['version']);
    throw unavailable(cli, stderr || answer.stderr);
  }
  return { cli, call, rootless: cli.rootless.test(answer.stdout.trim()) };
}

/** The first engine that answers, or undefined with what each said. */
export async function firstContainerEngine(
  ctx: Calling,
): Promise<{ readonly engine: ContainerEngine | undefined; readonly refusals: readonly MakeRuntimeError[] }> {
  const refusals: MakeRuntimeError[] = [];
  for (const cli of containerClis) {
    try {
      return { engine: await openContainerEngine(cli, ctx), refusals };
    } catch (error) {
      if (!isMakeRuntimeError(error) || error.code === 'CANCELLED') throw error;
      refusals.push(error);
    }
  }
  return { engine: undefined, refusals };
}

/** ENGINE_UNAVAILABLE with what each engine said. */
export function noneAnswered(refusals: readonly MakeRuntimeError[]): MakeRuntimeError {
  const best = refusals.find(({ message }) => !message.endsWith('is not installed.'));
  return new MakeRuntimeError('ENGINE_UNAVAILABLE', 'No container engine answers.', {
    remedy: best?.remedy ?? 'Install docker or podman, or use `--engine host`.',
    detail: refusals.map(({ message }) => message).join('\n'),
  });
}

/** Turns what a CLI printed when it could not reach its engine into an error. */
export function unavailable(cli: ContainerCli, stderr: string): MakeRuntimeError {
  const detail = lastLines(stderr);
  if (/permission denied|access denied|operation not permitted/i.test(stderr)) {
    return new MakeRuntimeError('ENGINE_DENIED', `${cli.name} is there, but you may not use it.`, {
      remedy:
        cli.name === 'docker'
          ? 'Add yourself to the group docker (`sudo usermod -aG docker $USER`, then log in again), use rootless Docker, or `--engine podman`.'
          : `Ask for the permission that the lines above name; \`${cli.name} info\` must work first.`,
      detail,
    });
  }
  return new MakeRuntimeError('ENGINE_UNAVAILABLE', `${cli.name} is installed but does not run.`, {
    remedy: `${cli.start} Or use \`--engine host\`.`,
    detail,
  });
}

/** True for what an engine prints when it, and not the program in the container, was at fault. */
export function engineFault(cli: ContainerCli, stderr: string): MakeRuntimeError | undefined {
  if (/no space left on device/i.test(stderr)) {
    return new MakeRuntimeError('DISK_FULL', `The disk that ${cli.name} keeps its images and containers on is full.`, {
      remedy: `Free some space there: \`${cli.name} system prune\` removes what nothing uses.`,
      detail: lastLines(stderr),
    });
  }
  if (/cannot connect|connection refused|is the docker daemon running|permission denied.*sock/i.test(stderr)) {
    return unavailable(cli, stderr);
  }
  return undefined;
}

/** What of an engine's output is shown. */
export function lastLines(text: string): string {
  return text.trim().split('\n').slice(-8).join('\n');
}

export function definedOnly(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined));
}
