// ECR, Lambda and CloudWatch as far as a push asks them, in this process and with a state that tests look into. moto, in
// test/slow, is slower to start, has no registry behind its ECR, and knows no updates that take time or fail.
import { type AwsAnswer, type AwsCall, type FakeAws, jsonError, startFakeAws } from '../aws/support/fake-aws.ts';

export const account = '123456789012';
export const password = 'ecr-password';

export interface FunctionState {
  PackageType: 'Image' | 'Zip';
  imageUri: string;
  versions: number;
  /** Answers to GetFunctionConfiguration before it is settled; each is given once. */
  updating: Record<string, string>[];
  aliases: Map<string, { version: string; weights: Record<string, number>; revision: number }>;
}

export interface PushAws extends AsyncDisposable {
  readonly fake: FakeAws;
  readonly url: string;
  /** Names of what was called that changes something. */
  readonly changes: () => string[];
  readonly repositories: Map<string, { request: Record<string, unknown>; policy?: string; lifecycle?: string }>;
  readonly functions: Map<string, FunctionState>;
  /** Calls and errors by version, as CloudWatch counts them. */
  readonly metrics: Map<string, { invocations: number; errors: number }>;
  /** Answers in place of the state, where it gives one. */
  instead: (call: AwsCall) => AwsAnswer | 'break' | undefined;
}

const reads = /^(Get|Describe|GET )/;

export async function startPushAws(proxyEndpoint: () => string): Promise<PushAws> {
  const fake = await startFakeAws();
  const repositories: PushAws['repositories'] = new Map();
  const functions: PushAws['functions'] = new Map();
  const metrics: PushAws['metrics'] = new Map();
  const made = { instead: (() => undefined) as PushAws['instead'] };
  const ecr = (operation: string, input: Record<string, string>): AwsAnswer => {
    const name = input['repositoryName'] ?? input['repositoryNames']?.[0] ?? '';
    const there = repositories.get(name);
    if (operation === 'GetAuthorizationToken') {
      const authorizationToken = Buffer.from(`AWS:${password}`).toString('base64');
      return { body: { authorizationData: [{ authorizationToken, proxyEndpoint: proxyEndpoint() }] } };
    }
    if (operation === 'CreateRepository') {
      if (there !== undefined) return jsonError('RepositoryAlreadyExistsException');
      repositories.set(name, { request: input });
      return { body: { repository: { repositoryName: name } } };
    }
    if (there === undefined) return jsonError('RepositoryNotFoundException');
    if (operation === 'GetLifecyclePolicy')
      return there.lifecycle === undefined
        ? jsonError('LifecyclePolicyNotFoundException')
        : { body: { lifecyclePolicyText: there.lifecycle } };
    if (operation === 'GetRepositoryPolicy')
      return there.policy === undefined
        ? jsonError('RepositoryPolicyNotFoundException')
        : { body: { policyText: there.policy } };
    if (operation === 'PutLifecyclePolicy') there.lifecycle = input['lifecyclePolicyText']!;
    if (operation === 'SetRepositoryPolicy') there.policy = input['policyText']!;
    return { body: { repositories: [{ repositoryName: name }] } };
  };
  const lambda = (operation: string, input: Record<string, unknown>): AwsAnswer => {
    const [, verb, name = '', rest = ''] = /^(\w+) \/2015-03-31\/functions\/([^/?]+)\/?(.*)$/.exec(operation) ?? [];
    const state = functions.get(name);
    if (state === undefined) return jsonError('ResourceNotFoundException', 404);
    const settled = { State: 'Active', LastUpdateStatus: 'Successful' };
    const configuration = { FunctionName: name, PackageType: state.PackageType, ...settled };
    if (verb === 'GET' && rest === '')
      return { body: { Configuration: configuration, Code: { ImageUri: 'by:tag', ResolvedImageUri: state.imageUri } } };
    if (verb === 'GET' && rest.startsWith('configuration')) {
      const next = rest.includes('Qualifier') ? undefined : state.updating.shift();
      return { body: { ...configuration, ...next } };
    }
    if (verb === 'PUT' && rest === 'code') {
      if (state.updating.length > 0) return jsonError('ResourceConflictException', 409);
      state.imageUri = String(input['ImageUri']);
      state.updating = [{ LastUpdateStatus: 'InProgress' }];
      return { body: configuration };
    }
    if (verb === 'POST' && rest === 'versions') {
      state.versions += 1;
      return { status: 201, body: { Version: String(state.versions) } };
    }
    const alias = /^aliases\/?(.*)$/.exec(rest)?.[1];
    const found = state.aliases.get(alias || String(input['Name']));
    const shown = (): AwsAnswer => {
      const { version, weights, revision } = state.aliases.get(alias || String(input['Name']))!;
      const RoutingConfig =
        Object.keys(weights).length === 0 ? {} : { RoutingConfig: { AdditionalVersionWeights: weights } };
      return { body: { FunctionVersion: version, RevisionId: String(revision), ...RoutingConfig } };
    };
    if (verb === 'POST') {
      state.aliases.set(String(input['Name']), { version: String(input['FunctionVersion']), weights: {}, revision: 1 });
      return { ...shown(), status: 201 };
    }
    if (found === undefined) return jsonError('ResourceNotFoundException', 404);
    if (verb === 'PUT') {
      if (input['RevisionId'] !== String(found.revision)) return jsonError('PreconditionFailedException', 412);
      const routing = input['RoutingConfig'] as { AdditionalVersionWeights?: Record<string, number> };
      found.version = String(input['FunctionVersion']);
      found.weights = routing.AdditionalVersionWeights ?? {};
      found.revision += 1;
    }
    return shown();
  };
  const cloudwatch = (input: Record<string, unknown>): AwsAnswer => {
    const queries = input['MetricDataQueries'] as {
      Id: string;
      MetricStat: { Metric: { MetricName: string; Dimensions: { Name: string; Value: string }[] } };
    }[];
    const MetricDataResults = queries.map(({ Id, MetricStat: { Metric } }) => {
      const version = Metric.Dimensions.find(({ Name }) => Name === 'ExecutedVersion')?.Value ?? '';
      const counted = metrics.get(version);
      const value = Metric.MetricName === 'Errors' ? counted?.errors : counted?.invocations;
      return { Id, Values: value === undefined ? [] : [value / 2, value / 2] };
    });
    return { body: { MetricDataResults } };
  };
  fake.script = (call) => {
    const other = made.instead(call);
    if (other !== undefined) return other;
    const input = call.body.length === 0 ? {} : JSON.parse(call.body.toString());
    if (call.service === 'ecr') return ecr(call.operation, input);
    if (call.service === 'lambda') return lambda(call.operation, input);
    if (call.operation === 'GetMetricData') return cloudwatch(input);
    return undefined;
  };
  return Object.assign(made, {
    fake,
    url: fake.url,
    changes: () => fake.calls.map(({ operation }) => operation).filter((operation) => !reads.test(operation)),
    repositories,
    functions,
    metrics,
    [Symbol.asyncDispose]: () => fake.close(),
  });
}
