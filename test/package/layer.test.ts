import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import type { ReportEvent } from '../../build/lib/report.ts';
import { buildRecord, readBuildRecord } from '../../build/package/build-json.ts';
import { layerTree, refuseOversize } from '../../build/package/layout.ts';
import { packageLayer } from '../../build/package/package.ts';
import { readZip } from '../../build/package/unzip.ts';
import { stableJson } from '../../build/recipe/canonical.ts';
import { prune } from '../../build/tree/prune.ts';
import { emptyTree, fileOf, makeTree, mergeTrees, resolvePath } from '../../build/tree/tree.ts';
import { samplePlan } from '../verify/sample-plan.ts';

const scratch = mkdtempSync(join(tmpdir(), 'layer-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const plan = samplePlan({ python: { version: '3.13.15', minor: '3.13', executable: 'python3.13t' } });
const installed = makeTree([
  ['bin/python3.13t', fileOf('program', 0o755)],
  ['bin/idle3.13', fileOf('idle', 0o755)],
  ['lib/python3.13t/os.py', fileOf('os')],
]);
const { tree, ledger } = prune(installed, [{ id: 'programs', patterns: ['bin/idle*'], reason: 'no display' }]);
const ctx = () => {
  const events: ReportEvent[] = [];
  return { report: (event: ReportEvent) => void events.push(event), signal: new AbortController().signal, events };
};

test('the layer has the interpreter in its own folder, and names outside it that lead there', () => {
  const notices = makeTree([['openssl/LICENSE.txt', fileOf('Apache-2.0')]]);
  const layer = layerTree({ tree, python: plan.python, notices, buildJson: Buffer.from('{}') });
  expect(
    [...layer.entries].map(([path, entry]) => (entry.kind === 'link' ? `${path} -> ${entry.target}` : path)),
  ).toEqual([
    'bin/python3 -> ../lang/bin/python3.13t',
    'bin/python3.13 -> ../lang/bin/python3.13t',
    'bin/python3.13t -> ../lang/bin/python3.13t',
    'bootstrap -> lang/bin/python3.13t',
    'lang/bin/python3.13t',
    'lang/build.json',
    'lang/lib/python3.13t/lib-dynload/README.txt',
    'lang/lib/python3.13t/os.py',
    'lang/share/licenses/openssl/LICENSE.txt',
  ]);
  expect(resolvePath(layer, 'bin/python3')).toBe('lang/bin/python3.13t');
});

test('a tree without its executable is a bug of the stage before, and said so', () => {
  const content = { tree: emptyTree, python: plan.python, notices: emptyTree, buildJson: Buffer.from('{}') };
  expect(() => layerTree(content)).toThrow('no executable bin/python3.13t');
});

test('a layer that Lambda would not unpack is refused, with its biggest folders', () => {
  const big = (size: number) => ({ ...fileOf(''), size });
  const layer = makeTree([
    ['lang/lib/python3.13t/test/data.bin', big(200_000_000)],
    ['lang/lib/python3.13t/os.py', big(62_144_000)],
  ]);
  refuseOversize(layer);
  expect(() => refuseOversize(mergeTrees(layer, makeTree([['one', big(1)]])))).toThrow(
    expect.objectContaining({
      code: 'PACK_TOO_LARGE',
      message: "The layer would be 262,144,001 bytes unpacked, over Lambda's 262,144,000.",
      detail:
        'The biggest folders:\n' +
        '200,000,000 bytes  lang/lib/python3.13t/test\n' +
        ' 62,144,000 bytes  lang/lib/python3.13t\n' +
        '          1 bytes  .',
    }),
  );
});

test('packaging writes the zip and the ledger, twice the same, and tells what it wrote', async () => {
  const outDir = join(scratch, 'a/b');
  const input = {
    tree,
    plan,
    ledger,
    toolchain: { cc: 'gcc 12.2.0' },
    extraFiles: makeTree([['extensions/x', fileOf('x', 0o755)]]),
  };
  const first = await packageLayer({ ...input, outDir }, ctx());
  const bytes = readFileSync(first.path);
  expect(first).toMatchObject({ kind: 'layer', path: join(outDir, 'layer.zip'), size: bytes.length, needsS3: false });
  expect(first.sha256).toBe(createHash('sha256').update(bytes).digest('hex'));
  expect(readdirSync(outDir).sort()).toEqual(['layer.zip', 'ledger.json']);
  expect(JSON.parse(readFileSync(join(outDir, 'ledger.json'), 'utf8')).dropped).toEqual([
    { path: 'bin/idle3.13', bytes: 4, rule: 'programs' },
  ]);
  const layer = await readZip(first.path);
  expect(first.files).toBe(layer.entries.size);
  expect(layer.entries.has('extensions/x')).toBe(true);
  const record = await readBuildRecord(layer);
  expect(record).toMatchObject({
    plan: { name: plan.name },
    toolchain: { cc: 'gcc 12.2.0' },
    ledger: { files: 1, bytes: 4 },
  });
  const second = await packageLayer({ ...input, outDir: join(scratch, 'again') }, ctx());
  expect(second.sha256).toBe(first.sha256);
});

test('stopped or failed, it leaves the old artifact and nothing half-written', async () => {
  const outDir = join(scratch, 'stopped');
  const before = await packageLayer({ tree, plan, ledger, outDir }, ctx());
  const stopped = { ...ctx(), signal: AbortSignal.abort() };
  await expect(packageLayer({ tree, plan, ledger, outDir }, stopped)).rejects.toMatchObject({ code: 'CANCELLED' });
  const full = { ...fileOf(''), read: () => Promise.reject(Object.assign(new Error('write'), { code: 'ENOSPC' })) };
  const failing = packageLayer({ tree, plan, ledger, outDir, extraFiles: makeTree([['z', full]]) }, ctx());
  await expect(failing).rejects.toMatchObject({ code: 'DISK_FULL' });
  expect(readdirSync(outDir).sort()).toEqual(['layer.zip', 'ledger.json']);
  expect(createHash('sha256').update(readFileSync(before.path)).digest('hex')).toBe(before.sha256);
});

test('build.json does not depend on the order in which its facts were put together', async () => {
  const facts = { plan, tree, ledger, toolchain: { ld: '2.40', cc: '12.2.0' } };
  const other = {
    ...facts,
    toolchain: { cc: '12.2.0', ld: '2.40' },
    plan: Object.fromEntries(Object.entries(plan).reverse()) as never,
  };
  expect(stableJson(buildRecord(facts))).toBe(stableJson(buildRecord(other)));
});

test.each(['', 'not JSON', 'null', '[]', '{"format":2}', '{"format":1,"plan":{"arch":"riscv"}}'])(
  'a build.json of somebody else (%j) is no record',
  async (text) => {
    expect(await readBuildRecord(makeTree([['lang/build.json', fileOf(text)]]))).toBeUndefined();
  },
);
