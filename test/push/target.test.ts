import { expect, test } from 'vitest';
import { lambdaImageUri } from '../../build/push/ecr.ts';
import { parseTarget } from '../../build/push/target.ts';

test.each([
  ['123456789012.dkr.ecr.eu-west-1.amazonaws.com', 'eu-west-1', false],
  ['123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com', 'us-gov-west-1', true],
  ['123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn', 'cn-north-1', false],
  ['123456789012.dkr-ecr.eu-west-1.on.aws', 'eu-west-1', false],
  ['123456789012.dkr-ecr-fips.us-east-1.on.aws', 'us-east-1', true],
])('%s is ECR', (host, region, fips) => {
  expect(parseTarget(`${host}/my/python:3.13`)).toMatchObject({
    tag: '3.13',
    name: `${host}/my/python:3.13`,
    ecr: { account: '123456789012', region, fips },
  });
});

test.each([
  'public.ecr.aws/x/y:1',
  'ghcr.io/x/y:1',
  'localhost:5000/y',
  '12345.dkr.ecr.eu-west-1.amazonaws.com/y',
  '123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil.example/y',
  'evil-123456789012.dkr.ecr.eu-west-1.amazonaws.com/y',
])('%s is not', (text) => {
  expect(parseTarget(text).ecr).toBeUndefined();
});

test('without a tag: latest; with a digest: no', () => {
  expect(parseTarget('ghcr.io/x/y').tag).toBe('latest');
  expect(() => parseTarget(`ghcr.io/x/y@sha256:${'0'.repeat(64)}`)).toThrow('names a digest');
  expect(() => parseTarget('ghcr.io/X/y')).toThrow('lower case');
});

test.each([
  ['123456789012.dkr.ecr-fips.us-east-1.amazonaws.com/a', '123456789012.dkr.ecr.us-east-1.amazonaws.com/a@sha256:1'],
  ['123456789012.dkr-ecr.eu-west-1.on.aws/a', '123456789012.dkr.ecr.eu-west-1.amazonaws.com/a@sha256:1'],
  ['123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/a', '123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/a@sha256:1'],
])('a function takes %s by the name Lambda knows', (text, uri) => {
  const target = parseTarget(text);
  expect(lambdaImageUri(target, target.ecr!, 'sha256:1')).toBe(uri);
});
