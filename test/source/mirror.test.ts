import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseMirror } from '../../build/source/mirror.ts';
import { failure } from '../recipe/support/failure.ts';

test('a URL', () => {
  expect(parseMirror('https://example.org/a.tar.xz')).toEqual({ kind: 'http', url: 'https://example.org/a.tar.xz' });
  expect(parseMirror('file:///srv/a.tar.xz')).toEqual({ kind: 'file', url: 'file:///srv/a.tar.xz' });
});

test('a Debian source package', () => {
  expect(parseMirror('debian:trixie/python3.13=3.13.5-2+deb13u5/python3.13_3.13.5.orig.tar.xz')).toEqual({
    kind: 'debian',
    suite: 'trixie',
    package: 'python3.13',
    version: '3.13.5-2+deb13u5',
    file: 'python3.13_3.13.5.orig.tar.xz',
  });
  expect(parseMirror('debian:forky/python3.13=3.13.15-*/x.tar.xz')).toMatchObject({ version: '3.13.15-*' });
});

test.each([
  'ftp://example.org/x',
  'python.org/x',
  '',
  'debian:trixie/python3.13/x.tar.xz',
  'debian:trixie/python3.13=*/x.tar.xz',
  'debian:trixie/python3.13=1-*-2/x.tar.xz',
  'debian:../python3.13=1-1/x.tar.xz',
  'debian:trixie/python3.13=1-1/../x',
  'debian:trixie/--option=1-1/x',
])('"%s" is not a mirror', (text) => {
  expect(failure(() => parseMirror(text)).code).toBe('LOCK_INVALID');
});

test('a password in a mirror is refused, and not repeated', () => {
  const error = failure(() => parseMirror('https://user:secret@example.org/x'));
  expect(`${error.message}${error.remedy}${error.detail}`).not.toContain('secret');
});

test('whatever stands there is a mirror or LOCK_INVALID, and never an option or a path for apt', () => {
  fc.assert(
    fc.property(
      fc.string().map((text) => `debian:${text}`),
      (text) => {
        try {
          const mirror = parseMirror(text);
          if (mirror.kind !== 'debian') throw new Error('not Debian');
          for (const word of [mirror.suite, mirror.package, mirror.version]) expect(word).toMatch(/^[a-z0-9]/);
          expect(mirror.file).not.toContain('/');
        } catch (error) {
          expect(error).toMatchObject({ code: 'LOCK_INVALID' });
        }
      },
    ),
  );
});
