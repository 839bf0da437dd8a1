// The way through S3 for layers too large for the publishing request: a bucket in the layer's own region, an object named
// after its content, so that a re-run finds or overwrites it and never leaks another. It knows no Lambda.
import { createReadStream } from 'node:fs';
import {
  type BucketLocationConstraint,
  CreateBucketCommand,
  DeleteObjectCommand,
  GetPublicAccessBlockCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  PutObjectCommand,
  PutPublicAccessBlockCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { awsErrorName } from '../aws/failure.ts';
import type { AwsSession, Identity } from '../aws/session.ts';
import { isMakeRuntimeError, MakeRuntimeError } from '../lib/errors.ts';
import { changedError, type Publishable } from './artifact.ts';
import type { BucketChoice } from './request.ts';

export interface StoredObject {
  readonly bucket: string;
  readonly key: string;
  /** In a bucket with versioning. */
  readonly objectVersion: string | undefined;
}

/** One bucket in one region. Dispose of it to close its connections. */
export class LayerBucket implements Disposable {
  readonly name: string;
  readonly #region: string;
  readonly #aws: AwsSession;
  readonly #client: S3Client;
  readonly #account: string;

  constructor(choice: BucketChoice, region: string, { account }: Identity, aws: AwsSession) {
    this.name = choice.name.replaceAll('{account}', account).replaceAll('{region}', region);
    this.#region = region;
    this.#aws = aws;
    this.#account = account;
    const config = aws.config('S3', region);
    // An endpoint of somebody's own has no host for each bucket.
    this.#client = new S3Client({ ...config, ...(config.endpoint === undefined ? {} : { forcePathStyle: true }) });
  }

  [Symbol.dispose](): void {
    this.#client.destroy();
  }

  /**
   * @returns whether there is such a bucket, of this account and in this region
   * @throws BUCKET_UNUSABLE when it is somebody else's or somewhere else
   */
  async exists(): Promise<boolean> {
    try {
      await this.#ask('s3:ListBucket', '', (options) =>
        this.#client.send(new HeadBucketCommand({ Bucket: this.name, ExpectedBucketOwner: this.#account }), options),
      );
      return true;
    } catch (error) {
      // HEAD has no body, so the SDK knows little more than the status.
      const status = statusOf(error);
      if (status === 404) return false;
      if (status === 301 || status === 400) throw this.#unusable('is in another region', error);
      if (status === 403) {
        throw this.#unusable('belongs to another account, or may not be looked at (s3:ListBucket)', error);
      }
      throw error;
    }
  }

  /**
   * Makes the bucket when it is missing, and closed to the public in any case unless somebody has decided about that.
   * A run that was killed between the two is made up for by the next.
   */
  async create(): Promise<void> {
    if (!(await this.exists())) {
      const place = this.#region as BucketLocationConstraint;
      await this.#ask('s3:CreateBucket', '', (options) =>
        this.#client.send(
          new CreateBucketCommand({
            Bucket: this.name,
            // us-east-1 is where buckets are when nothing is said, and saying it is an error (API reference, CreateBucket).
            ...(this.#region === 'us-east-1' ? {} : { CreateBucketConfiguration: { LocationConstraint: place } }),
          }),
          options,
        ),
      ).catch((error) => {
        const name = awsErrorName(error);
        if (name === 'BucketAlreadyExists') throw this.#unusable('is the name of somebody else’s bucket', error);
        if (name !== 'BucketAlreadyOwnedByYou') throw error;
      });
    }
    const decided = await this.#ask('s3:GetBucketPublicAccessBlock', '', (options) =>
      this.#client.send(new GetPublicAccessBlockCommand(this.#owned()), options),
    ).catch((error) => {
      if (awsErrorName(error) !== 'NoSuchPublicAccessBlockConfiguration') throw error;
      return undefined;
    });
    if (decided !== undefined) return;
    await this.#ask('s3:PutBucketPublicAccessBlock', '', (options) =>
      this.#client.send(
        new PutPublicAccessBlockCommand({
          ...this.#owned(),
          PublicAccessBlockConfiguration: {
            BlockPublicAcls: true,
            BlockPublicPolicy: true,
            IgnorePublicAcls: true,
            RestrictPublicBuckets: true,
          },
        }),
        options,
      ),
    );
  }

  /** Where a layer's zip lies: the same place for the same bytes. */
  keyOf(layerName: string, { sha256 }: Publishable): string {
    return `make-runtime/${layerName}/${sha256}.zip`;
  }

  /** What lies where the zip goes; undefined also when we may not see it. `whole` when S3 says that it is the zip. */
  async find(layerName: string, artifact: Publishable): Promise<(StoredObject & { whole: boolean }) | undefined> {
    const key = this.keyOf(layerName, artifact);
    const there = await this.#ask('s3:GetObject', key, (options) =>
      this.#client.send(new HeadObjectCommand({ ...this.#owned(), Key: key, ChecksumMode: 'ENABLED' }), options),
    ).catch((error) => {
      // Without s3:ListBucket, S3 answers 403 for an object that is not there.
      if (statusOf(error) !== 404 && statusOf(error) !== 403) throw error;
      return undefined;
    });
    if (there === undefined) return undefined;
    // A store that keeps no checksums gets the zip again.
    const whole = there.ChecksumSHA256 === checksumOf(artifact) && there.ContentLength === artifact.size;
    return { bucket: this.name, key, objectVersion: there.VersionId, whole };
  }

  /**
   * Uploads the zip unless it is there already. S3 checks the sha256 and refuses a file that changed on its way.
   * @throws ARTIFACT_CHANGED, BUCKET_MISSING
   */
  async put(layerName: string, artifact: Publishable): Promise<StoredObject> {
    const found = await this.find(layerName, artifact);
    if (found?.whole) return found;
    const key = this.keyOf(layerName, artifact);
    const answer = await this.#ask('s3:PutObject', key, async (options) => {
      const body = createReadStream(artifact.path); // Each attempt reads from the beginning.
      try {
        const about = { ContentLength: artifact.size, ContentType: 'application/zip' };
        const checksum = { ChecksumAlgorithm: 'SHA256', ChecksumSHA256: checksumOf(artifact) } as const;
        return await this.#client.send(
          new PutObjectCommand({ ...this.#owned(), Key: key, ...about, ...checksum, Body: body }),
          options,
        );
      } finally {
        body.destroy();
      }
    }).catch((error) => {
      const name = awsErrorName(error);
      if (name === 'NoSuchBucket') throw missingBucket(this.name, this.#region, error);
      if (/^(BadDigest|InvalidDigest|XAmzContentChecksumMismatch|IncompleteBody)$/.test(name ?? '')) {
        throw changedError(artifact.path, artifact.sha256, 'another, says S3');
      }
      throw error;
    });
    return { bucket: this.name, key, objectVersion: answer.VersionId };
  }

  /** Nothing happens when it is gone already. Its own version only: otherwise a bucket with versioning would keep it. */
  async remove({ key, objectVersion }: StoredObject): Promise<void> {
    await this.#ask('s3:DeleteObject', key, (options) =>
      this.#client.send(
        new DeleteObjectCommand({
          ...this.#owned(),
          Key: key,
          ...(objectVersion === undefined ? {} : { VersionId: objectVersion }),
        }),
        options,
      ),
    ).catch((error) => {
      if (statusOf(error) !== 404) throw error;
    });
  }

  /** Refused by S3 when the bucket has become another account's: nobody gets our bytes by owning a name. */
  #owned() {
    return { Bucket: this.name, ExpectedBucketOwner: this.#account };
  }

  #unusable(why: string, cause: unknown): MakeRuntimeError {
    return new MakeRuntimeError('BUCKET_UNUSABLE', `The bucket ${this.name} ${why}.`, {
      remedy: `Lambda takes layers from a bucket in ${this.#region} only: name one of yours there with --s3-bucket.`,
      cause,
    });
  }

  #ask<Answer>(
    action: string,
    key: string,
    send: (options: { abortSignal: AbortSignal }) => Promise<Answer>,
  ): Promise<Answer> {
    const resource = `arn:${partitionOf(this.#region)}:s3:::${this.name}${key === '' ? '' : `/${key}`}`;
    return this.#aws.ask({ action, resource, region: this.#region }, send);
  }
}

export function missingBucket(name: string, region: string, cause?: unknown): MakeRuntimeError {
  return new MakeRuntimeError(
    'BUCKET_MISSING',
    `There is no bucket ${name} in ${region} for the layer to go through.`,
    {
      remedy: 'Say --create-bucket, or name a bucket of yours with --s3-bucket ({region} in it is filled in).',
      ...(cause === undefined ? {} : { cause }),
    },
  );
}

function checksumOf({ sha256 }: Publishable): string {
  return Buffer.from(sha256, 'hex').toString('base64');
}

function statusOf(error: unknown): number | undefined {
  const raw = isMakeRuntimeError(error) ? error.cause : error;
  return (raw as { $metadata?: { httpStatusCode?: number } } | undefined)?.$metadata?.httpStatusCode;
}

function partitionOf(region: string): string {
  if (region.startsWith('cn-')) return 'aws-cn';
  return region.startsWith('us-gov-') ? 'aws-us-gov' : 'aws';
}
