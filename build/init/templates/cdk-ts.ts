// AWS CDK in TypeScript: an app of one file.
import type { Project } from '../model.ts';
import { type Deployment, sampleNotes } from './targets.ts';

export function cdkTs(project: Project): Deployment {
  const { sample, name } = project;
  const architecture = `lambda.Architecture.${project.arch === 'arm64' ? 'ARM_64' : 'X86_64'}`;
  const shared = `architecture: ${architecture},
      memorySize: ${sample.memory},
      timeout: Duration.seconds(${sample.timeout}),`;
  const fn =
    project.package === 'image'
      ? `const fn = new lambda.DockerImageFunction(this, 'Function', {
      code: lambda.DockerImageCode.fromImageAsset('.'),
      ${shared}
    });`
      : `const runtime = new lambda.LayerVersion(this, 'Runtime', {
      code: lambda.Code.fromAsset('layer.zip'),
      compatibleRuntimes: [lambda.Runtime.PROVIDED_AL2023],
      compatibleArchitectures: [${architecture}],
    });
    const fn = new lambda.Function(this, 'Function', {
      runtime: lambda.Runtime.PROVIDED_AL2023,
      handler: 'app.handler',
      code: lambda.Code.fromAsset('function.zip'),
      layers: [runtime],
      ${shared}
    });`;
  const url = sample.streams
    ? `
    const url = fn.addFunctionUrl({
      authType: lambda.FunctionUrlAuthType.AWS_IAM,
      invokeMode: lambda.InvokeMode.RESPONSE_STREAM,
    });
    new CfnOutput(this, 'Url', { value: url.url });`
    : `
    new CfnOutput(this, 'FunctionArn', { value: fn.functionArn });`;
  const capacity =
    sample.concurrency === undefined
      ? ''
      : `
    const provider = new CfnParameter(this, 'CapacityProviderArn');
    (fn.node.defaultChild as lambda.CfnFunction).capacityProviderConfig = {
      lambdaManagedInstancesCapacityProviderConfig: {
        capacityProviderArn: provider.valueAsString,
        perExecutionEnvironmentMaxConcurrency: ${sample.concurrency},
      },
    };
    fn.addAlias('live');`;
  const imports = ['App', 'CfnOutput', ...(capacity ? ['CfnParameter'] : []), 'Duration', 'Stack'];
  const app = `import { ${imports.join(', ')} } from 'aws-cdk-lib';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import type { Construct } from 'constructs';

class FunctionStack extends Stack {
  constructor(scope: Construct, id: string) {
    super(scope, id);
    ${fn}${url}${capacity}
  }
}

new FunctionStack(new App(), '${name}');
`;
  const manifest = {
    name,
    private: true,
    type: 'module',
    scripts: { synth: 'cdk synth', deploy: 'cdk deploy' },
    devDependencies: { 'aws-cdk': '^2.1148.0', tsx: '^4', typescript: '^5' },
    dependencies: { 'aws-cdk-lib': '^2.240.0', constructs: '^10' },
  };
  const compiler = { target: 'es2022', module: 'nodenext', strict: true, noEmit: true, skipLibCheck: true, types: [] };
  const parameter = sample.concurrency === undefined ? '' : ' --parameters CapacityProviderArn=<ARN>';
  return {
    title: 'the AWS CDK (TypeScript)',
    files: {
      'app.ts': app,
      'cdk.json': `${JSON.stringify({ app: 'npx tsx app.ts' }, null, 2)}\n`,
      'package.json': `${JSON.stringify(manifest, null, 2)}\n`,
      'tsconfig.json': `${JSON.stringify({ compilerOptions: compiler, include: ['app.ts'] }, null, 2)}\n`,
    },
    steps: ['npm install', 'npx cdk bootstrap', `npx cdk deploy${parameter}`],
    notes: sampleNotes(project),
  };
}
