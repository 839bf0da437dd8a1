import { expect, test } from 'vitest';
import { parseChallenge } from '../../build/registry/challenge.ts';

test.each([
  [undefined, undefined],
  ['', undefined],
  ['Negotiate', undefined],
  ['Basic realm="x"', { scheme: 'basic' }],
  [
    'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/alpine:pull"',
    {
      scheme: 'bearer',
      realm: 'https://auth.docker.io/token',
      service: 'registry.docker.io',
      scope: 'repository:library/alpine:pull',
    },
  ],
  [
    'bearer realm="https://public.ecr.aws/token/", service="public.ecr.aws",scope="aws"',
    { scheme: 'bearer', realm: 'https://public.ecr.aws/token/', service: 'public.ecr.aws', scope: 'aws' },
  ],
  ['Bearer realm=https://a.b/t', { scheme: 'bearer', realm: 'https://a.b/t' }],
  ['Bearer realm="https://a.b/t?x=\\"1\\",2"', { scheme: 'bearer', realm: 'https://a.b/t?x="1",2' }],
  ['Basic realm="x", Bearer realm="https://a.b/t"', { scheme: 'bearer', realm: 'https://a.b/t' }],
  ['Bearer service="no realm"', undefined],
])('%s', (header, challenge) => {
  expect(parseChallenge(header)).toEqual(challenge);
});
