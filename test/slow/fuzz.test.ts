// The HTTP client and the JSON codec under libFuzzer with AddressSanitizer and UBSan, each from the corpus beside its target and
// on a core of its own: five minutes each, ten together. A finding is kept as a file and named; add it to the corpus once it
// is fixed. MAKE_RUNTIME_FUZZ_SECONDS is how long.
import { copyFile, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const target = join(import.meta.dirname, '..', '..', 'bootstrap-src', 'test', 'fuzz');
const seconds = Number(process.env['MAKE_RUNTIME_FUZZ_SECONDS'] ?? 300);
const flags = ['-std=c11', '-D_GNU_SOURCE', '-Wall', '-Wextra', '-Werror', '-g', '-O1', '-fno-sanitize-recover=all'];
const codec = join(import.meta.dirname, '..', '..', 'bootstrap-src');
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'make-runtime-fuzz-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const compile = (sources: readonly string[], output: string) =>
  execa('clang', [...flags, '-fsanitize=fuzzer,address,undefined', '-o', output, ...sources], {
    reject: false,
    all: true,
  });

/** Why nothing can be fuzzed here, or undefined: a compiler without its fuzzer is common (Debian splits them). */
async function missing(): Promise<string | undefined> {
  const source = join(await mkdtemp(join(folder, 'empty-')), 'empty.c');
  await writeFile(
    source,
    'int LLVMFuzzerTestOneInput(const unsigned char *d, unsigned long n);\n' +
      'int LLVMFuzzerTestOneInput(const unsigned char *d, unsigned long n) { (void)d; (void)n; return 0; }\n',
  );
  const { exitCode, all, message } = await compile([source], join(await mkdtemp(join(folder, 'empty-')), 'empty'));
  if (exitCode === 0) return undefined;
  const reason = (all || message || '').split('\n')[0];
  return `clang with libFuzzer is needed (apt-get install clang libclang-rt-dev): ${reason}`;
}

/**
 * Fuzzes from the committed corpus for `seconds`. A finding is kept in the folder for temporary files and named.
 * @returns after asserting that there was none, and that it has really run
 */
async function fuzz(name: string, corpusName: string, options: readonly string[]): Promise<void> {
  // What is new goes into the first folder; the committed corpus is only read.
  const found = join(folder, `${name}-found`);
  await mkdir(found);
  const corpus = join(target, corpusName);
  const result = await execa(
    join(folder, name),
    [
      ...[`-max_total_time=${seconds}`, '-timeout=20', '-rss_limit_mb=2048', ...options],
      ...[`-dict=${join(target, `${name}.dict`)}`, `-artifact_prefix=${folder}/${name}-finding-`],
      ...['-print_final_stats=1', found, corpus],
    ],
    // An interpreter that is not finalized has memory left.
    { reject: false, all: true, env: { ASAN_OPTIONS: 'detect_leaks=0' } },
  );
  const findings = (await readdir(folder)).filter((file) => file.startsWith(`${name}-finding-`));
  for (const file of findings) await copyFile(join(folder, file), join(tmpdir(), file));
  const kept = findings.map((file) => join(tmpdir(), file)).join(', ');
  const log = result.all ?? '';
  const reason = log.split('\n').filter((line) => /ERROR|SUMMARY|does not hold|runtime error/.test(line));
  expect(findings, `${reason.join('\n')}\nkept as ${kept}\n${log.slice(-3000)}`).toEqual([]);
  expect(result.exitCode, log.slice(-3000)).toBe(0);
  const executed = Number(/stat::number_of_executed_units: (\d+)/.exec(log)?.[1]);
  expect(executed).toBeGreaterThan((await readdir(corpus)).length);
}

// Both at the same time: one core each.
describe.concurrent(`in ${seconds} seconds`, () => {
  test('nothing a server does crashes, hangs or confuses the HTTP client', async ({ skip }) => {
    const why = await missing();
    skip(why !== undefined, why);
    const built = await compile([join(target, 'runtime_api_fuzz.c')], join(folder, 'runtime_api'));
    expect(built.all).toBe('');
    await fuzz('runtime_api', 'corpus', ['-max_len=32768']);
  });

  test('the JSON codec agrees with json on every document', async ({ skip }) => {
    const why = await missing();
    skip(why !== undefined, why);
    const flags = async (option: string) =>
      (await execa('python3-config', [option, '--embed'], { reject: false })).stdout.split(/\s+/).filter(Boolean);
    const includes = await flags('--includes');
    skip(includes.length === 0, 'python3-config is needed (apt-get install python3-dev)');
    const files = [join(target, 'json_fuzz.c'), ...['decode', 'encode'].map((one) => join(codec, `json_${one}.c`))];
    const built = await compile(
      ['-DTAKE_OVER=8', '-DLARGE=16', ...includes, ...files, ...(await flags('--ldflags'))],
      join(folder, 'json'),
    );
    expect(built.all).toBe('');
    await fuzz('json', 'json-corpus', ['-max_len=4096']);
  });
});
