// Lambda's layer API in one region, in our words: versions of one layer, their grants, who uses them. Every call names the
// permission it needs. It decides nothing.
import {
  AddLayerVersionPermissionCommand,
  type Architecture,
  DeleteLayerVersionCommand,
  GetAccountSettingsCommand,
  GetLayerVersionCommand,
  GetLayerVersionPolicyCommand,
  LambdaClient,
  ListFunctionsCommand,
  ListLayersCommand,
  ListLayerVersionsCommand,
  PublishLayerVersionCommand,
  type Runtime,
} from '@aws-sdk/client-lambda';
import { awsErrorName } from '../aws/failure.ts';
import type { AwsSession, Identity } from '../aws/session.ts';
import { type InlineBodies, marker } from './inline-body.ts';
import type { Grant, Metadata } from './request.ts';

export interface LayerVersion {
  readonly version: number;
  readonly arn: string;
  /** ISO 8601, as Lambda writes it: 2026-11-21T18:00:00.000+0000 */
  readonly created: string;
  readonly metadata: Metadata;
}

export interface LayerVersionContent extends LayerVersion {
  /** Base64. */
  readonly codeSha256: string;
  readonly size: number;
  /** Where the zip can be had for a few minutes. */
  readonly location: string;
}

export type LayerContent =
  | { readonly inline: InlineBodies }
  | { readonly bucket: string; readonly key: string; readonly objectVersion: string | undefined };

/** Dispose of it to close its connections. */
export class LayerRegion implements Disposable {
  readonly region: string;
  readonly #aws: AwsSession;
  readonly #client: LambdaClient;
  readonly #identity: Identity;

  constructor(region: string, identity: Identity, aws: AwsSession) {
    this.region = region;
    this.#aws = aws;
    this.#identity = identity;
    this.#client = new LambdaClient(aws.config('LAMBDA', region));
  }

  [Symbol.dispose](): void {
    this.#client.destroy();
  }

  arnOf(name: string, version?: number): string {
    const { account, partition } = this.#identity;
    const arn = `arn:${partition}:lambda:${this.region}:${account}:layer:${name}`;
    return version === undefined ? arn : `${arn}:${version}`;
  }

  /** Names of all layers, with their newest version. */
  async layers(): Promise<readonly { readonly name: string; readonly newest: LayerVersion }[]> {
    const all: { name: string; newest: LayerVersion }[] = [];
    for (let marker: string | undefined, more = true; more; more = marker !== undefined) {
      const page = await this.#ask('lambda:ListLayers', '*', (options) =>
        this.#client.send(new ListLayersCommand({ MaxItems: 50, ...(marker ? { Marker: marker } : {}) }), options),
      );
      for (const { LayerName, LatestMatchingVersion } of page.Layers ?? []) {
        if (LayerName && LatestMatchingVersion) all.push({ name: LayerName, newest: versionOf(LatestMatchingVersion) });
      }
      marker = page.NextMarker || undefined;
    }
    return all;
  }

  /** All versions of a layer, newest first; none for a layer that does not exist. */
  async versions(name: string): Promise<readonly LayerVersion[]> {
    const all: LayerVersion[] = [];
    for (let marker: string | undefined, more = true; more; more = marker !== undefined) {
      const page = await this.#ask('lambda:ListLayerVersions', this.arnOf(name), (options) =>
        this.#client.send(
          new ListLayerVersionsCommand({ LayerName: name, MaxItems: 50, ...(marker ? { Marker: marker } : {}) }),
          options,
        ),
      ).catch(unlessMissing);
      all.push(...(page?.LayerVersions ?? []).map(versionOf));
      marker = page?.NextMarker || undefined;
    }
    return all.sort((one, other) => other.version - one.version);
  }

  /** undefined when the version is gone. */
  async version(name: string, version: number): Promise<LayerVersionContent | undefined> {
    const answer = await this.#ask('lambda:GetLayerVersion', this.arnOf(name, version), (options) =>
      this.#client.send(new GetLayerVersionCommand({ LayerName: name, VersionNumber: version }), options),
    ).catch(unlessMissing);
    return answer && contentOf(answer);
  }

  /**
   * Publishes a version. Each call that Lambda takes makes one, also with the same bytes, so it is not made again when
   * nobody knows whether it was taken: then this throws AWS_UNREACHABLE, and the caller looks.
   * Not stopped by Ctrl-C either, for the same reason.
   */
  async publish(name: string, content: LayerContent, metadata: Metadata): Promise<LayerVersionContent> {
    const command = new PublishLayerVersionCommand({
      LayerName: name,
      Content:
        'inline' in content
          ? { ZipFile: marker }
          : {
              S3Bucket: content.bucket,
              S3Key: content.key,
              ...(content.objectVersion === undefined ? {} : { S3ObjectVersion: content.objectVersion }),
            },
      Description: metadata.description,
      CompatibleRuntimes: metadata.runtimes as Runtime[],
      CompatibleArchitectures: metadata.architectures as Architecture[],
      ...(metadata.licence === '' ? {} : { LicenseInfo: metadata.licence }),
    });
    if ('inline' in content) {
      command.middlewareStack.add(
        (next) => async (args) => {
          const request = args.request as { body: string | Uint8Array };
          const { body } = request;
          const written = typeof body === 'string' ? body : new TextDecoder().decode(body);
          request.body = await content.inline.bodyFor(written);
          return next(args);
        },
        { step: 'build', name: 'sharedZip', priority: 'high' }, // Before the length is counted and the body signed.
      );
    }
    const answer = await this.#ask('lambda:PublishLayerVersion', this.arnOf(name), () => this.#client.send(command), {
      onlyThrottled: true,
    });
    return contentOf(answer);
  }

  async remove(name: string, version: number): Promise<void> {
    await this.#ask('lambda:DeleteLayerVersion', this.arnOf(name, version), (options) =>
      this.#client.send(new DeleteLayerVersionCommand({ LayerName: name, VersionNumber: version }), options),
    ).catch(unlessMissing);
  }

  /** Ids of the statements in a version's policy. */
  async grants(name: string, version: number): Promise<ReadonlySet<string>> {
    const answer = await this.#ask('lambda:GetLayerVersionPolicy', this.arnOf(name, version), (options) =>
      this.#client.send(new GetLayerVersionPolicyCommand({ LayerName: name, VersionNumber: version }), options),
    ).catch(unlessMissing); // A version without grants has no policy.
    const policy: { Statement?: readonly { Sid?: string }[] } = JSON.parse(answer?.Policy ?? '{}');
    return new Set((policy.Statement ?? []).flatMap(({ Sid }) => Sid ?? []));
  }

  /** Leaves a grant that is there already as it is. */
  async grant(name: string, version: number, { id, principal, organization }: Grant): Promise<void> {
    await this.#ask('lambda:AddLayerVersionPermission', this.arnOf(name, version), (options) =>
      this.#client.send(
        new AddLayerVersionPermissionCommand({
          LayerName: name,
          VersionNumber: version,
          StatementId: id,
          Action: 'lambda:GetLayerVersion',
          Principal: principal,
          ...(organization === undefined ? {} : { OrganizationId: organization }),
        }),
        options,
      ),
    ).catch((error) => {
      if (awsErrorName(error) !== 'ResourceConflictException') throw error;
    });
  }

  /** Which functions use which layer version, by its ARN: every version of every function of the account here. */
  async users(): Promise<ReadonlyMap<string, readonly string[]>> {
    const users = new Map<string, string[]>();
    for (let marker: string | undefined, more = true; more; more = marker !== undefined) {
      const page = await this.#ask('lambda:ListFunctions', '*', (options) =>
        this.#client.send(
          new ListFunctionsCommand({ FunctionVersion: 'ALL', MaxItems: 50, ...(marker ? { Marker: marker } : {}) }),
          options,
        ),
      );
      for (const { FunctionName, Version, Layers } of page.Functions ?? []) {
        for (const { Arn } of Layers ?? []) {
          if (Arn !== undefined) users.set(Arn, [...(users.get(Arn) ?? []), `${FunctionName}:${Version}`]);
        }
      }
      marker = page.NextMarker || undefined;
    }
    return users;
  }

  /** Bytes of all code and layers of the account here, and how many it may have. */
  async storage(): Promise<{ readonly used: number; readonly allowed: number }> {
    const answer = await this.#ask('lambda:GetAccountSettings', '*', (options) =>
      this.#client.send(new GetAccountSettingsCommand({}), options),
    );
    return { used: answer.AccountUsage?.TotalCodeSize ?? 0, allowed: answer.AccountLimit?.TotalCodeSize ?? 0 };
  }

  #ask<Answer>(
    action: string,
    resource: string,
    send: (options: { abortSignal: AbortSignal }) => Promise<Answer>,
    retry: Parameters<AwsSession['ask']>[2] = {},
  ): Promise<Answer> {
    return this.#aws.ask({ action, resource, region: this.region }, send, retry);
  }
}

interface RawVersion {
  readonly Version?: number | undefined;
  readonly LayerVersionArn?: string | undefined;
  readonly CreatedDate?: string | undefined;
  readonly Description?: string | undefined;
  readonly CompatibleRuntimes?: readonly string[] | undefined;
  readonly CompatibleArchitectures?: readonly string[] | undefined;
  readonly LicenseInfo?: string | undefined;
}

function versionOf(raw: RawVersion): LayerVersion {
  return {
    version: raw.Version ?? 0,
    arn: raw.LayerVersionArn ?? '',
    created: raw.CreatedDate ?? '',
    metadata: {
      description: raw.Description ?? '',
      runtimes: raw.CompatibleRuntimes ?? [],
      architectures: (raw.CompatibleArchitectures ?? []) as Metadata['architectures'],
      licence: raw.LicenseInfo ?? '',
    },
  };
}

function contentOf(
  raw: RawVersion & {
    readonly Content?:
      | {
          readonly CodeSha256?: string | undefined;
          readonly CodeSize?: number | undefined;
          readonly Location?: string | undefined;
        }
      | undefined;
  },
): LayerVersionContent {
  const { CodeSha256: codeSha256 = '', CodeSize: size = 0, Location: location = '' } = raw.Content ?? {};
  return { ...versionOf(raw), codeSha256, size, location };
}

function unlessMissing(error: unknown): undefined {
  if (awsErrorName(error) !== 'ResourceNotFoundException') throw error;
  return undefined;
}
