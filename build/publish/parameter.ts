// One SSM parameter in one region that holds a layer version's ARN, for stacks that look it up. It knows no layers.
import { GetParameterCommand, PutParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import { awsErrorName } from '../aws/failure.ts';
import type { AwsSession, Identity } from '../aws/session.ts';

/** Dispose of it to close its connections. */
export class ArnParameter implements Disposable {
  readonly #name: string;
  readonly #region: string;
  readonly #aws: AwsSession;
  readonly #client: SSMClient;
  readonly #arn: string;

  constructor(name: string, region: string, { account, partition }: Identity, aws: AwsSession) {
    this.#name = name;
    this.#region = region;
    this.#aws = aws;
    this.#client = new SSMClient(aws.config('SSM', region));
    this.#arn = `arn:${partition}:ssm:${region}:${account}:parameter/${name.replace(/^\//, '')}`;
  }

  [Symbol.dispose](): void {
    this.#client.destroy();
  }

  /** undefined when there is no such parameter yet. */
  async value(): Promise<string | undefined> {
    const asked = { action: 'ssm:GetParameter', resource: this.#arn, region: this.#region };
    const answer = await this.#aws
      .ask(asked, (options) => this.#client.send(new GetParameterCommand({ Name: this.#name }), options))
      .catch((error) => {
        if (awsErrorName(error) !== 'ParameterNotFound') throw error;
        return undefined;
      });
    return answer?.Parameter?.Value;
  }

  async set(value: string): Promise<void> {
    const asked = { action: 'ssm:PutParameter', resource: this.#arn, region: this.#region };
    await this.#aws.ask(asked, (options) =>
      this.#client.send(
        new PutParameterCommand({ Name: this.#name, Value: value, Type: 'String', Overwrite: true }),
        options,
      ),
    );
  }
}
