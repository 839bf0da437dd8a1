#!/usr/bin/env node
// The command tree: parse, call one command, turn whatever happens into an exit status. Commands live in cli/, one
// file each, and are loaded when they are called, so that --help costs Node's own start and no more.
import tab from '@bomb.sh/tab/commander';
import { Argument, Command, CommanderError, Option } from 'commander';
import pc from 'picocolors';
import { type Edge, type GlobalOptions, makeEdge, packageVersion } from './cli/edge.ts';
import { describeFailure } from './cli/failure.ts';
import { packageKinds, sampleNames, targets } from './init/model.ts';
import { exitStatus } from './lib/errors.ts';
import { architectures, flavors, libraryOrigins, profiles, prunePresets } from './recipe/model.ts';
import { imageFormats } from './registry/formats.ts';
import { fronts } from './serve/http-event.ts';

const abort = new AbortController();
let edge: Edge | undefined;

function edgeOf(command: Command): Edge {
  edge = makeEdge(command.optsWithGlobals<GlobalOptions>(), abort.signal);
  return edge;
}

const program = new Command('make-runtime')
  .description('Compile CPython into an AWS Lambda runtime, prove that it will run, and try it here.')
  .version(await packageVersion(), '-V, --version')
  .option('--json', 'print results as JSON on stdout, and progress as NDJSON on stderr')
  .option('-q, --quiet', 'print nothing but results and errors')
  .option('--no-color', 'no colours (also: NO_COLOR=1)')
  .option('--offline', 'use only what is in the cache (also: MAKE_RUNTIME_OFFLINE=1)')
  .configureHelp({ showGlobalOptions: true, sortSubcommands: false })
  .showHelpAfterError('Add --help for what is possible.')
  .exitOverride()
  .addHelpText(
    'after',
    `
Examples:
  make-runtime list                                    what can be built
  make-runtime plan 3.13t                              what building it would do, and why
  make-runtime build 3.13t                             compile, package and verify dist/out/<name>/layer.zip
  make-runtime image 3.13t --tar                       the same as a container image: FROM it, or docker load it
  make-runtime invoke dist/out/python3.13t-x86_64-fast/layer.zip --code ./src --handler app.handler
  make-runtime publish dist/out/python3.13t-x86_64-fast/layer.zip --name python313t --region eu-west-1 --dry-run
  make-runtime serve 3.13t --code ./src --handler app.handler
                                                       the same, as a server that AWS's SDKs, its CLI and curl can call
  make-runtime init my-function                        a project: handler, local test, SAM, CDK, Terraform or CLI
  make-runtime deps -r requirements.txt --for layer.zip --code ./src   the function's packages, for that runtime
  make-runtime doctor                                  what this machine lacks

Environment:
  MAKE_RUNTIME_CACHE    folder for sources and compiled interpreters (default: the user's cache folder)
  MAKE_RUNTIME_JOBS     compilers at a time (default: one a core)
  MAKE_RUNTIME_ENGINE   where commands run (default: auto, a container engine when the builder image is known)
  MAKE_RUNTIME_BUILDER  the image that builds (default: the one the lock file pins)
  MAKE_RUNTIME_BUILDER_NETWORK  network that packages for it come through (default: the engine's)
  CC                    the C compiler (default: cc)
  AWS_...               as for the AWS CLI: credentials, profile, region, endpoints, attempts (publish, layers)

Exit status: 0 success, 2 wrong usage, another number for each error code (docs/errors.md), 130 stopped by Ctrl-C.`,
  );

const recipeArgument = (): Argument =>
  new Argument('<recipe>', 'a version such as 3.13, 3.13t or python3.13t, or a path to a recipe .toml');

/** What makes one layer of a recipe another than the next, beside flavour and architecture. */
const profileOptions = (command: Command): Command =>
  command
    .addOption(
      new Option('--profile <profile>', 'fast: for trying things; release: PGO, LTO and pinned libraries')
        .choices(profiles)
        .default('fast'),
    )
    .addOption(
      new Option(
        '--libraries <origin>',
        "C libraries: pinned source, or the builder's own (default: by profile)",
      ).choices(libraryOrigins),
    )
    .addOption(new Option('--prune <preset>', 'leave out more than the recipe does').choices(prunePresets));

const planOptions = (command: Command): Command =>
  profileOptions(
    command
      .addOption(new Option('--flavor <flavor>', 'which build of CPython').choices(flavors))
      .addOption(new Option('--arch <arch>', "Lambda's architecture (default: this machine's)").choices(architectures)),
  )
    .option('--profile-data <file>', 'the profile.tar of an earlier release build, instead of training again')
    .addOption(
      new Option('--engine <engine>', 'where commands run: auto, host, container, docker, podman, finch, nerdctl')
        .default('auto')
        .env('MAKE_RUNTIME_ENGINE'),
    )
    .addOption(
      new Option('--builder <image>', "the image that builds, for a container engine (default: the lock file's)").env(
        'MAKE_RUNTIME_BUILDER',
      ),
    )
    .option('--python <version>', 'a pinned patch release, for example 3.13.5 (default: the newest pinned)')
    .option('--with-headers', 'keep the C headers in the artifact');

program
  .command('list')
  .description('recipes and flavours, with support status')
  .action(async (_options, command: Command) => (await import('./cli/list.ts')).list(edgeOf(command)));

planOptions(program.command('plan').addArgument(recipeArgument()))
  .description('print exactly what a build would do: sources, every flag with its reason, steps')
  .action(async (recipe: string, options, command: Command) =>
    (await import('./cli/plan.ts')).plan({ recipe, ...options }, edgeOf(command)),
  );

planOptions(program.command('build').argument('[recipe...]', 'as for `plan`; several are built side by side'))
  .description('compile, package and verify a layer')
  .option('--all', 'every recipe in every flavour; a failure does not stop the others')
  .option('-o, --output <dir>', 'where the artifact goes: <dir>/<plan name>/', 'dist/out')
  .action(async (recipes: string[], options, command: Command) =>
    (await import('./cli/build.ts')).build(recipes, options, edgeOf(command)),
  );

planOptions(
  program
    .command('image')
    .argument('<recipe|layer.zip>', 'a recipe as for `build`, which is then built, or a layer that was built before'),
)
  .description('make a container image without a daemon: an OCI layout, and with --tar an archive for docker load')
  .option('--base <image>', 'a reference, layout:DIR, layout:DIR:TAG or scratch (default: AWS’s provided:al2023)')
  .addOption(new Option('--format <format>', 'media types of the image').choices(imageFormats).default('oci'))
  .option('--name <name:tag>', 'what docker load and podman load call it (default: make-runtime/<plan name>:latest)')
  .option('--without-pip', 'leave pip out: nothing can then be installed with RUN pip install')
  .option('--tar', 'write image.tar as well')
  .option('-o, --output <dir>', 'where the image goes: <dir>/<plan name>/image', 'dist/out')
  .action(async (subject: string, options, command: Command) =>
    (await import('./cli/image.ts')).image({ subject, ...options }, edgeOf(command)),
  );

program
  .command('push')
  .argument('<image>', 'the folder or image.tar that `image` writes, or any OCI layout; with :TAG where it has several')
  .argument('<target...>', 'registry/repository[:tag]; several are served one after the other')
  .description('push an image to ECR or any other registry, without a daemon')
  .addOption(new Option('--platform <platform>', 'of an image for several').choices(['linux/amd64', 'linux/arm64']))
  .option('--immutable', 'never move a tag that has another image')
  .option('--force', 'push an image although its verdict is not good')
  .option('--no-statements', 'leave SBOM and provenance behind')
  .option('--mount-from <repository>', 'take blobs from this repository of the same registry, repeatable', collect)
  .option('--create', 'in ECR: make the repository unless it is there, and let Lambda pull from it')
  .option('--kms-key <key>', 'with --create: encrypt with this key of KMS')
  .option('--keep-untagged <n>', 'with --create: how many untagged manifests are kept', positiveNumber, 300)
  .option('--share <account:ID>', 'in ECR: let functions of this account use the image, repeatable', collect)
  .option('--profile <name>', 'for ECR: a profile of ~/.aws (also: AWS_PROFILE)')
  .option('--update-function <name>', 'point this function at the image, and wait until it is active')
  .option('--alias <name>', 'with --update-function: publish a version and lead this alias to it')
  .option('--shift <percent:time>', 'with --alias: for a part of the calls first, such as 10%:5m; it returns on errors')
  .option('--max-error-rise <percent>', 'with --shift: errors the new version may make more, of 100 calls', percent, 1)
  .option('--dry-run', 'ask what there is, say what would be sent, and change nothing')
  .action(async (image: string, targets: string[], options, command: Command) =>
    (await import('./cli/push.ts')).push({ image, targets, ...options }, edgeOf(command)),
  );

profileOptions(
  program
    .command('bake')
    .argument('[recipe...]', 'as for `plan`, or plan files (.json) of `plan --json`')
    .description('write a BuildKit bake file that makes the same layers as `build`, for remote or many builders')
    .option('--all', 'every recipe in every flavour')
    .addOption(new Option('--flavor <flavor>', 'which build of CPython').choices(flavors))
    .option('--arch <arch>', "Lambda's architecture, repeatable (default: this machine's)", collect, []),
)
  .option('--profile-data <file>', 'the profile.tar of an earlier release build: a bake does not train')
  .addOption(
    new Option('--engine <engine>', 'the container engine that looks at the builder image')
      .default('container')
      .env('MAKE_RUNTIME_ENGINE'),
  )
  .addOption(new Option('--builder <image>', 'the image that builds').env('MAKE_RUNTIME_BUILDER'))
  .option('--python <version>', 'a pinned patch release')
  .option('-o, --output <dir>', 'the folder to write', 'dist/bake')
  .action(async (recipes: string[], options, command: Command) =>
    (await import('./cli/bake.ts')).bake(recipes, options, edgeOf(command)),
  );

program
  .command('pack', { hidden: true })
  .description('the last stage of a bake: compiled parts to layer.zip')
  .requiredOption('--plan <file>', 'the plan they were made from')
  .requiredOption('--compiled <dir>', 'root/ and embed/')
  .requiredOption('--executable <file>', 'the linked executable')
  .requiredOption('--source <tar>', "CPython's source")
  .requiredOption('-o, --output <dir>', 'where the artifact goes')
  .action(async (options, command: Command) => (await import('./cli/bake.ts')).pack(options, edgeOf(command)));

program
  .command('verify')
  .argument('<artifact>', 'a layer .zip, also one that this tool did not build')
  .description('prove that a layer will run on Lambda, or say why not')
  .addOption(new Option('--arch <arch>', 'the architecture it must be for').choices(architectures))
  .option('--rebuild', 'make it again from the plan beside it, with nothing cached, and compare the bytes')
  .option('--base <image>', 'with --rebuild: the base of the image beside it, when that is not the default one')
  .option(
    '--code <zip>',
    'also whether this function, or this layer of packages, fits it: bytecode, extension modules, size',
  )
  .action(async (artifact: string, options, command: Command) =>
    (await import('./cli/verify.ts')).verify({ artifact, ...options }, edgeOf(command)),
  );

program
  .command('inspect')
  .argument('<artifact>', 'a layer .zip')
  .description('sizes by folder, what was dropped and why, libraries needed, how Python was built')
  .option('--licenses', 'instead: every component with its version, its licence and where the text is in the artifact')
  .action(async (artifact: string, options, command: Command) =>
    (await import('./cli/inspect.ts')).inspect({ artifact, ...options }, edgeOf(command)),
  );

program
  .command('invoke')
  .argument('<artifact>', 'a layer .zip')
  .description('send events to a handler through the real bootstrap, in a Lambda-like sandbox')
  .requiredOption('--handler <module.function>', 'as in the function configuration, for example app.handler')
  .requiredOption('--code <dir>', "the function's code")
  .option(
    '-e, --event <json|@file|->',
    'JSON, a file (.jsonl: one event a line), or - for stdin; repeatable',
    collect,
    [],
  )
  .option('--env <name=value>', 'an environment variable, repeatable', collect, [])
  .option('--layer <zip>', 'a further layer, repeatable; later ones win', collect, [])
  .option('--timeout <seconds>', 'as in the function configuration', positiveNumber, 3)
  .option('--memory <mb>', 'as in the function configuration', positiveNumber, 128)
  .addHelpText(
    'after',
    `
The response goes to stdout, logs and the REPORT line to stderr. Exit status 0 when every event got a response;
otherwise the status of what went wrong (docs/errors.md): 90 the handler raised, 92 import error, 95 timeout, ...`,
  )
  .action(async (artifact: string, options, command: Command) =>
    (await import('./cli/invoke.ts')).invoke({ artifact, ...options }, edgeOf(command)),
  );

const awsOptions = (command: Command): Command =>
  command
    .option(
      '--region <region>',
      'several with commas between them, repeatable, or all (default: AWS_REGION, the profile)',
      collect,
    )
    .option('--profile <name>', 'a profile of ~/.aws (also: AWS_PROFILE)')
    .option('--concurrency <n>', 'regions at a time', wholeNumber, 8);

awsOptions(program.command('publish').argument('<artifact>', 'a layer .zip'))
  .description('publish a layer version in one or many regions, unless it is there already')
  .requiredOption('--name <name>', "the layer's name")
  .option('--description <text>', 'goes before what it was built from')
  .option('--license <text>', 'SPDX expression (default: those of all components, where it fits)')
  .option('--share <with>', 'public, account:ID or org:ID; repeatable', collect)
  .option('--ssm-parameter <path>', 'an SSM parameter that gets the ARN')
  .option(
    '--keep <n>',
    'afterwards remove all but the newest <n> versions, never one that a function uses',
    wholeNumber,
  )
  .option('--s3-bucket <name>', 'for layers over 50 MB (default: make-runtime-{account}-{region})')
  .option('--create-bucket', 'make that bucket where it is missing, closed to the public')
  .option('--keep-object', 'leave the zip in the bucket')
  .option('--write <dir>', 'write the ARNs as Markdown, CDK, SAM, CloudFormation and Terraform')
  .option('--force', 'in spite of a bad verdict; says what is overridden')
  .option('--dry-run', 'only say what would be done')
  .action(async (artifact: string, options, command: Command) =>
    (await import('./cli/publish.ts')).publish({ artifact, ...options }, edgeOf(command)),
  );

awsOptions(program.command('layers'))
  .description('what is published where, and what of it is stale')
  .option('--name <name>', 'only this layer, also one that make-runtime did not publish')
  .action(async (options, command: Command) => (await import('./cli/layers.ts')).layers(options, edgeOf(command)));

program
  .command('serve')
  .argument('<artifact|recipe>', 'a layer .zip, or a recipe as for `build`, which is then built')
  .description('a local Lambda: its HTTP API, function URLs and execution environments, for SDKs, the AWS CLI and curl')
  .option('--code <dir>', "the function's code")
  .option('--handler <module.function>', 'as in the function configuration, for example app.handler')
  .option('--name <name>', 'what the function of --code and --handler is called', 'function')
  .option('--function <name=dir:handler>', 'a further function, repeatable', collect, [])
  .option('--port <port>', 'where to listen; 0: any free one', portNumber, 9000)
  .option(
    '--host <address>',
    'another address than loopback: everybody who reaches it can run the functions',
    '127.0.0.1',
  )
  .option('--env <name=value>', 'an environment variable, repeatable', collect, [])
  .option('--env-file <file>', 'a file of them, one NAME=value a line, repeatable; --env wins', collect, [])
  .option('--layer <zip>', 'a further layer, repeatable; later ones win', collect, [])
  .option('--memory <mb>', 'as in the function configuration', positiveNumber, 128)
  .option('--timeout <seconds>', 'as in the function configuration', positiveNumber, 3)
  .option('--concurrency <n>', 'execution environments of a function at most; more are throttled', wholeNumber, 10)
  .option(
    '--managed-instances <n>',
    'one Managed Instances environment with so many invocations at a time, instead of --concurrency',
    wholeNumber,
  )
  .option('--idle <seconds>', 'how long an idle environment is kept', positiveNumber, 600)
  .option('--alias <name>', 'a qualifier that callers may use, repeatable', collect, [])
  .addOption(
    new Option('--front <front>', 'what stands in front of the functions on /').choices(fronts).default('function-url'),
  )
  .option('--watch', 'what is saved in --code is served by the next invocation')
  .option(
    '--debug [port]',
    'wait for a debugger (debugpy) on a port, 5678 by default, before the handler is imported',
    portNumber,
  )
  .option('--debugpy <dir>', 'with --debug: the folder that holds debugpy, where neither function nor layer has it')
  .option('--fetch-debugpy', 'with --debug: get debugpy from PyPI where it is missing')
  .option('--stream', 'function URLs stream (InvokeMode RESPONSE_STREAM)')
  .option('--retry-delays <seconds,...>', 'waits before further attempts of asynchronous events (default: 60,120)')
  .option('--destinations <dir>', 'keep a record of every asynchronous event that succeeded or failed for good')
  .addHelpText(
    'after',
    `
The address goes to stdout, logs to stderr. With --json everything that happens goes to stdout, one object a line.
Ctrl-C ends the environments with SIGTERM, as Lambda does; the exit status is then 0.`,
  )
  .action(async (subject: string, options, command: Command) =>
    (await import('./cli/serve.ts')).serve({ subject, ...options }, edgeOf(command)),
  );

program
  .command('deps')
  .description(
    'packages for a runtime as a layer or a function zip: the right wheels, byte-compiled, tried on the runtime',
  )
  .option('-r, --requirement <file>', 'a requirements file of pip, repeatable; hashes in it are checked', collect, [])
  .requiredOption('--for <layer.zip>', 'the runtime they are for, as `build` made it')
  .option('--layer', 'a layer, with python/ at its root (default)')
  .option('--function', 'a function zip')
  .option('--code <dir>', "the function's own code, for a function zip")
  .option('-o, --output <zip>', 'the zip to write (default: dist/out/packages.zip or dist/out/function.zip)')
  .option('--lock <file>', 'write what was chosen, with hashes, as a requirements file')
  .option('--build', 'compile packages that have no wheel, with the builder of the runtime')
  .option('--engine <engine>', 'with --build: which container engine, for a runtime that one built')
  .option('--require-gil-off', 'fail when a package would turn the GIL back on')
  .action(async (options, command: Command) => (await import('./cli/deps.ts')).deps(options, edgeOf(command)));

program
  .command('init')
  .argument('[dir]', 'a new folder')
  .description('a ready project: a sample handler, a local test, and what deploys it; asks for what is missing')
  .addOption(new Option('--for <tool>', 'what deploys it (default: sam)').choices(targets))
  .addOption(new Option('--package <kind>', 'layer or container image (default: layer)').choices(packageKinds))
  .addOption(new Option('--sample <name>', 'the handler (default: plain)').choices(sampleNames))
  .addOption(new Option('--arch <arch>', "Lambda's architecture (default: this machine's)").choices(architectures))
  .option('--recipe <recipe>', 'which Python, as for `build`', '3.13t')
  .action(async (dir: string | undefined, options, command: Command) =>
    (await import('./cli/init.ts')).init({ dir, ...options }, edgeOf(command)),
  );

program
  .command('doctor')
  .description('what this machine can and cannot do, each with the command that fixes it')
  .action(async (_options, command: Command) => (await import('./cli/doctor.ts')).doctor(edgeOf(command)));

program
  .command('lock')
  .description('maintain recipes/sources.lock.json, the pins of every source')
  .option('--check', 'only check: order, recipes without a pin, and every download that can be reached')
  .option('--add <version>', 'pin a further CPython release, repeatable', collect, [])
  .option('--builder [image]', "pin the builder image (default: AWS's provided:al2023) to what its registry has now")
  .option('--mirror <url>', 'a further place to get it from, repeatable', collect, [])
  .option('--upgrade', 'look for newer releases, verify their signatures, and show what would change')
  .option('--write', 'with --upgrade: pin what was found')
  .option('--upstream <url>', "with --upgrade: a mirror of python.org's ftp/python/ folder")
  .option('--trusted-root <file>', "with --upgrade: a Sigstore trusted_root.json (default: Sigstore's own, refreshed)")
  .addHelpText(
    'after',
    `
--upgrade writes nothing without --write. With --check its exit status is 18 (LOCK_STALE) when there is a newer
release, for a scheduled job in CI.`,
  )
  .action(async (options, command: Command) => (await import('./cli/lock.ts')).lock(options, edgeOf(command)));

program
  .command('quickstart')
  .description('from nothing to a sample handler on a free-threaded CPython compiled here (may install packages)')
  .option('-o, --output <dir>', 'where the artifact goes: <dir>/<plan name>/', 'dist/out')
  .action(async (options, command: Command) =>
    (await import('./cli/quickstart.ts')).quickstart(options.output, edgeOf(command)),
  );

program
  .command('bench')
  .description("measure time, memory and counts beside plain python, AWS's own client and other runtimes")
  .argument('[artifact...]', 'layers (.zip), or recipes, which are then built; the first is judged (default: 3.13t)')
  .option('--runs <n>', 'measured starts of each; long benchmarks take a fraction of it', positiveNumber, 30)
  .option(
    '--only <benchmark>',
    'only this one, or this kind: cold, warm, throughput, memory, counts; repeatable',
    collect,
    [],
  )
  .option(
    '--client <python>',
    "AWS's client on this interpreter too, repeatable; none: not even on our own",
    collect,
    [],
  )
  .option('--image <reference>', 'a Lambda image of a container engine too, repeatable', collect, [])
  .option('--engine <engine>', 'the engine that has the images', 'auto')
  .option('--cold', 'take the files of each runtime and function out of the page cache before each start')
  .option('--memory <mb,...>', "limit the processor to these memory sizes' shares", numbers, [])
  .option('--out <file>', 'write every sample, for --from and --compare')
  .option('--html <file>', 'write a report with charts, one file without anything from a network')
  .option('--markdown <file>', 'write the tables as Markdown')
  .option('--write <document>', 'rewrite the blocks of figures in a Markdown document, repeatable', collect, [])
  .option('--from <file>', 'measure nothing: show what --out has written')
  .option('--compare <old.json>', 'measure nothing: what is worse in the result that follows; status 141 if anything')
  .option('--tolerance <percent>', 'with --compare: a change that nobody minds', positiveNumber, 3)
  .option('--all', 'with --compare: show every figure')
  .option('--on-aws', 'measure on Lambda: temporary functions in your account, which are removed again (costs cents)')
  .option('--role <arn>', 'with --on-aws: their execution role; it needs no permissions')
  .option('--region <region>', 'with --on-aws: where (default: as the AWS CLI would choose)')
  .option('--profile <name>', 'with --on-aws: a profile of ~/.aws')
  .option('--clean', 'with --on-aws: measure nothing, remove what runs that were killed have left')
  .action(async (artifacts: string[], options, command: Command) => {
    const { bench, compareResults } = await import('./cli/bench.ts');
    const { compare, tolerance, all = false } = options;
    if (compare !== undefined) await compareResults([compare, ...artifacts], { tolerance, all }, edgeOf(command));
    else await bench({ artifacts, ...options }, edgeOf(command));
  });

tab(program); // `make-runtime complete <shell>`

// The first Ctrl-C lets stages clean up behind themselves, the second one does not wait for them.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    if (abort.signal.aborted) process.exit(exitStatus.CANCELLED);
    abort.abort();
  });
}
// `make-runtime list | head -1` is not an error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

try {
  await program.parseAsync();
} catch (error) {
  edge?.progress.stop();
  if (error instanceof CommanderError) {
    // commander has printed its message already; help and version are not errors.
    process.exitCode = error.exitCode === 0 ? 0 : exitStatus.USAGE;
  } else {
    const failure = describeFailure(error, {
      colors: edge?.colors ?? pc,
      json: edge?.json ?? false,
      versions: `make-runtime ${program.version()}, Node ${process.version}, ${process.platform} ${process.arch}`,
    });
    process.stderr.write(failure.text);
    process.exitCode = failure.status;
  }
} finally {
  edge?.progress.stop();
}

function collect(value: string, previous: string[] = []): string[] {
  return [...previous, value];
}

function percent(text: string): number {
  const number = Number(text);
  if (!(number >= 0 && number <= 100))
    throw new CommanderError(1, 'commander.invalidArgument', `"${text}" is not a percentage.`);
  return number;
}

function wholeNumber(text: string): number {
  const number = positiveNumber(text);
  if (Number.isInteger(number)) return number;
  throw new CommanderError(1, 'commander.invalidArgument', `"${text}" is not a whole number.`);
}

function portNumber(text: string): number {
  if (/^\d{1,5}$/.test(text) && Number(text) < 65_536) return Number(text);
  throw new CommanderError(1, 'commander.invalidArgument', `"${text}" is not a port: 0 to 65535.`);
}

function positiveNumber(text: string): number {
  const number = Number(text);
  if (!Number.isFinite(number) || number <= 0)
    throw new CommanderError(1, 'commander.invalidArgument', `"${text}" is not a positive number.`);
  return number;
}

function numbers(text: string): number[] {
  return text.split(',').map(positiveNumber);
}
