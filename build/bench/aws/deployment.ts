// Temporary functions and layers in an account: made, waited for, invoked, removed. Everything carries the same prefix, and
// functions a tag, so that what a run left behind can be found (layers cannot be tagged). Refuses to know what is measured.
import {
  CreateFunctionCommand,
  DeleteFunctionCommand,
  DeleteLayerVersionCommand,
  GetFunctionConfigurationCommand,
  InvokeCommand,
  LambdaClient,
  type Runtime as LambdaRuntime,
  ListFunctionsCommand,
  ListLayersCommand,
  ListLayerVersionsCommand,
  ListTagsCommand,
  PublishLayerVersionCommand,
  UpdateFunctionConfigurationCommand,
} from '@aws-sdk/client-lambda';
import { awsErrorName } from '../../aws/failure.ts';
import type { AwsSession } from '../../aws/session.ts';
import type { Context } from '../../lib/context.ts';
import { MakeRuntimeError } from '../../lib/errors.ts';
import { pause } from '../../source/http.ts';

const prefix = 'make-runtime-bench-';
const tag = 'make-runtime-bench';
/** A zip in the request itself; larger ones would need a bucket (Lambda quotas: 50 MB, zipped, direct upload). */
export const largestUpload = 50 * 1024 * 1024;

export interface FunctionWanted {
  readonly name: string;
  readonly runtime: string;
  readonly architecture: 'x86_64' | 'arm64';
  readonly layer: string | undefined;
  readonly code: Uint8Array;
  readonly memory: number;
  readonly role: string;
}

export interface Answer {
  readonly log: string;
  readonly error: string | undefined;
}

export class Deployment {
  readonly #client: LambdaClient;
  readonly #aws: AwsSession;
  readonly #ctx: Context;
  readonly #region: string;
  /** Of this run: what its functions are tagged with. */
  readonly id: string;
  /** Functions that were asked for, also those of which no answer came. */
  readonly asked = new Set<string>();

  constructor(aws: AwsSession, region: string, id: string, ctx: Context) {
    this.#aws = aws;
    this.#ctx = ctx;
    this.#region = region;
    this.id = id;
    this.#client = new LambdaClient(aws.config('LAMBDA', region));
  }

  close(): void {
    this.#client.destroy();
  }

  nameOf(what: string): string {
    return `${prefix}${this.id}-${what.replace(/[^\w]+/g, '-')}`.slice(0, 64);
  }

  /** @returns the ARN of the version */
  async layer(name: string, zip: Uint8Array): Promise<string> {
    const { LayerVersionArn } = await this.#ask('lambda:PublishLayerVersion', name, (options) =>
      this.#client.send(
        new PublishLayerVersionCommand({ LayerName: name, Description: 'temporary', Content: { ZipFile: zip } }),
        options,
      ),
    );
    if (LayerVersionArn === undefined) throw new Error('lambda:PublishLayerVersion named no version');
    return LayerVersionArn;
  }

  async create({ name, runtime, architecture, layer, code, memory, role }: FunctionWanted): Promise<void> {
    const input = {
      FunctionName: name,
      Description: 'temporary: make-runtime bench --on-aws removes it',
      Runtime: runtime as LambdaRuntime,
      Architectures: [architecture],
      Role: role,
      Handler: 'app.handler',
      Code: { ZipFile: code },
      MemorySize: memory,
      Timeout: 60,
      Tags: { [tag]: this.id },
      ...(layer === undefined ? {} : { Layers: [layer] }),
    };
    this.asked.add(name);
    try {
      await this.#ask('lambda:CreateFunction', name, (options) =>
        this.#client.send(new CreateFunctionCommand(input), options),
      );
    } catch (error) {
      // A request that stumbled may have been obeyed, and was then sent again.
      if (awsErrorName(error) !== 'ResourceConflictException') throw error;
    }
    await this.#settled(name);
  }

  /** Changes the environment, so that the next invocation gets a new one. */
  async renew(name: string, nonce: string): Promise<void> {
    await this.#ask('lambda:UpdateFunctionConfiguration', name, (options) =>
      this.#client.send(
        new UpdateFunctionConfigurationCommand({ FunctionName: name, Environment: { Variables: { NONCE: nonce } } }),
        options,
      ),
    );
    await this.#settled(name);
  }

  async invoke(name: string, event: string): Promise<Answer> {
    const answer = await this.#ask('lambda:InvokeFunction', name, (options) =>
      this.#client.send(
        new InvokeCommand({ FunctionName: name, LogType: 'Tail', Payload: Buffer.from(event) }),
        options,
      ),
    );
    const log = Buffer.from(answer.LogResult ?? '', 'base64').toString();
    const payload = Buffer.from(answer.Payload ?? []).toString();
    return { log, error: answer.FunctionError === undefined ? undefined : payload };
  }

  /**
   * Everything that carries our prefix: functions that are tagged, and layers.
   * @param id of one run only; absent: of all
   */
  async leftovers(
    id?: string,
  ): Promise<{ readonly functions: readonly string[]; readonly layers: readonly Version[] }> {
    const wanted = id === undefined ? prefix : `${prefix}${id}-`;
    const functions: string[] = [];
    for (let marker: string | undefined, more = true; more; more = marker !== undefined) {
      const page = await this.#ask('lambda:ListFunctions', '*', (options) =>
        this.#client.send(new ListFunctionsCommand(marker === undefined ? {} : { Marker: marker }), options),
      );
      for (const { FunctionName = '', FunctionArn = '' } of page.Functions ?? []) {
        if (!FunctionName.startsWith(wanted)) continue;
        const { Tags = {} } = await this.#ask('lambda:ListTags', FunctionArn, (options) =>
          this.#client.send(new ListTagsCommand({ Resource: FunctionArn }), options),
        );
        // A name may be anybody's; the tag is ours.
        if (Tags[tag] !== undefined && (id === undefined || Tags[tag] === id)) functions.push(FunctionName);
      }
      marker = page.NextMarker;
    }
    const layers: Version[] = [];
    for (let marker: string | undefined, more = true; more; more = marker !== undefined) {
      const page = await this.#ask('lambda:ListLayers', '*', (options) =>
        this.#client.send(new ListLayersCommand(marker === undefined ? {} : { Marker: marker }), options),
      );
      for (const { LayerName = '' } of page.Layers ?? []) {
        if (!LayerName.startsWith(wanted)) continue;
        const { LayerVersions = [] } = await this.#ask('lambda:ListLayerVersions', LayerName, (options) =>
          this.#client.send(new ListLayerVersionsCommand({ LayerName }), options),
        );
        for (const { Version: version } of LayerVersions)
          if (version !== undefined) layers.push({ name: LayerName, version });
      }
      marker = page.NextMarker;
    }
    return { functions, layers };
  }

  /** @returns what was removed, by name. @throws BENCH_LEFTOVERS with what could not be, after everything was tried */
  async remove({ functions, layers }: Awaited<ReturnType<Deployment['leftovers']>>): Promise<readonly string[]> {
    const removed: string[] = [];
    const kept: string[] = [];
    const attempt = async (name: string, action: () => Promise<unknown>): Promise<void> => {
      try {
        await action();
        removed.push(name);
      } catch (error) {
        if (awsErrorName(error) === 'ResourceNotFoundException') return;
        kept.push(`${name}: ${(error as Error).message}`);
      }
    };
    for (const name of functions) {
      await attempt(name, () =>
        this.#ask('lambda:DeleteFunction', name, (options) =>
          this.#client.send(new DeleteFunctionCommand({ FunctionName: name }), options),
        ),
      );
    }
    for (const { name, version } of layers) {
      await attempt(`${name}:${version}`, () =>
        this.#ask('lambda:DeleteLayerVersion', `${name}:${version}`, (options) =>
          this.#client.send(new DeleteLayerVersionCommand({ LayerName: name, VersionNumber: version }), options),
        ),
      );
    }
    if (kept.length > 0) {
      throw new MakeRuntimeError('BENCH_LEFTOVERS', `${kept.length} things in ${this.#region} could not be removed.`, {
        remedy: `Remove them later: make-runtime bench --on-aws --clean --region ${this.#region}`,
        detail: kept.join('\n'),
      });
    }
    return removed;
  }

  /** Until the function has taken its last change. */
  async #settled(name: string): Promise<void> {
    for (let tries = 0; tries < 240; tries += 1) {
      const { State, LastUpdateStatus, StateReason, LastUpdateStatusReason } = await this.#ask(
        'lambda:GetFunctionConfiguration',
        name,
        (options) => this.#client.send(new GetFunctionConfigurationCommand({ FunctionName: name }), options),
      );
      if (State === 'Failed' || LastUpdateStatus === 'Failed') {
        throw new MakeRuntimeError(
          'AWS_REFUSED',
          `${name} could not be made ready: ${StateReason ?? LastUpdateStatusReason}.`,
          {
            remedy: 'The reason is Lambda’s own; it names the role, the layer or the runtime.',
          },
        );
      }
      // An emulator may know neither.
      if ((State ?? 'Active') === 'Active' && (LastUpdateStatus ?? 'Successful') === 'Successful') return;
      await pause(500, this.#ctx.signal);
    }
    throw new MakeRuntimeError('AWS_UNREACHABLE', `${name} was still not ready after two minutes.`, {
      remedy: 'Look at it in the console; run the same command again later.',
    });
  }

  #ask<T>(action: string, resource: string, send: (options: { abortSignal: AbortSignal }) => Promise<T>): Promise<T> {
    return this.#aws.ask({ action, resource, region: this.#region }, send);
  }
}

interface Version {
  readonly name: string;
  readonly version: number;
}
