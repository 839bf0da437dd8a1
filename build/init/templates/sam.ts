// AWS SAM: one template.yaml.
import type { Project } from '../model.ts';
import { type Deployment, sampleNotes } from './targets.ts';

export function sam(project: Project): Deployment {
  const { sample, arch, name } = project;
  const image = project.package === 'image';
  const lines = [
    "AWSTemplateFormatVersion: '2010-09-09'",
    'Transform: AWS::Serverless-2016-10-31',
    `Description: ${name}`,
    ...(sample.concurrency === undefined
      ? []
      : [
          'Parameters:',
          '  CapacityProviderArn:',
          '    Type: String',
          '    Description: The capacity provider of Managed Instances',
        ]),
    'Resources:',
    ...(image
      ? []
      : [
          '  Runtime:',
          '    Type: AWS::Serverless::LayerVersion',
          '    Properties:',
          '      ContentUri: layer.zip',
          '      CompatibleRuntimes: [provided.al2023]',
          `      CompatibleArchitectures: [${arch}]`,
        ]),
    '  Function:',
    '    Type: AWS::Serverless::Function',
    ...(image
      ? ['    Metadata:', '      Dockerfile: Dockerfile', '      DockerContext: .', `      DockerTag: ${arch}`]
      : []),
    '    Properties:',
    ...(image
      ? ['      PackageType: Image']
      : [
          '      Runtime: provided.al2023',
          '      Handler: app.handler',
          '      CodeUri: function.zip',
          '      Layers: [!Ref Runtime]',
        ]),
    `      Architectures: [${arch}]`,
    `      MemorySize: ${sample.memory}`,
    `      Timeout: ${sample.timeout}`,
    ...(sample.streams
      ? ['      FunctionUrlConfig:', '        AuthType: AWS_IAM', '        InvokeMode: RESPONSE_STREAM']
      : []),
    ...(sample.concurrency === undefined
      ? []
      : [
          '      AutoPublishAlias: live',
          '      CapacityProviderConfig:',
          '        Arn: !Ref CapacityProviderArn',
          `        PerExecutionEnvironmentMaxConcurrency: ${sample.concurrency}`,
        ]),
    'Outputs:',
    ...(sample.streams
      ? ['  Url:', '    Value: !GetAtt FunctionUrl.FunctionUrl']
      : ['  FunctionArn:', '    Value: !GetAtt Function.Arn']),
  ];
  const parameters = sample.concurrency === undefined ? '' : ' --parameter-overrides CapacityProviderArn=<ARN>';
  return {
    title: 'AWS SAM',
    files: { 'template.yaml': `${lines.join('\n')}\n` },
    steps: [
      ...(image ? ['sam build'] : []),
      `sam deploy --stack-name ${name} --resolve-s3${image ? ' --resolve-image-repos' : ''} --capabilities CAPABILITY_IAM${parameters}`,
    ],
    notes: sampleNotes(project),
  };
}
