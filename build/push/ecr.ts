// ECR's side of a push: the token that opens its registry, a repository made on request, and who may pull from it. The
// image itself goes through the registry's own protocol (registry/push.ts), so that there is one way to push.
import {
  CreateRepositoryCommand,
  DescribeRepositoriesCommand,
  ECRClient,
  GetAuthorizationTokenCommand,
  GetLifecyclePolicyCommand,
  GetRepositoryPolicyCommand,
  PutLifecyclePolicyCommand,
  SetRepositoryPolicyCommand,
} from '@aws-sdk/client-ecr';
import { awsErrorName } from '../aws/failure.ts';
import type { AwsSession } from '../aws/session.ts';
import { MakeRuntimeError } from '../lib/errors.ts';
import { mayCarrySecrets } from '../registry/address.ts';
import type { Credentials } from '../registry/authorize.ts';
import { unsafePlace } from '../registry/failure.ts';
import { type Grants, withGrants } from './ecr-policy.ts';
import { type EcrPlace, ecrPlace, type Target } from './target.ts';

export interface RepositorySettings {
  /** Tags that cannot be moved. */
  readonly immutable: boolean;
  /** A key of KMS's to encrypt with; ECR's own when absent. */
  readonly kmsKey?: string | undefined;
  /** How many untagged manifests the lifecycle policy keeps. */
  readonly keepUntagged: number;
}

/** What was done, or in a dry run would be: "create the repository". */
export type Step = string;

/** One repository of ECR's. Dispose of it to close its connections. */
export class EcrRepository implements Disposable {
  readonly #place: EcrPlace;
  readonly #name: string;
  readonly #host: string;
  readonly #aws: AwsSession;
  readonly #client: ECRClient;
  #partition = 'aws';

  constructor({ reference }: Target, place: EcrPlace, aws: AwsSession) {
    this.#place = place;
    this.#name = reference.repository;
    this.#host = reference.registry;
    this.#aws = aws;
    if (place.region.startsWith('cn-')) this.#partition = 'aws-cn';
    else if (place.region.startsWith('us-gov-')) this.#partition = 'aws-us-gov';
    const config = aws.config('ECR', place.region);
    // An endpoint of the user's own is what it is: the SDK refuses to look for its FIPS variant.
    this.#client = new ECRClient({ ...config, useFipsEndpoint: place.fips && config.endpoint === undefined });
  }

  [Symbol.dispose](): void {
    this.#client.destroy();
  }

  /**
   * A token, which is good for twelve hours and for every repository its owner may use, and where the registry is when
   * not at its own name.
   * @throws what AwsSession.ask() throws; REGISTRY_UNREACHABLE for an address without TLS
   */
  async signIn(): Promise<{ readonly credentials: Credentials; readonly origin: string | undefined }> {
    const { authorizationData } = await this.#ask('ecr:GetAuthorizationToken', '*', (options) =>
      this.#client.send(new GetAuthorizationTokenCommand({}), options),
    );
    const { authorizationToken = '', proxyEndpoint = '' } = authorizationData?.[0] ?? {};
    const text = Buffer.from(authorizationToken, 'base64').toString('utf8');
    const colon = text.indexOf(':');
    if (colon === -1) throw new Error('ecr:GetAuthorizationToken gave no token');
    const credentials = { username: text.slice(0, colon), password: text.slice(colon + 1) };
    // AWS names the registry of the account that asks, which need not be the one that is pushed to. Anything that is no
    // host of ECR's comes from what stands in for AWS (AWS_ENDPOINT_URL), and only that knows where its registry is.
    const url = URL.canParse(proxyEndpoint) ? new URL(proxyEndpoint) : undefined;
    if (url === undefined || ecrPlace(url.host) !== undefined) return { credentials, origin: undefined };
    if (!mayCarrySecrets(url)) throw unsafePlace(this.#host, url, 'not a TLS address');
    return { credentials, origin: url.origin };
  }

  /**
   * Makes the repository unless it is there, with what belongs to it. What an interrupted run left out is made up for;
   * what somebody has set otherwise stays.
   * @returns what was done
   * @throws REFERENCE_INVALID for a name that ECR does not allow, and as AwsSession.ask()
   */
  async create(settings: RepositorySettings, dryRun: boolean): Promise<Step[]> {
    const steps: Step[] = [];
    const there = await this.#exists();
    if (!there) {
      steps.push(
        `create the repository ${this.#name}: ${settings.immutable ? 'immutable' : 'mutable'} tags, scanned on push, encrypted with ${settings.kmsKey ?? "ECR's own key"}`,
      );
      if (!dryRun) await this.#make(settings);
    }
    const rules = there ? await this.#lifecycle() : undefined;
    if (rules === undefined) {
      steps.push(`keep no more than ${settings.keepUntagged} untagged manifests in ${this.#name}`);
      if (!dryRun) await this.#putLifecycle(settings.keepUntagged);
    }
    return steps;
  }

  /**
   * Lets Lambda pull, and other accounts, keeping what the policy allows already.
   * @returns what was done
   * @throws POLICY_TOO_LONG, REPOSITORY_MISSING, and as AwsSession.ask()
   */
  async grant(grants: Grants, dryRun: boolean): Promise<Step[]> {
    // In a dry run, the repository may be one that is yet to be made.
    const there = dryRun && grants.lambda && !(await this.#exists()) ? undefined : await this.#policy();
    const { text, added } = withGrants(
      there,
      grants,
      { region: this.#place.region, partition: this.#partition },
      this.#name,
    );
    if (added.length === 0) return [];
    if (!dryRun) {
      await this.#ask('ecr:SetRepositoryPolicy', this.#arn, (options) =>
        this.#client.send(new SetRepositoryPolicyCommand({ ...this.#which, policyText: text }), options),
      );
    }
    return added;
  }

  async #exists(): Promise<boolean> {
    const { registryId, repositoryName } = this.#which;
    return this.#unless('RepositoryNotFoundException', false, () =>
      this.#ask('ecr:DescribeRepositories', this.#arn, async (options) => {
        await this.#client.send(
          new DescribeRepositoriesCommand({ registryId, repositoryNames: [repositoryName] }),
          options,
        );
        return true;
      }),
    );
  }

  async #make({ immutable, kmsKey }: RepositorySettings): Promise<void> {
    const command = new CreateRepositoryCommand({
      ...this.#which,
      imageTagMutability: immutable ? 'IMMUTABLE' : 'MUTABLE',
      imageScanningConfiguration: { scanOnPush: true },
      encryptionConfiguration: kmsKey === undefined ? { encryptionType: 'AES256' } : { encryptionType: 'KMS', kmsKey },
    });
    try {
      // That it exists is no failure: another run was quicker, or an attempt of ours whose answer was lost.
      await this.#unless('RepositoryAlreadyExistsException', undefined, () =>
        this.#ask('ecr:CreateRepository', this.#arn, async (options) => {
          await this.#client.send(command, options);
        }),
      );
    } catch (error) {
      const { cause } = error as Error;
      if (awsErrorName(error) !== 'InvalidParameterException' || !/repositoryName/i.test(String(cause))) throw error;
      throw new MakeRuntimeError('REFERENCE_INVALID', `ECR does not allow a repository to be called ${this.#name}.`, {
        remedy: 'Use 2 to 256 lower-case letters, digits, and single - _ . / between them.',
        cause,
      });
    }
  }

  async #lifecycle(): Promise<string | undefined> {
    return this.#unless('LifecyclePolicyNotFoundException', undefined, () =>
      this.#ask('ecr:GetLifecyclePolicy', this.#arn, async (options) => {
        const { lifecyclePolicyText } = await this.#client.send(new GetLifecyclePolicyCommand(this.#which), options);
        return lifecyclePolicyText;
      }),
    );
  }

  async #putLifecycle(keep: number): Promise<void> {
    // By number and not by age: a function that is deployed by digest may well run an image whose tag has moved on.
    const rule = {
      rulePriority: 1,
      description: `make-runtime: the newest ${keep} untagged manifests`,
      selection: { tagStatus: 'untagged', countType: 'imageCountMoreThan', countNumber: keep },
      action: { type: 'expire' },
    };
    const lifecyclePolicyText = JSON.stringify({ rules: [rule] });
    await this.#ask('ecr:PutLifecyclePolicy', this.#arn, (options) =>
      this.#client.send(new PutLifecyclePolicyCommand({ ...this.#which, lifecyclePolicyText }), options),
    );
  }

  async #policy(): Promise<string | undefined> {
    try {
      return await this.#unless('RepositoryPolicyNotFoundException', undefined, () =>
        this.#ask('ecr:GetRepositoryPolicy', this.#arn, async (options) => {
          const { policyText } = await this.#client.send(new GetRepositoryPolicyCommand(this.#which), options);
          return policyText;
        }),
      );
    } catch (error) {
      if (awsErrorName(error) !== 'RepositoryNotFoundException') throw error;
      throw new MakeRuntimeError('REPOSITORY_MISSING', `There is no repository ${this.#host}/${this.#name}.`, {
        remedy: 'Create it with --create, or check the name.',
        cause: error,
      });
    }
  }

  get #which(): { registryId: string; repositoryName: string } {
    return { registryId: this.#place.account, repositoryName: this.#name };
  }

  get #arn(): string {
    const { account, region } = this.#place;
    return `arn:${this.#partition}:ecr:${region}:${account}:repository/${this.#name}`;
  }

  #ask<Answer>(
    action: string,
    resource: string,
    send: (options: { abortSignal: AbortSignal }) => Promise<Answer>,
  ): Promise<Answer> {
    return this.#aws.ask({ action, resource, region: this.#place.region }, send);
  }

  /** What a call gives, or `instead` where AWS answers with the error of that name. */
  async #unless<Answer>(name: string, instead: Answer, call: () => Promise<Answer>): Promise<Answer> {
    try {
      return await call();
    } catch (error) {
      if (awsErrorName(error) === name) return instead;
      throw error;
    }
  }
}

/** The name that Lambda takes images by: not those of FIPS or dual-stack hosts (Lambda Developer Guide, "Images"). */
export function lambdaImageUri({ reference }: Target, { account, region }: EcrPlace, digest: string): string {
  const suffix = region.startsWith('cn-')
    ? 'amazonaws.com.cn'
    : region.startsWith('eusc-')
      ? 'amazonaws.eu'
      : 'amazonaws.com';
  return `${account}.dkr.ecr.${region}.${suffix}/${reference.repository}@${digest}`;
}
