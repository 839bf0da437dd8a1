// What may be asked for, before anything is asked of AWS.
import { describe, expect, test } from 'vitest';
import { describeLayer, layerMetadata, readDescription, readWishes } from '../../build/publish/request.ts';
import { samplePlan } from '../verify/sample-plan.ts';

describe('names', () => {
  test.each(['python313t', 'a', 'my_python-3', 'x'.repeat(140)])('%s', (name) => {
    expect(readWishes({ name }).name).toBe(name);
  });
  test.each([
    ['python3.13t', 'python3-13t'],
    [' mine', 'mine'],
    ['größe', 'gr-e'],
    ['a/b:c', 'a-b-c'],
    ['x'.repeat(141), 'x'.repeat(140)],
  ])('"%s" is refused with one that would do', (name, better) => {
    expect(() => readWishes({ name })).toThrow(
      expect.objectContaining({
        code: 'LAYER_NAME_INVALID',
        remedy: expect.stringContaining(`for example ${better}.`),
      }),
    );
  });
  test.each(['', '...', '山'])('"%s" is refused', (name) => {
    expect(() => readWishes({ name })).toThrow(expect.objectContaining({ code: 'LAYER_NAME_INVALID' }));
  });
});

test.each([
  [{ share: ['everybody'] }, '"everybody" is nobody to share with.'],
  [{ share: ['account:12345'] }, '"account:12345" is nobody to share with.'],
  [{ share: ['org:r-abcd'] }, '"org:r-abcd" is nobody to share with.'],
  [{ share: ['account:123456789012\n'] }, 'nobody to share with'],
  [{ keep: 0 }, '--keep is a number of versions, 1 or more.'],
  [{ keep: 1.5 }, '--keep is a number of versions, 1 or more.'],
  [{ ssmParameter: '/aws/mine' }, '"/aws/mine" cannot be the name of an SSM parameter.'],
  [{ ssmParameter: 'a/b' }, 'cannot be the name'],
  [{ ssmParameter: '/a b' }, 'cannot be the name'],
  [{ s3Bucket: 'My_Bucket' }, '"My_Bucket" is not the name of a bucket.'],
  [{ s3Bucket: 'b-{place}' }, 'is not the name of a bucket'],
])('%j is wrong usage', (words, message) => {
  expect(() => readWishes({ name: 'x', ...words })).toThrow(
    expect.objectContaining({ code: 'USAGE', message: expect.stringContaining(message), remedy: expect.any(String) }),
  );
});

describe('descriptions', () => {
  const plan = { ...samplePlan(), id: '91c028e8961b40d9' };
  const built = {
    python: plan.python.version,
    flavor: plan.flavor,
    arch: plan.arch,
    profile: plan.profile,
    plan: plan.id,
  };

  test.each([undefined, 'ours', 'with (brackets), commas, plan B'])('%s is read back', (words) => {
    const text = describeLayer(words, plan);
    expect(text).toContain(words ?? 'CPython');
    expect(readDescription(text)).toEqual(built);
  });

  test("somebody else's layer says only what it is told to", () => {
    expect(describeLayer('numpy', undefined)).toBe('numpy');
    expect(describeLayer(undefined, undefined)).toBe('');
    expect(readDescription('numpy')).toBeUndefined();
    expect(readDescription('')).toBeUndefined();
  });

  test('256 characters and not one more', () => {
    const room = 256 - describeLayer('', plan).length - ' ()'.length;
    expect(describeLayer('x'.repeat(room), plan).length).toBe(256);
    expect(() => describeLayer('x'.repeat(room + 1), plan)).toThrow(
      expect.objectContaining({
        code: 'USAGE',
        message: `--description may have ${room} characters here, and has ${room + 1}.`,
      }),
    );
    expect(() => describeLayer('x'.repeat(257), undefined)).toThrow('may have 256 characters');
  });
});

describe('licences', () => {
  const of = (licences: string[], license?: string) =>
    layerMetadata({ license }, { arch: 'arm64', plan: undefined, licences }).licence;

  test('one expression of all components', () => {
    expect(of(['PSF-2.0', 'MIT OR Apache-2.0', 'Apache-2.0 WITH LLVM-exception'])).toBe(
      'PSF-2.0 AND (MIT OR Apache-2.0) AND (Apache-2.0 WITH LLVM-exception)',
    );
    expect(of([])).toBe('');
  });

  test('not half of it', () => {
    expect(of(Array.from({ length: 100 }, (_, number) => `LicenseRef-${number}`))).toBe('');
    expect(of(['MIT'], 'mine')).toBe('mine');
    expect(() => of([], 'x'.repeat(513))).toThrow(expect.objectContaining({ code: 'USAGE' }));
  });
});
