import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { apiHost, parseReference, printReference } from '../../build/registry/reference.ts';

const digest = `sha256:${'0123456789abcdef'.repeat(4)}`;

test.each([
  ['alpine', 'docker.io/library/alpine:latest'],
  ['alpine:3', 'docker.io/library/alpine:3'],
  ['me/thing', 'docker.io/me/thing:latest'],
  ['docker.io/alpine', 'docker.io/library/alpine:latest'],
  ['localhost/thing', 'localhost/thing:latest'],
  ['localhost:5000/a/b:c', 'localhost:5000/a/b:c'],
  ['[::1]:5000/a', '[::1]:5000/a:latest'],
  ['public.ecr.aws/lambda/provided:al2023', 'public.ecr.aws/lambda/provided:al2023'],
  [`a.b/c@${digest}`, `a.b/c@${digest}`],
  [`a.b:1/c:d@${digest}`, `a.b:1/c:d@${digest}`],
  ['a.b/c__d/e-_f'.replace('-_', '--'), 'a.b/c__d/e--f:latest'],
])('%s', (text, whole) => {
  expect(printReference(parseReference(text))).toBe(whole);
});

test.each([
  ['', 'is not a repository'],
  ['Alpine', 'lower case'],
  ['a.b/C', 'lower case'],
  ['a.b/c:', '"" is not a tag'],
  ['a.b/c:-x', 'is not a tag'],
  ['a.b/c d', 'is not a repository'],
  ['a.b/../c', 'is not a repository'],
  ['a.b/c@sha256:12', 'digest'],
  [`a.b/c@sha512:${'0'.repeat(128)}`, 'digest'],
  ['https://a.b/c', 'is not a'],
  ['a.b/c?x=1', 'is not a repository'],
  ['user:secret@a.b/c', 'digest'],
])('%j is refused', (text, why) => {
  expect(() => parseReference(text)).toThrow(expect.objectContaining({ code: 'REFERENCE_INVALID' }));
  expect(() => parseReference(text)).toThrow(why);
});

describe('any reference', () => {
  const part = fc.stringMatching(/^[a-z0-9]{1,5}([._-][a-z0-9]{1,5})?$/);
  const reference = fc.record({
    registry: fc.constantFrom('docker.io', 'localhost:5000', 'a.example', '123.dkr.ecr.eu-west-1.amazonaws.com'),
    repository: fc.array(part, { minLength: 2, maxLength: 4 }).map((parts) => parts.join('/')),
    tag: fc.stringMatching(/^\w[\w.-]{0,10}$/),
  });

  test('is read back as it is printed', () => {
    fc.assert(
      fc.property(reference, (one) => {
        expect(parseReference(printReference(one))).toEqual(one);
      }),
    );
  });

  test('is read or refused, whatever the text', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        try {
          expect(printReference(parseReference(text))).toMatch(/^[^/]+\/.+[:@]/);
        } catch (error) {
          expect(error).toMatchObject({ code: 'REFERENCE_INVALID' });
        }
      }),
    );
  });
});

test('Docker Hub serves its API under another name', () => {
  expect(apiHost('docker.io')).toBe('registry-1.docker.io');
  expect(apiHost('quay.io')).toBe('quay.io');
});
