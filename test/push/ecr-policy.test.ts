import { expect, test } from 'vitest';
import { withGrants } from '../../build/push/ecr-policy.ts';

const where = { region: 'eu-west-1', partition: 'aws' };
const grant = (text: string | undefined, accounts: readonly string[] = [], lambda = true) =>
  withGrants(text, { lambda, accounts }, where, 'app');

test('Lambda, as AWS documents it', () => {
  const { text, added } = grant(undefined);
  expect(JSON.parse(text)).toEqual({
    Version: '2012-10-17',
    Statement: [
      {
        Sid: 'LambdaECRImageRetrievalPolicy',
        Effect: 'Allow',
        Principal: { Service: 'lambda.amazonaws.com' },
        Action: ['ecr:BatchGetImage', 'ecr:GetDownloadUrlForLayer'],
      },
    ],
  });
  expect(added).toEqual(['let Lambda pull from app']);
  expect(grant(text).added).toEqual([]);
});

test('other accounts, both statements, added to those that are there', () => {
  const first = grant(undefined, ['111111111111'], false);
  const second = grant(first.text, ['111111111111', '222222222222'], false);
  expect(second.added).toEqual(['let functions of 222222222222 use images of app']);
  const { Statement } = JSON.parse(second.text);
  expect(Statement).toEqual([
    expect.objectContaining({
      Sid: 'CrossAccountPermission',
      Principal: { AWS: ['arn:aws:iam::111111111111:root', 'arn:aws:iam::222222222222:root'] },
    }),
    expect.objectContaining({
      Sid: 'LambdaECRImageCrossAccountRetrievalPolicy',
      Principal: { Service: 'lambda.amazonaws.com' },
      Condition: {
        StringLike: {
          'aws:sourceARN': [
            'arn:aws:lambda:eu-west-1:111111111111:function:*',
            'arn:aws:lambda:eu-west-1:222222222222:function:*',
          ],
        },
      },
    }),
  ]);
  expect(grant(second.text, ['222222222222'], false).added).toEqual([]);
});

test('what else a policy says stays as it is, also written with single values', () => {
  const theirs = { Sid: 'CI', Effect: 'Allow', Principal: '*', Action: 'ecr:PutImage' };
  const single = {
    Sid: 'CrossAccountPermission',
    Effect: 'Allow',
    Principal: { AWS: '111111111111' },
    Action: ['ecr:BatchGetImage'],
  };
  const { text } = grant(JSON.stringify({ Version: '2008-10-17', Id: 'x', Statement: [theirs, single] }), [
    '222222222222',
  ]);
  const policy = JSON.parse(text);
  expect(policy).toMatchObject({ Version: '2008-10-17', Id: 'x' });
  expect(policy.Statement[0]).toEqual(theirs);
  expect(policy.Statement[1].Principal.AWS).toEqual(['111111111111', 'arn:aws:iam::222222222222:root']);
});

test('partitions', () => {
  const { text } = withGrants(
    undefined,
    { lambda: false, accounts: ['111111111111'] },
    { region: 'cn-north-1', partition: 'aws-cn' },
    'app',
  );
  expect(text).toContain('arn:aws-cn:iam::111111111111:root');
  expect(text).toContain('arn:aws-cn:lambda:cn-north-1:111111111111:function:*');
});

test('too long for ECR', () => {
  const accounts = Array.from({ length: 120 }, (_, at) => String(100000000000 + at));
  expect(() => grant(undefined, accounts)).toThrow(
    expect.objectContaining({ code: 'POLICY_TOO_LONG', message: expect.stringContaining('ECR takes 10240') }),
  );
});
