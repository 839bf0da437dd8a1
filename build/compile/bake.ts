// Plans -> a BuildKit bake file and the Dockerfile behind it, so that remote or Kubernetes builders do many variants at
// once. The stages run the same texts that an engine runs; nothing here starts anything.
import { createHash } from 'node:crypto';
import { MakeRuntimeError } from '../lib/errors.ts';
import type { ContainerBuilder, Library, Plan } from '../recipe/model.ts';
import { buildPythonScript } from './build-python.ts';
import { platforms } from './container.ts';
import { installProgram } from './container-builder.ts';
import { libraryScript } from './libraries-script.ts';
import { linkScript } from './link.ts';
import { needsOf, packageManagers } from './probe.ts';
import { compileScript, quote } from './script.ts';

/** Runs the tool that packages. Not part of any result: the bytes do not depend on which Node it is. */
const defaultNode = 'public.ecr.aws/docker/library/node:22-slim';

const clean = 'env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export type ContainerPlan = Plan & { readonly builder: ContainerBuilder };

/** Throws USAGE for a plan of the host engine, whose builder no other machine has, and for one with extras. */
export function requireContainerPlan(plan: Plan): asserts plan is ContainerPlan {
  if (plan.extras) {
    throw new MakeRuntimeError('USAGE', `Plan ${plan.name} bakes in packages, which BuildKit's stages do not fetch.`, {
      remedy: 'Use `make-runtime build` for this recipe, or give the packages a layer of their own.',
    });
  }
  if (plan.builder.engine === 'container') return;
  throw new MakeRuntimeError('USAGE', `Plan ${plan.name} is for the host engine; bake needs a builder image.`, {
    remedy: 'Plan it with a container engine: --engine container, --builder <image>.',
  });
}

/**
 * Throws USAGE for a plan that would be trained: counters differ from run to run, so its bytes would too.
 */
export function requireStoredProfile(plan: Plan, given: string | undefined): void {
  if (!plan.profiling || (plan.profiling.data !== undefined && given !== undefined)) return;
  throw new MakeRuntimeError('USAGE', `Plan ${plan.name} needs a stored profile: a bake does not train.`, {
    remedy: 'Build it once, then bake with --profile-data <the profile.tar beside its layer.zip>.',
  });
}

/** The text files of a build context, by path; sources, profiles and make-runtime/ lie beside them. */
export function bakeFiles(plans: readonly ContainerPlan[]): ReadonlyMap<string, string> {
  const files = new Map<string, string>([
    ['Dockerfile', dockerfile],
    ['.dockerignore', 'out\n'],
    ['docker-bake.json', `${JSON.stringify(bakeFile(plans), null, 2)}\n`],
  ]);
  for (const plan of plans) {
    files.set(`packages/${packagesName(plan)}`, packagesScript(plan));
    for (const [name, text] of compileFiles(plan)) files.set(`plans/${plan.name}/inputs/${name}`, text);
    for (const [path, text] of libraryFiles(plan)) files.set(`libraries/${librariesName(plan)}/${path}`, text);
    files.set(`plans/${plan.name}/link.sh`, linkScript(plan));
    files.set(`plans/${plan.name}/plan.json`, `${JSON.stringify(plan, null, 2)}\n`);
  }
  return files;
}

/** compile.sh and what it runs: a cross build has the builder's own interpreter before it. */
function compileFiles(plan: ContainerPlan): ReadonlyMap<string, string> {
  if (!plan.builder.cross) return new Map([['compile.sh', compileScript(plan)]]);
  const driver = [
    '#!/bin/sh',
    '# The interpreter that does on the builder what the target cannot, and then the target itself.',
    'set -eu',
    'mkdir "$WORK/builder" "$WORK/target"',
    '( cd "$WORK/builder" && WORK="$WORK/builder" OUT=/make-runtime/builder && mkdir "$OUT" && export WORK OUT &&',
    '  /bin/sh /make-runtime/inputs/build-python.sh )',
    'mv /make-runtime/builder/python "$BUILD_PYTHON"',
    'cd "$WORK/target"',
    'WORK="$WORK/target" exec /bin/sh /make-runtime/inputs/cpython.sh',
  ];
  return new Map([
    ['compile.sh', `${driver.join('\n')}\n`],
    ['build-python.sh', buildPythonScript(plan)],
    ['cpython.sh', compileScript(plan)],
  ]);
}

/** docs.docker.com/build/bake/reference; JSON, because a file that nobody writes by hand needs no HCL. */
function bakeFile(plans: readonly ContainerPlan[]): unknown {
  return {
    variable: { NODE: { default: defaultNode } },
    group: { default: { targets: plans.map(targetName) } },
    target: Object.fromEntries(
      plans.map((plan) => [
        targetName(plan),
        {
          context: '.',
          dockerfile: 'Dockerfile',
          // Of the builder: what comes out is files.
          platforms: [platforms[plan.builder.cross?.from ?? plan.arch]],
          args: {
            BUILDER: plan.builder.image.reference,
            LIBRARIES: librariesName(plan),
            NODE: '${NODE}',
            PACKAGES: packagesName(plan),
            PLAN: plan.name,
            SOURCE: plan.source.file,
            SOURCE_SHA256: plan.source.sha256,
          },
          output: [`type=local,dest=out/${plan.name}`],
        },
      ]),
    ),
  };
}

/** Target names may have letters, digits, - and _ only. */
export function targetName({ name }: Pick<Plan, 'name'>): string {
  return name.replaceAll(/[^\w-]/g, '_');
}

function packagesName(plan: ContainerPlan): string {
  return `${createHash('sha256').update(packagesScript(plan)).digest('hex').slice(0, 16)}.sh`;
}

/** The folder of a plan's libraries; plans with the same ones share it, and BuildKit compiles them once. */
export function librariesName(plan: ContainerPlan): string {
  return createHash('sha256')
    .update([...libraryFiles(plan).values(), ...fromSource(plan).map(({ source }) => source?.sha256)].join('\0'))
    .digest('hex')
    .slice(0, 16);
}

/** The libraries of a plan that are compiled from source, in link order. */
export function fromSource(plan: Plan): readonly Library[] {
  return plan.libraries.filter(({ origin }) => origin === 'source');
}

/** SHA256SUMS and the archives themselves lie beside these. */
function libraryFiles(plan: ContainerPlan): ReadonlyMap<string, string> {
  const libraries = fromSource(plan);
  const driver = [
    '#!/bin/sh',
    '# Compiles every library of a plan, each with its own script, and puts the results into one folder.',
    'set -eu',
    'cd /make-runtime/library-sources',
    'mkdir -p /make-runtime/libraries',
    ...(libraries.length > 0 ? ['sha256sum -c SHA256SUMS'] : []),
    ...libraries.flatMap(({ name }) => [
      'mkdir /make-runtime/work /make-runtime/library',
      `( cd /make-runtime/work && ${clean} HOME=/tmp SOURCE=/make-runtime/library-sources/${name}/source \\`,
      '  WORK=/make-runtime/work OUT=/make-runtime/library JOBS="$(nproc)" \\',
      `  /bin/sh /make-runtime/library-sources/${name}/library.sh )`,
      'cp -R /make-runtime/library/lib /make-runtime/library/include /make-runtime/library/notices /make-runtime/libraries/',
      'rm -rf /make-runtime/work /make-runtime/library',
    ]),
  ];
  return new Map([
    ['build.sh', `${driver.join('\n')}\n`],
    ...libraries.map((library) => [`${library.name}/library.sh`, libraryScript(library, plan)] as const),
  ]);
}

/** Installs what the plan's builder has and refuses anything else: other packages could give other bytes. */
function packagesScript(plan: ContainerPlan): string {
  const needs = needsOf(plan);
  const managers = packageManagers.map((manager) => {
    const install = installProgram(needs, manager).split('\n');
    const list = `${manager.query.map(quote).join(' ')} 2>/dev/null`;
    return [
      `if command -v ${manager.probe} >/dev/null; then`,
      `  list() { ${list}; }`,
      `  install() {\n${install.map((line) => `    ${line}`).join('\n')}\n  }`,
      'fi',
    ].join('\n');
  });
  return `${[
    '#!/bin/sh',
    '# The packages of the plan in a builder image: those, and no other versions.',
    'set -eu',
    'export LC_ALL=C',
    'list() { :; }',
    'install() { :; }',
    ...managers,
    'same() {',
    "  found=$(list | grep -E '^[^ ]+ [^ ]+$' | sort | sha256sum) || found=",
    `  compiler=$(${plan.builder.cross ? `${plan.builder.cross.host}-gcc` : '${CC:-cc}'} --version 2>/dev/null) || compiler=`,
    '  compiler=$(printf \'%s\\n\' "$compiler" | sed -n 1p)',
    `  [ "\${found%% *}" = ${plan.builder.image.packages} ] && [ "$compiler" = ${quote(plan.builder.compiler ?? '')} ]`,
    '}',
    'if same; then exit 0; fi',
    'install',
    'if same; then exit 0; fi',
    'echo "The builder image is not the one the plan was made with: packages $found, compiler $compiler." >&2',
    'echo "Plan again (make-runtime bake), or pin the distribution to the snapshot of the plan." >&2',
    'exit 1',
  ].join('\n')}\n`;
}

// COPY and not --mount, so that each stage is cached by the files it reads and nothing else. No `# syntax` line: it
// would be fetched from a registry, and RUN --network is part of every BuildKit since 0.9.
const dockerfile = `# Written by \`make-runtime bake\`: do not edit. One plan -> layer.zip, in the stages of make-runtime itself.
ARG BUILDER
ARG NODE=${defaultNode}

# The only stage with network: packages, in the versions of the plan.
FROM \${BUILDER} AS packages
USER 0:0
WORKDIR /make-runtime
ARG PACKAGES
COPY packages/\${PACKAGES} packages.sh
RUN ["/bin/sh", "/make-runtime/packages.sh"]

FROM packages AS libraries
ARG LIBRARIES
COPY libraries/\${LIBRARIES} library-sources
RUN --network=none ["/bin/sh", "/make-runtime/library-sources/build.sh"]

FROM packages AS compile
ARG SOURCE
ARG SOURCE_SHA256
ARG PLAN
COPY sources/\${SOURCE} source
RUN --network=none echo "\${SOURCE_SHA256}  /make-runtime/source" | sha256sum -c -
COPY --from=libraries /make-runtime/libraries libraries
COPY plans/\${PLAN}/inputs inputs
RUN --network=none mkdir -p work out && cd work && \\
    ${clean} HOME=/tmp SOURCE=/make-runtime/source WORK=/make-runtime/work OUT=/make-runtime/out JOBS="$(nproc)" \\
    LIBRARIES=/make-runtime/libraries PROFILE=/make-runtime/inputs/profile.tar \\
    BUILD_PYTHON=/make-runtime/build-python \\
    /bin/sh /make-runtime/inputs/compile.sh && rm -rf /make-runtime/work

FROM compile AS link
ARG PLAN
COPY make-runtime/bootstrap-src bootstrap
COPY plans/\${PLAN}/link.sh link.sh
RUN --network=none mkdir -p work linked && cd work && \\
    ${clean} HOME=/tmp BOOTSTRAP=/make-runtime/bootstrap EMBED=/make-runtime/out/embed \\
    PREFIX=/make-runtime/out/root/opt/lang WORK=/make-runtime/work OUT=/make-runtime/linked \\
    BUILD_PYTHON=/make-runtime/build-python \\
    /bin/sh /make-runtime/link.sh
# For the SBOM, uncompressed: images of Node have tar, but no xz.
ARG SOURCE
RUN --network=none case "\${SOURCE}" in *.xz) xz -dc source ;; *) gzip -dc source ;; esac > source.tar

# Packaging is the same on every machine: it runs where the builder runs fastest.
FROM --platform=$BUILDPLATFORM \${NODE} AS package
WORKDIR /make-runtime
COPY make-runtime .
ARG PLAN
COPY plans/\${PLAN}/plan.json plan.json
COPY --from=link /make-runtime/out compiled
COPY --from=link /make-runtime/linked/executable executable
COPY --from=link /make-runtime/source.tar source.tar
RUN --network=none ["node", "dist/cli.js", "pack", "--plan", "plan.json", "--compiled", "compiled", "--executable", "executable", "--source", "source.tar", "--output", "/result"]

FROM scratch
COPY --from=package /result/ /
`;
