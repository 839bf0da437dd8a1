// The table of deploying tools: each turns a project into its own files and tells what to type.
import type { Project, Target } from '../model.ts';
import { cdkPython } from './cdk-python.ts';
import { cdkTs } from './cdk-ts.ts';
import { cli } from './cli.ts';
import { sam } from './sam.ts';
import { terraform } from './terraform.ts';

export interface Deployment {
  /** As the README calls it. */
  readonly title: string;
  readonly files: Readonly<Record<string, string>>;
  /** Commands, in order. */
  readonly steps: readonly string[];
  /** Paragraphs. */
  readonly notes: readonly string[];
}

const deployments: Readonly<Record<Target, (project: Project) => Deployment>> = {
  sam,
  'cdk-ts': cdkTs,
  'cdk-python': cdkPython,
  terraform,
  cli,
};

export function deployment(project: Project): Deployment {
  return deployments[project.target](project);
}

/** What is to be known about a sample wherever it is deployed. */
export function sampleNotes({ sample }: Project): string[] {
  if (sample.concurrency !== undefined)
    return [
      'Managed Instances run in a capacity provider of your account, which is made once (subnets, security groups, operator role) and named here by its ARN. They run published versions only.',
    ];
  if (sample.streams)
    return [
      'The function URL wants signed requests (`AWS_IAM`): `curl --aws-sigv4 "aws:amz:<region>:lambda"`, or an SDK.',
    ];
  return [];
}
