// AWS CDK in Python: an app of one file.
import type { Project } from '../model.ts';
import { type Deployment, sampleNotes } from './targets.ts';

export function cdkPython(project: Project): Deployment {
  const { sample, name } = project;
  const architecture = `lambda_.Architecture.${project.arch === 'arm64' ? 'ARM_64' : 'X86_64'}`;
  const shared = `architecture=${architecture},
            memory_size=${sample.memory},
            timeout=Duration.seconds(${sample.timeout}),`;
  const fn =
    project.package === 'image'
      ? `fn = lambda_.DockerImageFunction(
            self,
            "Function",
            code=lambda_.DockerImageCode.from_image_asset("."),
            ${shared}
        )`
      : `runtime = lambda_.LayerVersion(
            self,
            "Runtime",
            code=lambda_.Code.from_asset("layer.zip"),
            compatible_runtimes=[lambda_.Runtime.PROVIDED_AL2023],
            compatible_architectures=[${architecture}],
        )
        fn = lambda_.Function(
            self,
            "Function",
            runtime=lambda_.Runtime.PROVIDED_AL2023,
            handler="app.handler",
            code=lambda_.Code.from_asset("function.zip"),
            layers=[runtime],
            ${shared}
        )`;
  const url = sample.streams
    ? `
        url = fn.add_function_url(
            auth_type=lambda_.FunctionUrlAuthType.AWS_IAM, invoke_mode=lambda_.InvokeMode.RESPONSE_STREAM
        )
        CfnOutput(self, "Url", value=url.url)`
    : `
        CfnOutput(self, "FunctionArn", value=fn.function_arn)`;
  const capacity =
    sample.concurrency === undefined
      ? ''
      : `
        provider = CfnParameter(self, "CapacityProviderArn")
        fn.node.default_child.capacity_provider_config = lambda_.CfnFunction.CapacityProviderConfigProperty(
            lambda_managed_instances_capacity_provider_config=lambda_.CfnFunction.LambdaManagedInstancesCapacityProviderConfigProperty(
                capacity_provider_arn=provider.value_as_string,
                per_execution_environment_max_concurrency=${sample.concurrency},
            )
        )
        fn.add_alias("live")`;
  const imports = ['App', 'CfnOutput', ...(capacity ? ['CfnParameter'] : []), 'Duration', 'Stack'];
  const app = `from aws_cdk import ${imports.join(', ')}
from aws_cdk import aws_lambda as lambda_


class FunctionStack(Stack):
    def __init__(self, scope, id):
        super().__init__(scope, id)
        ${fn}${url}${capacity}


app = App()
FunctionStack(app, "${name}")
app.synth()
`;
  const parameter = sample.concurrency === undefined ? '' : ' --parameters CapacityProviderArn=<ARN>';
  return {
    title: 'the AWS CDK (Python)',
    files: {
      'infra.py': app,
      'cdk.json': `${JSON.stringify({ app: 'python3 infra.py' }, null, 2)}\n`,
      'requirements-dev.txt': 'aws-cdk-lib>=2.240,<3\nconstructs>=10,<11\n',
    },
    steps: ['pip install -r requirements-dev.txt', 'npx aws-cdk bootstrap', `npx aws-cdk deploy${parameter}`],
    notes: sampleNotes(project),
  };
}
