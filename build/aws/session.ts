// A conversation with AWS on behalf of one identity: what every client of its SDK is made with (credentials, endpoints,
// timeouts), who we are, which regions there are, and retries that Ctrl-C interrupts. Clients themselves are made where
// they are used, so that each command loads only those it needs. It does not know what is published.
import type { Agent } from 'node:https';
import { AccountClient, ListRegionsCommand } from '@aws-sdk/client-account';
import { GetCallerIdentityCommand, STSClient, type STSClientConfig } from '@aws-sdk/client-sts';
import type { Context } from '../lib/context.ts';
import { MakeRuntimeError, throwIfCancelled } from '../lib/errors.ts';
import { type Patience, pause } from '../source/http.ts';
import { type Again, type Asked, type AwsError, explainAwsError, mayGoAgain } from './failure.ts';
import { behindProxy, TunnelAgent } from './tunnel.ts';

/** With a jitter of up to half: about a minute in all. Lambda's control plane takes 15 requests a second for everybody. */
export const awsPatience: Patience = { attempts: 8, delay: 500, silence: 120_000 };
const longestDelay = 20_000;
const connectTimeout = 10_000;

export interface AwsOptions {
  /** A profile of ~/.aws; AWS_PROFILE, then the default one, when absent. */
  readonly profile?: string | undefined;
  readonly patience?: Patience;
}

/** As the SDK calls a service, for AWS_ENDPOINT_URL_<SERVICE>. */
export type Service = 'ACCOUNT' | 'CLOUDWATCH' | 'ECR' | 'LAMBDA' | 'S3' | 'SSM' | 'STS';

/** What any client of the SDK takes. */
export interface ClientConfig {
  readonly region: string;
  readonly maxAttempts: 1;
  readonly requestHandler: {
    readonly connectionTimeout: number;
    readonly socketTimeout: number;
    readonly socketAcquisitionWarningTimeout: number;
    readonly httpsAgent?: Agent;
  };
  readonly logger: NonNullable<STSClientConfig['logger']>;
  readonly customUserAgent: string;
  readonly credentials?: NonNullable<STSClientConfig['credentials']>;
  readonly profile?: string;
  readonly endpoint?: string;
}

export interface Identity {
  /** Twelve digits. */
  readonly account: string;
  readonly arn: string;
  /** "aws", "aws-cn", "aws-us-gov" */
  readonly partition: string;
}

export interface Retry {
  /**
   * For a call that must not be made twice: only when AWS says it did nothing (throttled), not when nobody knows.
   * The caller then finds out and decides.
   */
  readonly onlyThrottled?: boolean;
  /** Fewer than the session's own. */
  readonly attempts?: number;
}

/** Dispose of it to close the connections it made itself. */
export class AwsSession implements Disposable {
  readonly #ctx: Context;
  readonly #profile: string | undefined;
  readonly #patience: Patience;
  readonly #sts = new Map<string, STSClient>();
  #credentials: NonNullable<STSClientConfig['credentials']> | undefined;
  #identity: Identity | undefined;

  constructor(ctx: Context, { profile, patience = awsPatience }: AwsOptions = {}) {
    this.#ctx = ctx;
    this.#profile = profile ?? ctx.env['AWS_PROFILE'];
    const attempts = Number(ctx.env['AWS_MAX_ATTEMPTS']);
    this.#patience = Number.isInteger(attempts) && attempts > 0 ? { ...patience, attempts } : patience;
    const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey, AWS_SESSION_TOKEN } = ctx.env;
    if (this.#profile === undefined && accessKeyId && secretAccessKey) {
      this.#credentials = {
        accessKeyId,
        secretAccessKey,
        ...(AWS_SESSION_TOKEN ? { sessionToken: AWS_SESSION_TOKEN } : {}),
      };
    }
  }

  [Symbol.dispose](): void {
    for (const client of this.#sts.values()) client.destroy();
  }

  /**
   * What a client of `service` in `region` is made with. Destroy the client when it is done with.
   * Credentials are found once, by the SDK's own chain, and shared by all of them; they are renewed as they expire.
   */
  config(service: Service, region: string): ClientConfig {
    this.#credentials ??= this.#stsClient(region).config.credentials;
    return this.#config(service, region);
  }

  /**
   * Who we are. Needs no permission, so it fails for what is wrong with the credentials only. Asked once.
   * @param region where the caller wants to work; where that is no region, the partition's first one is asked
   * @throws AWS_NO_CREDENTIALS, AWS_CREDENTIALS_EXPIRED, AWS_CREDENTIALS_INVALID, AWS_UNREACHABLE, CANCELLED
   */
  async identity(region: string): Promise<Identity> {
    if (this.#identity !== undefined) return this.#identity;
    const whoIn = (place: string) =>
      this.ask(
        { action: 'sts:GetCallerIdentity', resource: '*', region: place },
        (options) => this.#stsClient(place).send(new GetCallerIdentityCommand({}), options),
        { attempts: 3 }, // Nothing is under way yet that would be worth a minute's patience with a dead network.
      );
    const home = homeRegion(region);
    const { Account, Arn } = await whoIn(region).catch((error) => {
      // A region that does not exist, or where this account is not known: is it the region, or the credentials?
      if (region === home || (error as MakeRuntimeError).code === 'CANCELLED') throw error;
      const mayBeTheRegion = ['AWS_UNREACHABLE', 'AWS_CREDENTIALS_INVALID'].includes(error.code);
      if (!mayBeTheRegion) throw error;
      return whoIn(home).catch(() => Promise.reject(error));
    });
    if (Account === undefined || Arn === undefined) throw new Error('sts:GetCallerIdentity named nobody');
    this.#identity = { account: Account, arn: Arn, partition: Arn.split(':')[1] ?? 'aws' };
    return this.#identity;
  }

  /** The region that the environment or the profile names; undefined when neither does. */
  async defaultRegion(): Promise<string | undefined> {
    const named = this.#ctx.env['AWS_REGION'] || this.#ctx.env['AWS_DEFAULT_REGION'];
    if (named) return named;
    const client = new STSClient(this.#profile === undefined ? {} : { profile: this.#profile });
    try {
      return await client.config.region();
    } catch {
      return undefined; // The SDK's "Region is missing".
    } finally {
      client.destroy();
    }
  }

  /**
   * Every region the account may use, sorted by name.
   * @throws AWS_DENIED for lack of account:ListRegions, and as ask()
   */
  async enabledRegions(near: string): Promise<readonly string[]> {
    // One API for a partition, in its first region (AWS General Reference, "Account Management endpoints").
    const region = homeRegion(near);
    const client = new AccountClient(this.config('ACCOUNT', region));
    try {
      const names: string[] = [];
      let token: string | undefined;
      do {
        const page = await this.ask({ action: 'account:ListRegions', resource: '*', region }, (options) =>
          client.send(
            new ListRegionsCommand({
              RegionOptStatusContains: ['ENABLED', 'ENABLED_BY_DEFAULT'],
              MaxResults: 50,
              ...(token === undefined ? {} : { NextToken: token }),
            }),
            options,
          ),
        );
        names.push(...(page.Regions ?? []).flatMap(({ RegionName }) => RegionName ?? []));
        token = page.NextToken;
      } while (token !== undefined);
      return names.sort();
    } finally {
      client.destroy();
    }
  }

  /**
   * Makes a call until it is answered for good: throttling and stumbles are waited out, longer each time.
   * @param send the call; it must hand `abortSignal` to the client
   * @throws what explainAwsError() makes of it; CANCELLED
   */
  async ask<Answer>(
    asked: Asked,
    send: (options: { abortSignal: AbortSignal }) => Promise<Answer>,
    { onlyThrottled = false, attempts = this.#patience.attempts }: Retry = {},
  ): Promise<Answer> {
    const { signal, offline } = this.#ctx;
    const most = Math.min(attempts, this.#patience.attempts);
    if (offline) {
      throw new MakeRuntimeError('AWS_UNREACHABLE', `${asked.action} cannot be asked with --offline.`, {
        remedy: 'Leave out --offline (MAKE_RUNTIME_OFFLINE).',
      });
    }
    for (let attempt = 1; ; attempt++) {
      throwIfCancelled(signal);
      try {
        return await send({ abortSignal: signal });
      } catch (error) {
        throwIfCancelled(signal);
        const again = error instanceof Error ? mayGoAgain(error as AwsError) : undefined;
        const allowed = again !== undefined && (!onlyThrottled || again !== 'stumbled');
        if (!allowed || attempt >= most) {
          const by = { who: this.#identity?.arn, profile: this.#profile, attempts: attempt };
          throw explainAwsError(error, asked, by);
        }
        await this.#waitBefore(attempt + 1, most, again, asked);
      }
    }
  }

  async #waitBefore(attempt: number, most: number, again: Again, { action, region }: Asked): Promise<void> {
    if (again === 'clock') return;
    const longest = Math.min(longestDelay, this.#patience.delay * 2 ** (attempt - 2));
    const why = again === 'throttled' ? 'throttled' : 'no good answer';
    const text = `${action} ${why}, attempt ${attempt} of ${most}`;
    // Where regions are worked on side by side, each is a row of its own.
    this.#ctx.report({ type: 'progress', stage: 'aws', text, build: region });
    await pause(longest * (0.5 + Math.random() / 2), this.#ctx.signal);
  }

  #stsClient(region: string): STSClient {
    const known = this.#sts.get(region);
    if (known !== undefined) return known;
    const client = new STSClient(this.#config('STS', region));
    this.#sts.set(region, client);
    return client;
  }

  #config(service: Service, region: string): ClientConfig {
    const { env } = this.#ctx;
    const ignored = env['AWS_IGNORE_CONFIGURED_ENDPOINT_URLS'] === 'true';
    const endpoint = ignored ? undefined : env[`AWS_ENDPOINT_URL_${service}`] || env['AWS_ENDPOINT_URL'];
    const silent = () => {};
    return {
      region,
      // Ours in ask(), because the SDK's own neither stop for Ctrl-C nor tell what may be asked twice.
      maxAttempts: 1,
      requestHandler: {
        connectionTimeout: connectTimeout,
        socketTimeout: this.#patience.silence,
        // One connection waits for another by design; the SDK would print a warning.
        socketAcquisitionWarningTimeout: 24 * 3600_000,
        // Each client ends the connections of its agent when it is destroyed, so none is shared.
        ...(behindProxy(env) ? { httpsAgent: new TunnelAgent(env) } : {}),
      },
      logger: {
        debug: silent,
        info: silent,
        warn: (message) => this.#ctx.report({ type: 'warn', message: String(message) }),
        error: silent,
      },
      customUserAgent: 'make-runtime',
      ...(this.#credentials === undefined ? {} : { credentials: this.#credentials }),
      ...(this.#profile === undefined ? {} : { profile: this.#profile }),
      ...(endpoint ? { endpoint } : {}),
    };
  }
}

/** Where an account's global affairs of a partition are dealt with. */
function homeRegion(region: string): string {
  if (region.startsWith('cn-')) return 'cn-northwest-1';
  if (region.startsWith('us-gov-')) return 'us-gov-west-1';
  return 'us-east-1';
}
