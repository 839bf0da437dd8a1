import { expect, test } from 'vitest';
import {
  cpe,
  genericPurl,
  packageUrl,
  pypiPurl,
  systemPurl,
  upstreamVersion,
  uuidOf,
} from '../../build/sbom/identifiers.ts';

test.each([
  ['3.0.19-1~deb12u2', '3.0.19'],
  ['1:1.2.13.dfsg-1', '1.2.13'],
  ['1.5.4+dfsg2-5', '1.5.4'],
  ['5.6.1+really5.4.5-1', '5.4.5'],
  ['1.0.8-5+b1', '1.0.8'],
  ['3.46.1-7+deb13u1', '3.46.1'],
  ['3.2.2-1.amzn2023.0.1', '3.2.2'],
  ['3.50.4', '3.50.4'],
])('the upstream version of %s is %s', (packaged, upstream) => {
  expect(upstreamVersion(packaged)).toBe(upstream);
});

test('a pre-release is a CPE of its release, with the rest in the update field', () => {
  expect(cpe(['python', 'python'], '3.13.15')).toBe('cpe:2.3:a:python:python:3.13.15:*:*:*:*:*:*:*');
  expect(cpe(['python', 'python'], '3.15.0rc1')).toBe('cpe:2.3:a:python:python:3.15.0:rc1:*:*:*:*:*:*');
});

test('what CPE has a meaning for is quoted', () => {
  expect(cpe(['a+b', 'c'], '1:2~3')).toBe('cpe:2.3:a:a\\+b:c:1\\:2\\~3:*:*:*:*:*:*:*');
});

test('package URLs are encoded as their specification has it', () => {
  expect(packageUrl(['generic', 'a b'], '1+2~3', { z: undefined, y: 'a/b:c', x: '@' })).toBe(
    'pkg:generic/a%20b@1%2B2~3?x=%40&y=a/b:c',
  );
  expect(pypiPurl('Ruamel.Yaml_clib', '0.2')).toBe('pkg:pypi/ruamel-yaml-clib@0.2');
  expect(genericPurl('x', undefined)).toBe('pkg:generic/x');
});

test.each([
  [
    'Debian GNU/Linux 12 (bookworm)',
    'x86_64',
    'pkg:deb/debian/p@1-1%2Bb2?arch=amd64&distro=debian-12&upstream=s%401-1',
  ],
  ['Debian GNU/Linux forky/sid', 'arm64', 'pkg:deb/debian/p@1-1%2Bb2?arch=arm64&upstream=s%401-1'],
  ['Ubuntu 24.04.1 LTS', 'x86_64', 'pkg:deb/ubuntu/p@1-1%2Bb2?arch=amd64&distro=ubuntu-24.04&upstream=s%401-1'],
  ['Amazon Linux 2023.9.20251105', 'arm64', 'pkg:rpm/amzn/p@1-1%2Bb2?arch=aarch64&distro=amzn-2023'],
  ['linux x64', 'x86_64', 'pkg:generic/p@1-1%2Bb2'],
])('a package of %s', (system, arch, purl) => {
  expect(systemPurl('p', '1-1+b2', { system, arch }, 's')).toBe(purl);
});

test('a UUID is one of version 8, and of its text', () => {
  expect(uuidOf('a')).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(uuidOf('a')).toBe(uuidOf('a'));
  expect(uuidOf('a')).not.toBe(uuidOf('b'));
});
