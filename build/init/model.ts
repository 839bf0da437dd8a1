// What a new project is, as data: a target (the tool that deploys it), a package (layer or image) and a sample (the
// handler). Templates are functions of one such value; which combinations there are is decided here.
import type { Arch } from '../recipe/model.ts';

export const targets = ['sam', 'cdk-ts', 'cdk-python', 'terraform', 'cli'] as const;
export type Target = (typeof targets)[number];

export const packageKinds = ['layer', 'image'] as const;
export type PackageKind = (typeof packageKinds)[number];

export const sampleNames = ['plain', 'streaming', 'async', 'parallel', 'managed-instances'] as const;
export type SampleName = (typeof sampleNames)[number];

export interface Sample {
  readonly name: SampleName;
  /** Folder below recipes/samples/. */
  readonly folder: string;
  /** One line, for lists and the README. */
  readonly summary: string;
  /** MB. */
  readonly memory: number;
  /** Seconds. */
  readonly timeout: number;
  /** A function URL that streams. */
  readonly streams: boolean;
  /** Runs on Lambda Managed Instances, so many invocations at a time in one environment. */
  readonly concurrency?: number;
  /** Python for the local test: statements about `said`, the response's text. */
  readonly expects: readonly string[];
}

export const samples: Readonly<Record<SampleName, Sample>> = {
  plain: {
    name: 'plain',
    folder: 'hello',
    summary: 'a handler that answers with JSON',
    memory: 512,
    timeout: 10,
    streams: false,
    expects: ['self.assertEqual(json.loads(said)["greeting"], "Hello, Lambda!")'],
  },
  streaming: {
    name: 'streaming',
    folder: 'streaming',
    summary: 'a function URL whose response streams',
    memory: 512,
    timeout: 30,
    streams: true,
    expects: [
      'self.assertEqual(json.loads(said.split("\\0")[0])["statusCode"], 200)',
      'self.assertIn("line 3\\n", said)',
    ],
  },
  async: {
    name: 'async',
    folder: 'async',
    summary: 'an async handler that waits for several things at once',
    memory: 512,
    timeout: 10,
    streams: false,
    expects: ['self.assertEqual(json.loads(said)["answers"], [0, 1, 4, 9, 16])'],
  },
  parallel: {
    name: 'parallel',
    folder: 'parallel',
    summary: 'work for the processor in threads, in parallel on a free-threaded build',
    // Two vCPUs: one comes with each 1,769 MB.
    memory: 3538,
    timeout: 30,
    streams: false,
    expects: ['self.assertEqual(json.loads(said)["primes"], 2262)'],
  },
  'managed-instances': {
    name: 'managed-instances',
    folder: 'managed-instances',
    summary: 'Lambda Managed Instances: several invocations at once in one environment',
    memory: 4096,
    timeout: 30,
    streams: false,
    concurrency: 16,
    expects: ['self.assertIn("Hello, Lambda!", json.loads(said)["greeting"])'],
  },
};

export interface Project {
  /** Letters, digits and hyphens: names of stacks and functions. */
  readonly name: string;
  readonly target: Target;
  readonly package: PackageKind;
  readonly sample: Sample;
  readonly arch: Arch;
  /** As `make-runtime build` takes it. */
  readonly recipe: string;
}

/** Why there is no template for a combination; undefined when there is one. */
export function unavailable({ target, sample }: Pick<Project, 'target' | 'sample'>): string | undefined {
  if (target === 'terraform' && sample.concurrency !== undefined)
    return 'The block for Managed Instances of Terraform’s provider could not be validated, so there is no template with it.';
  return undefined;
}

/** What the container image is called on this machine. */
export function imageName({ recipe, arch }: Project): string {
  return `make-runtime/${recipe}:${arch}`;
}
