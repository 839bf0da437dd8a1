// The configuration of an image on top of its base's: what runs, in which environment, and one row of history for each
// layer, without which Lambda has refused images (bazel-contrib/rules_oci#645). Pure.
import type { architectures, Plan } from '../recipe/model.ts';
import type { History, ImageConfig } from '../registry/oci.ts';
import { entryPath } from './entry-script.ts';

/** Lambda's architectures in the words of OCI, which are Go's. */
export const ociArchitecture = { x86_64: 'amd64', arm64: 'arm64' } as const satisfies Record<
  (typeof architectures)[number],
  string
>;

/** What the OCI specification's table of variants has for them; a client that asks for arm64/v8 finds one without too. */
export const ociVariant: Readonly<Record<(typeof architectures)[number], string | undefined>> = {
  x86_64: undefined,
  arm64: 'v8',
};

/** The environment of AWS's base image for OS-only runtimes (provided.al2023), each value where the base has none. */
const environment: readonly (readonly [string, string])[] = [
  ['LANG', 'en_US.UTF-8'],
  ['TZ', ':/etc/localtime'],
  ['PATH', '/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin'],
  ['LD_LIBRARY_PATH', '/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib'],
  ['LAMBDA_TASK_ROOT', '/var/task'],
  ['LAMBDA_RUNTIME_DIR', '/var/runtime'],
];

export interface OwnLayer {
  readonly diffId: string;
  /** What it holds, for `docker history`. */
  readonly about: string;
}

/**
 * @param base undefined for an image from scratch
 * @param baseLayers how many layers of the base there are
 */
export function imageConfig(
  plan: Pick<Plan, 'id' | 'name' | 'arch' | 'epoch' | 'python'>,
  base: { readonly config: ImageConfig; readonly digest: string; readonly layers: number } | undefined,
  layers: readonly OwnLayer[],
): ImageConfig {
  const created = new Date(plan.epoch * 1000).toISOString().replace('.000', '');
  const inherited = base?.config;
  const { Cmd: _, ...settings } = inherited?.config ?? {}; // A base's command is not a handler.
  const variant = inherited?.variant ?? ociVariant[plan.arch];
  return {
    ...(variant === undefined ? {} : { variant }),
    created,
    architecture: ociArchitecture[plan.arch],
    os: 'linux',
    config: {
      ...settings,
      Env: environmentOn(inherited?.config?.Env ?? []),
      Entrypoint: [entryPath],
      WorkingDir: '/var/task',
      Labels: {
        ...inherited?.config?.Labels,
        'org.opencontainers.image.title': plan.name,
        'org.opencontainers.image.version': plan.python.version,
        ...(base === undefined ? {} : { 'org.opencontainers.image.base.digest': base.digest }),
        'make-runtime.plan': plan.id,
      },
    },
    rootfs: {
      type: 'layers',
      diff_ids: [...(inherited?.rootfs.diff_ids ?? []), ...layers.map(({ diffId }) => diffId)],
    },
    history: [
      ...baseHistory(inherited, base?.layers ?? 0),
      ...layers.map(({ about }) => ({ created, created_by: `make-runtime image: ${about}` })),
    ],
  };
}

/** The base's variables in their order, ours behind them; python3 has to be the first that PATH finds. */
function environmentOn(inherited: readonly string[]): string[] {
  const merged = new Map(inherited.map((row) => [row.split('=', 1)[0]!, row.slice(row.indexOf('=') + 1)]));
  for (const [name, value] of environment) if (!merged.has(name)) merged.set(name, value);
  const path = merged.get('PATH') ?? '';
  if (path.split(':')[0] !== '/var/lang/bin') {
    const rest = path.split(':').filter((folder) => folder !== '' && folder !== '/var/lang/bin');
    merged.set('PATH', ['/var/lang/bin', ...rest].join(':'));
  }
  return [...merged].map(([name, value]) => `${name}=${value}`);
}

/** A base's history where it has one row for each layer, else rows that say nothing but that the layers are there. */
function baseHistory(config: ImageConfig | undefined, layers: number): History[] {
  const rows = config?.history ?? [];
  if (rows.filter(({ empty_layer }) => empty_layer !== true).length === layers) return rows;
  return Array.from({ length: layers }, () => ({ created: '1970-01-01T00:00:00Z', created_by: 'layer of the base' }));
}
