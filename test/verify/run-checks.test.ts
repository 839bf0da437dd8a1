// The checks that run the interpreter, with an interpreter that says what the case wants to hear. python.test.ts has
// a real one.
import { describe, expect, test } from 'vitest';
import { fileOf, linkTo, makeTree } from '../../build/tree/tree.ts';
import { verify } from '../../build/verify/checks.ts';
import { describeInspection, inspect } from '../../build/verify/inspect.ts';
import { treeSubject } from '../../build/verify/subject.ts';
import { describeVerdict, type Verdict, verdictError } from '../../build/verify/verdict.ts';
import { anyProgram, ctx, layerAround, said, scripted } from './subjects.ts';

type Plan = Parameters<typeof layerAround>[1];
type Script = Parameters<typeof scripted>[0];

const program = anyProgram();
async function judge(
  script: Script,
  plan: Plan = {},
): Promise<Verdict & { calls: ReturnType<typeof scripted>['calls'] }> {
  const runner = scripted(script);
  const verdict = await verify(await treeSubject(layerAround(program, plan), 'layer.zip'), ctx, { runner });
  return { ...verdict, calls: runner.calls };
}
const reasoned = (...values: string[]) => values.map((value) => ({ value, reason: 'sample' }));

test('a healthy interpreter passes, and is asked with the layer at /opt', async () => {
  const { findings, calls } = await judge({});
  const run = findings.filter(({ check }) => check.startsWith('run.'));
  expect(run.map(({ check, level, message }) => `${level} ${check}: ${message}`)).toEqual([
    'pass run.version: Python 3.13.0 starts (cpython, x86_64).',
    'note run.libraries: OpenSSL: OpenSSL 3.5.0; SQLite: 3.50.0; zlib: 1.3.1; expat: expat_2.7.0.',
    'pass run.relocatable: It runs from two other folders, and its prefix follows.',
    // msvcrt and this are in the list of every Python, and are never tried.
    'pass run.stdlib: All 3 modules of the library can be imported.',
    'pass run.gil: The interpreter has a GIL, as planned.',
    'pass run.tls: ssl loads (OpenSSL 3.5.0) and finds 140 certificates in /etc/pki/tls/certs/ca-bundle.crt.',
    'pass run.pyc: Every unchecked .pyc was made from the source beside it.',
  ]);
  expect(calls.every(({ argv }) => argv[0] === '/opt/lang/bin/python3.13')).toBe(true);
});

test('an interpreter that does not start is told with its last words, and nothing else is tried', async () => {
  const start = { exitCode: 127, signal: null, stdout: '', stderr: "x\nlibm.so.6: version `GLIBC_2.35' not found\n" };
  const verdict = await judge({ start });
  expect(said(verdict, 'run.start')).toEqual([
    "fail: /opt/lang/bin/python3.13 does not run: libm.so.6: version `GLIBC_2.35' not found",
  ]);
  expect(verdict.calls).toHaveLength(1);
  const killed = await judge({ start: { exitCode: null, signal: 'SIGSEGV', stdout: '', stderr: '' } });
  expect(said(killed, 'run.start')).toEqual(['fail: /opt/lang/bin/python3.13 does not run: it was ended by SIGSEGV.']);
});

test('another version than recorded', async () => {
  const verdict = await judge({ facts: { version: '3.13.5' } });
  expect(said(verdict, 'run.version')).toEqual(['fail: The interpreter is Python 3.13.5, and build.json says 3.13.0.']);
  const candidate = { python: { version: '3.15.0rc1', minor: '3.15', executable: 'python3.13' } };
  expect(said(await judge({ facts: { version: '3.15.0' } }, candidate), 'run.version')[0]).toMatch(/^pass/);
});

test('a prefix that stays behind', async () => {
  const home = '/tmp/moved-1/one';
  const stays = await judge({
    moved: [{ home, status: 0, said: ['/build/prefix', '/build/prefix/lib/python3.13/os.py'] }],
  });
  expect(said(stays, 'run.relocatable')).toEqual([
    'fail: Moved to /tmp/moved-1/one the interpreter has the prefix /build/prefix and os from /build/prefix/lib/python3.13/os.py.',
  ]);
  const dies = await judge({ moved: [{ home, status: 127, said: ['libpython3.13.so.1.0: cannot open'] }] });
  expect(said(dies, 'run.relocatable')[0]).toMatch(/the interpreter says: libpython3.13.so.1.0: cannot open\.$/);
});

test('missing modules: a cause with its consequences is one failure, what the recipe leaves out is none', async () => {
  const facts = { modules: ['_ctypes', '_tkinter', 'ctypes', 'lzma', 'tkinter', 'turtle'] };
  const none = (name: string, missed: string) =>
    `'failed'\t'${name}'\t"ModuleNotFoundError: No module named '${missed}'"\t'${missed}'`;
  const imports = {
    _ctypes: none('_ctypes', '_ctypes'),
    ctypes: none('ctypes', '_ctypes'),
    turtle: none('turtle', '_tkinter'),
  };
  const plan = {
    withoutModules: reasoned('_tkinter'),
    prune: [{ id: 'tk', patterns: [], reason: '', modules: ['tkinter'] }],
  };
  expect(said(await judge({ facts, imports }, plan), 'run.stdlib')).toEqual([
    "fail: _ctypes cannot be imported (ModuleNotFoundError: No module named '_ctypes'), and neither can ctypes.",
    'fail: turtle cannot be imported, because the recipe leaves out _tkinter.',
    'note: 1 module of 4 can be imported.',
  ]);
  // Nobody promised anything in a layer of somebody else.
  const foreign = await verify(await treeSubject(layerAround(program, undefined), 'x'), ctx, {
    runner: scripted({ facts, imports }),
  });
  expect(said(foreign, 'run.stdlib').map((one) => one.split(':')[0])).toEqual(['warn', 'warn', 'note']);
  expect(foreign.ok).toBe(verdictError(foreign) === undefined);
});

test('free-threading: off, and off to the end', async () => {
  const free = { facts: { abiflags: 't', gil: false }, gilAtStart: 'False' };
  const plan = { flavor: 'free-threaded' as const };
  expect(said(await judge(free, plan), 'run.gil')).toEqual([
    'pass: The GIL is off, and stays off with the whole library imported.',
  ]);
  expect(said(await judge({ ...free, imports: { os: "'ok'\t'os'\tTrue" } }, plan), 'run.gil')).toEqual([
    'fail: Importing os turns the GIL on.',
  ]);
  expect(said(await judge({ ...free, gilAtStart: 'True' }, plan), 'run.gil')[0]).toMatch(
    /^fail: .* the GIL is on when it starts/,
  );
  expect(said(await judge({}, plan), 'run.gil')[0]).toMatch(/^fail: The layer says free-threaded/);
  expect(said(await judge(free, {}), 'run.gil')[0]).toMatch(
    /^fail: The layer says default, and its interpreter is free-threaded/,
  );
});

describe('the JIT', () => {
  const plan = { flavor: 'jit' as const };
  const built = { facts: { variables: { PY_CORE_CFLAGS: '-O3 -D_Py_TIER2=3 -D_Py_JIT', CONFIG_ARGS: '' } } };

  test('off, and on with PYTHON_JIT=1, which is asked with the environment in effect', async () => {
    const on = await judge({ ...built, jit: 'true' }, plan);
    expect(said(on, 'run.jit')).toEqual(['pass: The JIT is off, and on with PYTHON_JIT=1.']);
    const asked = on.calls.filter(({ env }) => env?.['PYTHON_JIT'] !== undefined);
    expect(asked.map(({ env }) => env?.['PYTHON_JIT'])).toEqual(['', '1']);
    for (const { argv } of asked) expect(argv).not.toContain('-I');
  });

  test.each([
    ['stays off', { ...built, jit: 'false' }, plan, 'With PYTHON_JIT=1 the JIT stays off.'],
    ['says nothing', { ...built, jit: 'unknown' }, plan, expect.stringContaining('could not be found out')],
    [
      'is on by itself',
      { ...built, jit: 'true', jitByDefault: 'true' },
      plan,
      expect.stringContaining('is on without'),
    ],
    ['was not built', {}, plan, 'The layer says jit, and its interpreter was built without.'],
    ['was not built, says 3.14', { facts: { ...built.facts, jit: false } }, plan, expect.stringContaining('without.')],
    ['was not planned', { ...built, jit: 'true' }, {}, 'The layer says default, and its interpreter has a JIT.'],
    [
      'was not planned, says 3.14',
      { facts: { jit: true } },
      {},
      'The layer says default, and its interpreter has a JIT.',
    ],
  ])('%s', async (_, script, asPlanned, message) => {
    const { findings } = await judge(script, asPlanned);
    expect(findings.filter(({ check }) => check === 'run.jit')).toEqual([
      expect.objectContaining({ level: 'fail', message }),
    ]);
  });

  test('nothing is said where there is none, and nothing is failed in the layer of somebody else', async () => {
    expect(said(await judge({}), 'run.jit')).toEqual([]);
    const foreign = async (script: Script) =>
      said(
        await verify(await treeSubject(layerAround(program, undefined), 'x'), ctx, { runner: scripted(script) }),
        'run.jit',
      );
    expect(await foreign({ ...built, jit: 'true', jitByDefault: 'true' })).toEqual([
      'note: The JIT is on without PYTHON_JIT=1: every cold start pays for it.',
    ]);
    expect(await foreign({ ...built, jit: 'true' })).toEqual(['pass: The JIT is off, and on with PYTHON_JIT=1.']);
  });

  test('inspect says it', async () => {
    const subject = await treeSubject(layerAround(program, plan), 'x');
    const look = async (script: Script) => inspect(subject, { runner: scripted(script) });
    const found = await look({ ...built, jit: 'true' });
    expect(found.jit).toEqual({ built: true, byDefault: false, asked: true });
    expect(describeInspection(found)).toMatch(/^ {2}JIT +off; on with PYTHON_JIT=1$/m);
    expect(describeInspection(await look({}))).toMatch(/^ {2}JIT +not built$/m);
    expect((await inspect(subject)).jit).toBeUndefined();
  });
});

test('certificates: none, or only in a place of this machine', async () => {
  const none = { loaded: 0, cafile: null };
  expect(said(await judge({ tls: none }), 'run.tls')).toEqual([
    'fail: ssl loads (OpenSSL 3.5.0), but finds no certificate: it looks for /usr/lib/ssl/cert.pem and /usr/lib/ssl/certs.',
  ]);
  const here = { loaded: 0, cafile: null, capath: '/usr/lib/ssl/certs', hashed: 3 };
  expect(said(await judge({ tls: here }), 'run.tls')).toEqual([
    'warn: ssl loads (OpenSSL 3.5.0) and finds 3 certificates in /usr/lib/ssl/certs, which is a place of this machine and not of Lambda.',
  ]);
});

test('bytecode of another source', async () => {
  const verdict = await judge({ stale: '/opt/lang/lib/python3.13/os.py\n' });
  expect(said(verdict, 'run.pyc')).toEqual([
    'fail: 1 .pyc file made from another source: /opt/lang/lib/python3.13/os.py.',
  ]);
});

test('the interpreter of a foreign layer is found where its names say', async () => {
  const tree = makeTree([
    ['bootstrap', fileOf('#!/bin/sh\n', 0o755)],
    ['python/bin/python3', linkTo('python3.12')],
    ['python/bin/python3.12', fileOf(program, 0o755)],
    ['python/lib/python3.12/os.py', fileOf('')],
    ['bin/python3.9', fileOf('#!/bin/sh\nexec something\n', 0o755)],
  ]);
  const subject = await treeSubject(tree, 'x');
  expect(subject).toMatchObject({
    interpreter: 'python/bin/python3.12',
    stdlib: 'python/lib/python3.12',
    record: undefined,
  });
});

test('the verdict for people: marks, columns, one remedy for many, the worst failure as the error', async () => {
  const finding = (check: string, level: 'fail' | 'warn' | 'note' | 'pass', message: string, remedy?: string) => ({
    ...{ check, level, message },
    ...(remedy !== undefined && { remedy }),
  });
  const verdict: Verdict = {
    artifact: 'layer.zip',
    arch: 'x86_64',
    ok: false,
    findings: [
      finding('layout.size', 'pass', 'Small.'),
      finding('run.stdlib', 'fail', 'a is missing.', 'Build it.'),
      finding('run.stdlib', 'fail', 'b is missing.', 'Build it.'),
      { ...finding('elf.glibc', 'fail', 'x needs 2.35.', 'Bind it.'), code: 'ARTIFACT_GLIBC_TOO_NEW' },
      finding('zip.dates', 'note', 'They vary.'),
      finding('elf.rpath', 'warn', 'Odd.'),
    ],
  };
  expect(`\n${describeVerdict(verdict)}`).toBe(`
✓ layout.size  Small.
✗ run.stdlib   a is missing.
✗ run.stdlib   b is missing.
               → Build it.
✗ elf.glibc    x needs 2.35.
               → Bind it.
· zip.dates    They vary.
! elf.rpath    Odd.

✗ layer.zip will not run as it should: 3 failures, 1 warning`);
  expect(verdictError(verdict)).toMatchObject({
    code: 'ARTIFACT_GLIBC_TOO_NEW',
    message: 'layer.zip will not run on Lambda as it should (and 2 more failures): x needs 2.35.',
    remedy: 'Bind it.',
    detail: 'run.stdlib: a is missing.\nrun.stdlib: b is missing.\nelf.glibc: x needs 2.35.',
  });
  expect(verdictError({ ...verdict, findings: verdict.findings.slice(0, 3) })).toMatchObject({ code: 'VERIFY_FAILED' });
  expect(verdictError({ ...verdict, ok: true, findings: verdict.findings.slice(4) })).toBeUndefined();
  const good = describeVerdict({ ...verdict, ok: true, findings: [finding('layout.size', 'pass', 'Small.')] });
  expect(good).toBe('✓ layout.size  Small.\n\n✓ layer.zip will run on Lambda');
});

test('inspection: sizes, what was left out, needs, and the build, of ours and of a foreign layer', async () => {
  const runner = scripted();
  const ours = await inspect(await treeSubject(layerAround(program, {}), 'layer.zip'), { runner });
  expect(ours.folders[0]).toMatchObject({ folder: 'lang/bin', files: 1, unpacked: program.length });
  expect(ours.folders.reduce((sum, { unpacked }) => sum + unpacked, 0)).toBe(ours.unpacked);
  expect(ours.libraries.map(({ name }) => name)).toContain('libc.so.6');
  expect(ours.glibc).toMatchObject({ path: 'lang/bin/python3.13', highest: expect.stringMatching(/^2\./) });
  const text = describeInspection(ours);
  expect(text).toMatch(/Left out: 2 files, 0\.0 MB\n\s+0\.0 MB\s+2 {2}tests {2}nobody runs them/);
  expect(text).toMatch(/configure\s+--disable-shared/);
  expect(text).toMatch(/interpreter\s+3\.13\.0 \(main\)/);

  const foreign = await inspect(await treeSubject(layerAround(program, undefined), 'layer.zip'));
  expect(foreign.ledger).toBeUndefined();
  expect(describeInspection(foreign)).toMatch(/unknown {2}the layer has no build\.json/);
  expect(describeInspection(foreign)).toMatch(/interpreter {2}Nothing was run: there is no sandbox/);
});
