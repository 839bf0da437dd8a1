// An account as far as publishing touches it: layers with versions and policies, functions, parameters, one S3, in every
// region, behind test/aws's HTTP server. moto does this better and slower (test/slow/publish.test.ts); this one pages,
// runs out of quota, and starts within a millisecond.
import { createHash } from 'node:crypto';
import {
  type AwsAnswer,
  type AwsCall,
  callerIdentity,
  jsonError,
  type Script,
  xmlError,
} from '../../aws/support/fake-aws.ts';

interface Version {
  readonly Version: number;
  readonly LayerVersionArn: string;
  readonly CreatedDate: string;
  readonly Content: { CodeSha256: string; CodeSize: number; Location: string };
  readonly policy: Record<string, unknown>[];
  readonly [field: string]: unknown;
}

export class FakeAccount {
  /** "eu-west-1/name" -> versions, oldest first. */
  readonly layers = new Map<string, Version[]>();
  /** region -> functions as ListFunctions has them. */
  readonly functions = new Map<string, object[]>();
  /** "eu-west-1/path" -> value */
  readonly parameters = new Map<string, string>();
  /** bucket -> its region, keys with the sha256 that was said of them, and whether it is closed to the public. */
  readonly buckets = new Map<
    string,
    { region: string; objects: Map<string, { sha256: string; size: number }>; closed: boolean }
  >();
  /** How many items a page has. */
  page = 50;
  #last = new Map<string, number>();

  versionsOf(region: string, name: string): readonly Version[] {
    return this.layers.get(`${region}/${name}`) ?? [];
  }

  /** Answers a call as AWS does; for FakeAws.script. */
  readonly answer: Script = (call) => {
    const { service, operation } = call;
    if (operation === 'GetCallerIdentity') return callerIdentity();
    if (service === 'ssm') return this.#ssm(call);
    if (service === 's3') return this.#s3(call);
    return this.#lambda(call);
  };

  #lambda({ region, operation, body }: AwsCall): AwsAnswer {
    const [method, url = ''] = operation.split(' ');
    const { pathname, searchParams } = new URL(url, 'http://x');
    const [, , kind, rawName, , number, policy] = pathname.split('/');
    const marker = Number(searchParams.get('Marker') ?? 0);
    const paged = (field: string, all: readonly object[]): AwsAnswer => {
      const next = marker + this.page;
      return { body: { [field]: all.slice(marker, next), ...(next < all.length ? { NextMarker: String(next) } : {}) } };
    };
    if (kind === 'functions') return paged('Functions', this.functions.get(region) ?? []);
    if (kind === 'account-settings') {
      return { body: { AccountLimit: { TotalCodeSize: 80e9 }, AccountUsage: { TotalCodeSize: 79.9e9 } } };
    }
    if (rawName === undefined) {
      const mine = [...this.layers].filter(([key, versions]) => key.startsWith(`${region}/`) && versions.length > 0);
      return paged(
        'Layers',
        mine.map(([key, versions]) => ({ LayerName: key.split('/')[1], LatestMatchingVersion: versions.at(-1) })),
      );
    }
    const key = `${region}/${decodeURIComponent(rawName)}`;
    const versions = this.layers.get(key) ?? [];
    if (number === undefined) {
      if (method === 'POST') return { status: 201, body: this.#publish(key, region, JSON.parse(body.toString())) };
      return paged('LayerVersions', versions.toReversed());
    }
    const version = versions.find((one) => one.Version === Number(number));
    if (version === undefined) return jsonError('ResourceNotFoundException', 404);
    if (policy !== undefined) return this.#policy(method ?? '', version, body);
    if (method === 'DELETE') {
      this.layers.set(
        key,
        versions.filter((one) => one !== version),
      );
      return { status: 204, body: '' };
    }
    return { body: version };
  }

  #publish(key: string, region: string, request: Record<string, unknown>): Version {
    const { Content, ...metadata } = request as { Content: { ZipFile?: string; S3Bucket?: string; S3Key?: string } };
    const zip = Content.ZipFile === undefined ? undefined : Buffer.from(Content.ZipFile, 'base64');
    const object = this.buckets.get(Content.S3Bucket ?? '')?.objects.get(Content.S3Key ?? '');
    const number = (this.#last.get(key) ?? 0) + 1;
    this.#last.set(key, number);
    const version: Version = {
      ...metadata,
      Version: number,
      LayerVersionArn: `arn:aws:lambda:${region}:123456789012:layer:${key.split('/')[1]}:${number}`,
      CreatedDate: new Date(Date.UTC(2026, 0, number)).toISOString().replace('Z', '+0000'),
      Content: {
        CodeSha256: zip ? createHash('sha256').update(zip).digest('base64') : (object?.sha256 ?? ''),
        CodeSize: zip?.length ?? object?.size ?? 0,
        Location: 'https://example.com/',
      },
      policy: [],
    };
    this.layers.set(key, [...(this.layers.get(key) ?? []), version]);
    return version;
  }

  #policy(method: string, version: Version, body: Buffer): AwsAnswer {
    if (method === 'GET') {
      if (version.policy.length === 0) return jsonError('ResourceNotFoundException', 404);
      return {
        body: { Policy: JSON.stringify({ Version: '2012-10-17', Statement: version.policy }), RevisionId: 'r' },
      };
    }
    const { StatementId: Sid, ...statement } = JSON.parse(body.toString());
    if (version.policy.some((one) => one.Sid === Sid)) return jsonError('ResourceConflictException', 409);
    version.policy.push({ Sid, ...statement });
    return { status: 201, body: { Statement: '{}', RevisionId: 'r' } };
  }

  #ssm({ region, operation, body }: AwsCall): AwsAnswer {
    const { Name, Value } = JSON.parse(body.toString());
    const key = `${region}${Name}`;
    if (operation === 'PutParameter') {
      this.parameters.set(key, Value);
      return { body: { Version: 1 } };
    }
    const value = this.parameters.get(key);
    return value === undefined ? jsonError('ParameterNotFound') : { body: { Parameter: { Name, Value: value } } };
  }

  #s3({ region, operation, headers, body }: AwsCall): AwsAnswer {
    const [method, url = ''] = operation.split(' ');
    const { pathname, searchParams } = new URL(url, 'http://x');
    const [, name = '', ...path] = pathname.split('/');
    const key = path.join('/');
    const bucket = this.buckets.get(name);
    if (key === '' && method === 'PUT' && !searchParams.has('publicAccessBlock')) {
      const said = /<LocationConstraint>(.*)<\/LocationConstraint>/.exec(body.toString())?.[1] ?? 'us-east-1';
      if (said !== region) return xmlError('IllegalLocationConstraintException');
      this.buckets.set(name, { region, objects: new Map(), closed: false });
      return {};
    }
    if (bucket === undefined) return { status: 404, ...(method === 'HEAD' ? { body: '' } : s3Error('NoSuchBucket')) };
    if (bucket.region !== region) return { status: 301, headers: { 'x-amz-bucket-region': bucket.region }, body: '' };
    if (searchParams.has('publicAccessBlock')) {
      if (method === 'PUT') bucket.closed = true;
      else if (!bucket.closed) return { status: 404, ...s3Error('NoSuchPublicAccessBlockConfiguration') };
      return { body: method === 'PUT' ? '' : '<PublicAccessBlockConfiguration/>' };
    }
    if (key === '') return { body: '' };
    if (method === 'PUT') {
      bucket.objects.set(key, {
        sha256: String(headers['x-amz-checksum-sha256']),
        size: Number(headers['content-length']),
      });
      return { body: '' };
    }
    const object = bucket.objects.get(key);
    if (method === 'DELETE') {
      bucket.objects.delete(key);
      return { status: 204, body: '' };
    }
    if (object === undefined) return { status: 404, body: '' };
    return { headers: { 'x-amz-checksum-sha256': object.sha256, 'content-length': String(object.size) }, body: '' };
  }
}

function s3Error(name: string): AwsAnswer {
  return {
    headers: { 'content-type': 'application/xml' },
    body: `<Error><Code>${name}</Code><Message>no</Message></Error>`,
  };
}
