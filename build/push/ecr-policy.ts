// Who may pull from a repository: statements of AWS's documentation, added to a policy that may have others. Pure.
// Lambda Developer Guide, "Amazon ECR permissions" and "Amazon ECR cross-account permissions".
import { MakeRuntimeError } from '../lib/errors.ts';

export interface Grants {
  /** Lambda itself, for functions of the repository's own account. */
  readonly lambda: boolean;
  /** Accounts whose functions may use the image, twelve digits each. */
  readonly accounts: readonly string[];
}

interface Where {
  readonly region: string;
  /** "aws", "aws-cn", "aws-us-gov" */
  readonly partition: string;
}

interface Statement {
  readonly Sid?: string;
  readonly [key: string]: unknown;
}

/** Amazon ECR API Reference, SetRepositoryPolicy: policyText. */
const maxPolicy = 10_240;
const pull = ['ecr:BatchGetImage', 'ecr:GetDownloadUrlForLayer'];
const sids = {
  lambda: 'LambdaECRImageRetrievalPolicy',
  account: 'CrossAccountPermission',
  accountLambda: 'LambdaECRImageCrossAccountRetrievalPolicy',
} as const;

/**
 * A policy with the grants in it. Statements of the same names keep what they allow; all others stay as they are.
 * @param text the policy there is; undefined when there is none
 * @param name the repository, for errors
 * @returns the policy and what was added, one sentence each; nothing when it allowed all of it already
 * @throws POLICY_TOO_LONG
 */
export function withGrants(
  text: string | undefined,
  { lambda, accounts }: Grants,
  { region, partition }: Where,
  name: string,
): { readonly text: string; readonly added: string[] } {
  const policy = text === undefined ? { Version: '2012-10-17' } : JSON.parse(text);
  const statements: Statement[] = list(policy.Statement) as Statement[];
  const added: string[] = [];
  const put = (statement: Statement): void => {
    const at = statements.findIndex(({ Sid }) => Sid === statement.Sid);
    if (at === -1) statements.push(statement);
    else statements[at] = statement;
  };
  const find = (sid: string): Statement | undefined => statements.find(({ Sid }) => Sid === sid);
  const service = { Service: 'lambda.amazonaws.com' };
  if (lambda && find(sids.lambda) === undefined) {
    put({ Sid: sids.lambda, Effect: 'Allow', Principal: service, Action: pull });
    added.push(`let Lambda pull from ${name}`);
  }
  const roots = accounts.map((account) => `arn:${partition}:iam::${account}:root`);
  const functions = accounts.map((account) => `arn:${partition}:lambda:${region}:${account}:function:*`);
  const trusted = list((find(sids.account)?.['Principal'] as { AWS?: unknown } | undefined)?.AWS).map(String);
  const condition = find(sids.accountLambda)?.['Condition'] as { StringLike?: Record<string, unknown> } | undefined;
  const sources = list(condition?.StringLike?.['aws:sourceARN'] ?? condition?.StringLike?.['aws:sourceArn']).map(
    String,
  );
  // ECR gives a bare account number back for an account that trusts its root.
  const known = (account: string, at: number): boolean =>
    (trusted.includes(roots[at]!) || trusted.includes(account)) && sources.includes(functions[at]!);
  const missing = accounts.filter((account, at) => !known(account, at));
  if (missing.length > 0) {
    put({
      Sid: sids.account,
      Effect: 'Allow',
      Principal: { AWS: [...new Set([...trusted, ...roots])] },
      Action: pull,
    });
    put({
      Sid: sids.accountLambda,
      Effect: 'Allow',
      Principal: service,
      Action: pull,
      Condition: { StringLike: { 'aws:sourceARN': [...new Set([...sources, ...functions])] } },
    });
    added.push(`let functions of ${missing.join(', ')} use images of ${name}`);
  }
  const written = JSON.stringify({ ...policy, Statement: statements });
  if (added.length > 0 && written.length > maxPolicy) {
    throw new MakeRuntimeError(
      'POLICY_TOO_LONG',
      `The policy of ${name} would have ${written.length} bytes, and ECR takes ${maxPolicy}.`,
      { remedy: 'Take accounts out of it that no longer pull: aws ecr get-repository-policy shows it.' },
    );
  }
  return { text: written, added };
}

function list(value: unknown): unknown[] {
  if (value === undefined || value === null) return [];
  return Array.isArray(value) ? [...value] : [value];
}
