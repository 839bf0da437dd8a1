// The HTTP client under libFuzzer with AddressSanitizer and UBSan, from the corpus beside its target. A finding is kept
// as a file and named; add it to the corpus once it is fixed. MAKE_RUNTIME_FUZZ_SECONDS is how long (default 60).
import { copyFile, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, expect, test } from 'vitest';

const target = join(import.meta.dirname, '..', '..', 'bootstrap-src', 'test', 'fuzz');
const seconds = Number(process.env['MAKE_RUNTIME_FUZZ_SECONDS'] ?? 60);
const flags = ['-std=c11', '-D_GNU_SOURCE', '-Wall', '-Wextra', '-Werror', '-g', '-O1', '-fno-sanitize-recover=all'];
let folder: string;
let fuzzer: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'make-runtime-fuzz-'));
  fuzzer = join(folder, 'fuzzer');
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const compile = (source: string, output: string) =>
  execa('clang', [...flags, '-fsanitize=fuzzer,address,undefined', '-o', output, source], { reject: false, all: true });

/** Why nothing can be fuzzed here, or undefined: a compiler without its fuzzer is common (Debian splits them). */
async function missing(): Promise<string | undefined> {
  const source = join(folder, 'empty.c');
  await writeFile(
    source,
    'int LLVMFuzzerTestOneInput(const unsigned char *d, unsigned long n);\n' +
      'int LLVMFuzzerTestOneInput(const unsigned char *d, unsigned long n) { (void)d; (void)n; return 0; }\n',
  );
  const { exitCode, all, message } = await compile(source, join(folder, 'empty'));
  if (exitCode === 0) return undefined;
  const reason = (all || message || '').split('\n')[0];
  return `clang with libFuzzer is needed (apt-get install clang libclang-rt-dev): ${reason}`;
}

test(`nothing a server does crashes, hangs or confuses the HTTP client, in ${seconds} seconds`, async ({ skip }) => {
  const why = await missing();
  skip(why !== undefined, why);
  const built = await compile(join(target, 'runtime_api_fuzz.c'), fuzzer);
  expect(built.all).toBe('');
  // What is new goes into the first folder; the committed corpus is only read.
  const found = join(folder, 'found');
  await mkdir(found);
  const corpus = join(target, 'corpus');
  const result = await execa(
    fuzzer,
    [
      ...[`-max_total_time=${seconds}`, '-timeout=10', '-max_len=32768', '-rss_limit_mb=1024'],
      ...[`-dict=${join(target, 'runtime_api.dict')}`, `-artifact_prefix=${folder}/finding-`],
      ...['-print_final_stats=1', found, corpus],
    ],
    { reject: false, all: true },
  );
  const findings = (await readdir(folder)).filter((name) => name.startsWith('finding-'));
  for (const name of findings) await copyFile(join(folder, name), join(tmpdir(), name));
  const kept = findings.map((name) => join(tmpdir(), name)).join(', ');
  const log = result.all ?? '';
  const reason = log.split('\n').filter((line) => /ERROR|SUMMARY|does not hold|runtime error/.test(line));
  expect(findings, `${reason.join('\n')}\nkept as ${kept}\n${log.slice(-3000)}`).toEqual([]);
  expect(result.exitCode, log.slice(-3000)).toBe(0);
  // That it has really run: every committed input, and many more.
  const executed = Number(/stat::number_of_executed_units: (\d+)/.exec(log)?.[1]);
  expect(executed).toBeGreaterThan((await readdir(corpus)).length);
});
