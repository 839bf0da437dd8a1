// The release profile for real: pinned libraries, training, LTO, through the program as users run it. Half an hour on two
// slow cores from nothing; MAKE_RUNTIME_TEST_CACHE=<folder> keeps what was compiled between runs.
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, expect } from 'vitest';
import { exitStatus } from '../../build/lib/errors.ts';
import { thorough, thoroughTest } from '../support/thorough.ts';

const root = join(import.meta.dirname, '..', '..');
let dir: string;
let cache: string;
let layer: string;
let python: string;
/** What is built: the newest release of the series that can be had here. */
let recipe = ['3.13', '--profile', 'release'];

const run = (args: string[], env: Record<string, string> = {}) =>
  execa(process.execPath, [join(root, 'dist/cli.js'), ...args], {
    cwd: dir,
    env: { MAKE_RUNTIME_CACHE: cache, CI: '1', ...env },
  });

/** What a program prints under the runtime's own interpreter, with nothing of this machine's environment. */
const evaluate = async (program: string, env: Record<string, string> = {}) =>
  (await execa(python, ['-I', '-c', program], { env, extendEnv: false })).stdout;

const hash = async (path: string) => (await execa('sha256sum', [path])).stdout.split(' ')[0];

beforeAll(async () => {
  if (!thorough) return;
  dir = await mkdtemp(join(tmpdir(), 'make-runtime release '));
  cache = process.env['MAKE_RUNTIME_TEST_CACHE'] ?? join(dir, 'cache');
  const newest = await execa(
    process.execPath,
    [join(root, 'dist/cli.js'), 'build', ...recipe, '--output', join(dir, 'out')],
    {
      cwd: dir,
      env: { MAKE_RUNTIME_CACHE: cache, CI: '1' },
      reject: false,
    },
  );
  if (newest.exitCode === exitStatus.SOURCE_OLDER_AVAILABLE)
    recipe = [...recipe, '--python', /--python (\S+)/.exec(newest.stderr)?.[1] as string];
  const { stdout } = await run(['build', ...recipe, '--output', join(dir, 'out')]);
  layer = stdout.trim();
  await execa('unzip', ['-q', layer, '-d', join(dir, 'opt')]);
  python = join(dir, 'opt/lang/bin/python3.13');
});
afterAll(async () => {
  if (thorough) await rm(dir, { recursive: true, force: true });
});

thoroughTest('it fits: 10.5 MB in the zip, 29 MB unpacked', async () => {
  expect((await stat(layer)).size).toBeLessThanOrEqual(10_500_000);
  const { stdout } = await run(['inspect', layer, '--json']);
  expect(JSON.parse(stdout).unpacked).toBeLessThanOrEqual(29_000_000);
});

thoroughTest('every library is the pinned one', async () => {
  const { libraries } = JSON.parse(await readFile(join(layer, '../plan.json'), 'utf8'));
  const pinned = Object.fromEntries(
    libraries.map(({ name, source }: { name: string; source: { version: string } }) => [name, source.version]),
  );
  const found = JSON.parse(
    await evaluate(`
import _decimal, json, sqlite3, ssl, zlib
print(json.dumps({"openssl": ssl.OPENSSL_VERSION.split()[1], "sqlite": sqlite3.sqlite_version,
                  "zlib": zlib.ZLIB_RUNTIME_VERSION, "mpdecimal": _decimal.__libmpdec_version__}))`),
  );
  for (const [name, version] of Object.entries(found)) expect(version, name).toBe(pinned[name]);
});

thoroughTest('hashlib, ssl, sqlite3 and ctypes can do what the managed runtimes can', async () => {
  const program = `
import ctypes, hashlib, hmac, json, sqlite3, ssl, uuid
missing = [name for name in ("md5", "sha1", "sha224", "sha256", "sha384", "sha512", "sha3_256", "blake2b", "blake2s",
                             "shake_128", "ripemd160", "sm3", "sha512_256", "md5-sha1") if not hashlib.new(name)]
hashlib.scrypt(b"a", salt=b"b", n=2, r=8, p=1), hashlib.pbkdf2_hmac("sha256", b"a", b"b", 2)
context = ssl.create_default_context()
database = sqlite3.connect(":memory:")
for module in ("fts3", "fts4", "fts5", "rtree(a,b,c)"):
    database.execute(f"create virtual table t{module[:4]} using {module if '(' in module else module + '(a)'}")
database.enable_load_extension(True)
add = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(lambda value: value + 1)
print(json.dumps({"missing": missing, "threadsafety": sqlite3.threadsafety, "callback": add(41),
                  "uuid1": uuid.uuid1().version, "ciphers": sorted(c["name"] for c in context.get_ciphers()),
                  "tls": [ssl.HAS_TLSv1_2, ssl.HAS_TLSv1_3, ssl.HAS_SNI, ssl.HAS_ALPN, ssl.HAS_PSK]}))`;
  const { ciphers, ...found } = JSON.parse(await evaluate(program));
  expect(found).toEqual({ missing: [], threadsafety: 3, callback: 42, uuid1: 1, tls: [true, true, true, true, true] });
  expect(ciphers).toEqual(
    expect.arrayContaining(['TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256', 'ECDHE-RSA-AES128-GCM-SHA256']),
  );
});

thoroughTest('certificates are looked for where Amazon Linux 2023 has them', async () => {
  const paths = await evaluate(
    'import ssl; p = ssl.get_default_verify_paths(); print(p.openssl_cafile, p.openssl_capath)',
  );
  expect(paths).toBe('/etc/pki/tls/cert.pem /etc/pki/tls/certs');
});

thoroughTest(
  'an openssl.cnf with words that upstream does not know disturbs nobody, and OPENSSL_CONF is still read',
  async () => {
    // As RHEL-family systems have it; upstream's OpenSSL has no such option.
    const alien = join(dir, 'alien.cnf');
    await writeFile(
      alien,
      'openssl_conf = all\n[all]\nalg_section = algorithms\n[algorithms]\nrh-allow-sha1-signatures = yes\n',
    );
    const program = 'import ssl, hashlib; ssl.create_default_context(); print(hashlib.sha256(b"").hexdigest()[:8])';
    // What the system has is not looked at: there is no such name in the executable.
    expect((await readFile(python)).includes('/etc/pki/tls/openssl.cnf')).toBe(false);
    expect(await evaluate(program)).toBe('e3b0c442');
    expect(await evaluate(program, { OPENSSL_CONF: alien })).toBe('e3b0c442');
    const strict = join(dir, 'strict.cnf');
    await writeFile(
      strict,
      'openssl_conf = all\n[all]\nssl_conf = ssl\n[ssl]\nsystem_default = floor\n[floor]\nCiphersuites = TLS_AES_128_GCM_SHA256\n',
    );
    const suites =
      'import ssl; print([c["name"] for c in ssl.create_default_context().get_ciphers() if c["name"][:4] == "TLS_"])';
    expect(await evaluate(suites, { OPENSSL_CONF: strict })).toBe("['TLS_AES_128_GCM_SHA256']");
    expect(await evaluate(suites)).toContain('TLS_AES_256_GCM_SHA384');
  },
);

thoroughTest('symbols of the libraries stay inside', async () => {
  const { stdout } = await execa('readelf', ['--dyn-syms', '--wide', python]);
  const exported = stdout
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter((words) => words[6] !== 'UND' && words[4] === 'GLOBAL')
    .map((words) => words[7] ?? '');
  expect(exported).toContain('PyObject_GetAttr');
  const foreign = /^(SSL_|EVP_|CRYPTO_|sqlite3_|ffi_|BZ2_|lzma_|ZSTD_|mpd_|uuid_|inflate|deflate|zlib)/;
  expect(exported.filter((name) => foreign.test(name))).toEqual([]);
});

thoroughTest(
  'the stored profile gives the same bytes, in another folder and with nothing cached but downloads',
  async () => {
    const other = join(dir, 'another place');
    await mkdir(join(other, 'cache'), { recursive: true });
    await execa('cp', ['-R', join(cache, 'sha256'), join(cache, 'libraries'), join(other, 'cache')]);
    const stored = join(layer, '../profile.tar');
    const build = async (env: Record<string, string>, to: string) => {
      const options = ['--profile-data', stored, '--output', to];
      return (await run(['build', ...recipe, ...options], env)).stdout.trim();
    };
    const first = await build({}, join(dir, 'stored'));
    const second = await build({ MAKE_RUNTIME_CACHE: join(other, 'cache'), TZ: 'Asia/Tokyo' }, join(other, 'out'));
    expect(await hash(second)).toBe(await hash(first));
  },
);

thoroughTest('slim leaves out more, and still verifies', async () => {
  const { stdout } = await run(['build', ...recipe, '--prune', 'slim', '--output', join(dir, 'out')]);
  expect(stdout.trim()).toContain('release-slim');
  expect((await stat(stdout.trim())).size).toBeLessThan((await stat(layer)).size - 500_000);
});
