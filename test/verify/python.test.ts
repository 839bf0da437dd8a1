// The probes on a real interpreter: the machine's own python3, in a folder shaped like a layer. Its library is reached
// through links, file by file, so that single modules can be taken away or broken.
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Entry, fileOf, linkTo, makeTree } from '../../build/tree/tree.ts';
import type { FactsOutput } from '../../build/verify/probes.ts';
import { askFacts, type Interpreter, runChecks, runnable } from '../../build/verify/run-checks.ts';
import { localRunner, type Runner } from '../../build/verify/runner.ts';
import { type Subject, treeSubject } from '../../build/verify/subject.ts';
import type { Finding } from '../../build/verify/verdict.ts';
import { said } from './subjects.ts';

const describePython = `
import json, os, sys, sysconfig, importlib.util, importlib.machinery
names = [n for n in sys.stdlib_module_names if n not in sys.builtin_module_names and importlib.util.find_spec(n) is None]
shared = os.path.join(sysconfig.get_config_var('LIBDIR') or '', sysconfig.get_config_var('INSTSONAME') or '')
print(json.dumps({
    'executable': os.path.realpath(sys.executable), 'version': '%d.%d' % sys.version_info[:2],
    'stdlib': sysconfig.get_path('stdlib'), 'missing': sorted(names),
    'shared': shared if sysconfig.get_config_var('Py_ENABLE_SHARED') and os.path.exists(shared) else None,
}))`;

interface Host {
  executable: string;
  version: string;
  stdlib: string;
  missing: string[];
  shared: string | null;
}

function findHost(): Host | undefined {
  try {
    return JSON.parse(execFileSync('python3', ['-I', '-c', describePython], { encoding: 'utf8' }));
  } catch {
    return undefined;
  }
}

const host = findHost();
const scratch = mkdtempSync(join(tmpdir(), 'python-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

describe.skipIf(!host)('with the python3 of this machine', () => {
  const { executable, version, stdlib, missing, shared } = host ?? ({} as Host);
  const layer = join(scratch, 'layer');
  const program = `lang/bin/python${version}`;
  const library = join(layer, 'lang/lib', `python${version}`);
  /** Left out of the layer, and each in the list of every version. */
  const gone = ['wave', 'sched'];
  let subject: Subject;
  let interpreter: Interpreter;
  let facts: FactsOutput;
  let findings: Finding[];

  beforeAll(async () => {
    mkdirSync(join(layer, 'lang/bin'), { recursive: true });
    mkdirSync(library, { recursive: true });
    mkdirSync(join(layer, 'lib'));
    copyFileSync(executable, join(layer, program));
    chmodSync(join(layer, program), 0o755);
    if (shared) symlinkSync(shared, join(layer, 'lib', shared.split('/').at(-1) ?? ''));
    const replaced = [...gone.map((name) => `${name}.py`), 'colorsys.py', 'quopri.py'];
    for (const name of readdirSync(stdlib)) {
      if (!replaced.includes(name)) symlinkSync(join(stdlib, name), join(library, name));
    }
    writeFileSync(join(library, 'colorsys.py'), 'import os\nos.abort()\n');
    writeFileSync(join(library, 'quopri.py'), 'print("noise on stdout")\nimport _left_out_by_the_recipe\n');

    const entries: [string, Entry][] = [
      ['bootstrap', linkTo(program)],
      [program, fileOf(readFileSync(executable), 0o755)],
      [`lang/lib/python${version}/os.py`, fileOf('')],
    ];
    const plan = { withoutModules: [...missing, '_left_out_by_the_recipe'].map((value) => ({ value })), prune: [] };
    const record = { plan: { ...plan, python: { version: undefined }, flavor: 'default' } };
    subject = {
      ...(await treeSubject(makeTree(entries), 'layer.zip')),
      record: record as unknown as Subject['record'] & object,
    };
    mkdirSync(join(scratch, 'tmp'));
    const local = localRunner(layer);
    const runner: Runner = {
      ...local,
      run: (argv, options) => local.run(argv, { ...options, env: { TMPDIR: join(scratch, 'tmp'), ...options?.env } }),
    };
    const found = runnable(subject, runner, process.arch);
    if (typeof found === 'string') throw new Error(found);
    interpreter = found;
    const answer = await askFacts(interpreter);
    if ('check' in answer) throw new Error(answer.message);
    facts = answer;
    findings = await runChecks(subject, interpreter, facts);
  }, 60_000);

  test('it says what it is', () => {
    expect(facts.version).toMatch(new RegExp(`^${version.replace('.', '\\.')}\\.\\d+$`));
    expect(facts.prefix).toBe(join(layer, 'lang'));
    expect(facts.modules.length).toBeGreaterThan(200);
    const magic = execFileSync(executable, [
      '-c',
      'import importlib.util as u; print(u.MAGIC_NUMBER[0] + 256 * u.MAGIC_NUMBER[1])',
    ]);
    expect(facts.magic).toBe(Number(magic));
    expect(said(findings, 'run.version')[0]).toMatch(/^pass: Python 3\.\d+\.\d+ starts \(cpython, /);
  });

  test('it can be moved, and leaves nothing behind', () => {
    expect(said(findings, 'run.relocatable')).toEqual([
      'pass: It runs from two other folders, and its prefix follows.',
    ]);
    expect(readdirSync(join(scratch, 'tmp'))).toEqual([]);
  });

  test('modules that are missing or crash are all named, the others are not', () => {
    const failures = said(findings, 'run.stdlib').filter((text) => text.startsWith('fail'));
    const causes = failures.filter((text) => !text.includes('because the recipe leaves out'));
    const named = causes.map((text) => /^fail: (\w+) cannot be imported/.exec(text)?.[1]).sort();
    expect(named).toEqual(['colorsys', ...gone].sort());
    expect(failures.find((text) => text.includes('colorsys'))).toMatch(/crashed or hung \(ended by SIGABRT\)/);
    expect(said(findings, 'run.stdlib')).toContain(
      'fail: quopri cannot be imported, because the recipe leaves out _left_out_by_the_recipe.',
    );
    // The last line counts what was imported, in spite of the crash in between and of the noise on stdout.
    expect(said(findings, 'run.stdlib').at(-1)).toMatch(/^note: 2\d\d modules of 2\d\d can be imported\.$/);
  });

  test('TLS: the check says which file or folder it looked at', () => {
    const [answer = ''] = said(findings, 'run.tls');
    expect(answer).toMatch(
      /ssl loads \(OpenSSL .*\)(, but finds no certificate: it looks for \/| and finds [\d,]+ certificates? in \/)/,
    );
    const where = / in (\/\S+?)[.,]/.exec(answer)?.[1];
    expect(answer.startsWith('pass')).toBe(
      where !== undefined && /^\/etc\/(pki|ssl)\/(tls\/|certs\/ca-bundle|cert\.pem)/.test(where),
    );
  });

  test('SSL_CERT_FILE is honoured, as on Lambda', async () => {
    const { tlsProbe } = await import('../../build/verify/probes.ts');
    const file = join(scratch, 'ca.pem');
    writeFileSync(file, '');
    const run = await interpreter.pythonWithEnvironment(['-c', tlsProbe], { env: { SSL_CERT_FILE: file } });
    expect(JSON.parse(run.stdout)).toMatchObject({ cafile: file, fromEnvironment: [file, null] });
  });

  test('a .pyc that was made from another source is noticed', async () => {
    const { staleProbe } = await import('../../build/verify/probes.ts');
    const folder = join(scratch, 'stale');
    mkdirSync(folder);
    writeFileSync(join(folder, 'same.py'), 'x = 1\n');
    writeFileSync(join(folder, 'edited.py'), 'x = 1\n');
    execFileSync(executable, ['-m', 'compileall', '-q', '--invalidation-mode', 'unchecked-hash', folder]);
    writeFileSync(join(folder, 'edited.py'), 'x = 2\n');
    const run = await interpreter.python(['-c', staleProbe, folder]);
    expect(run.stdout).toBe(`${join(folder, 'edited.py')}\n`);
  });

  test('the JIT probe says no on a Python without one, and on one that was not asked for it', async () => {
    const { jitProbe } = await import('../../build/verify/probes.ts');
    const run = await interpreter.pythonWithEnvironment(['-c', jitProbe]);
    expect(run.stdout).toBe('false');
  });

  test('from 3.14 on sys._jit is asked', async () => {
    const { factsProbe, jitProbe } = await import('../../build/verify/probes.ts');
    const standIn = (enabled: string) =>
      `import sys\nclass Jit:\n    is_available = staticmethod(lambda: True)\n    is_enabled = staticmethod(lambda: ${enabled})\nsys._jit = Jit\n`;
    const ask = async (probe: string, enabled: string) =>
      (await interpreter.python(['-c', standIn(enabled) + probe])).stdout;
    expect(await ask(jitProbe, 'True')).toBe('true');
    expect(await ask(jitProbe, 'False')).toBe('false');
    expect(await ask(jitProbe, '1 / 0')).toBe('unknown');
    expect(JSON.parse(await ask(factsProbe, 'True'))).toMatchObject({ jit: true });
  });

  test('the runner: environment, input, exit status, timeout, and a program that is not there', async () => {
    const runner = localRunner(layer);
    const code = 'import os, sys; print(sorted(os.environ), sys.stdin.read()); sys.exit(3)';
    const run = await runner.run([interpreter.program, '-I', '-c', code], { env: { EXTRA: '1' }, input: 'hello' });
    expect(run).toMatchObject({ exitCode: 3, stdout: expect.stringContaining('hello') });
    expect(run.stdout).toContain("['EXTRA', 'LANG', 'LD_LIBRARY_PATH', 'PATH'");
    const slow = await runner.run([interpreter.program, '-c', 'import time; time.sleep(60)'], { timeoutMs: 200 });
    expect(slow).toMatchObject({ exitCode: null, signal: 'SIGTERM' });
    const none = await runner.run([join(layer, 'bin/none')]);
    expect(none).toMatchObject({ exitCode: null, stderr: expect.stringContaining('ENOENT') });
  });
});
