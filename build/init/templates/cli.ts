// Plain AWS CLI: a script that creates what is missing and updates what is there.
import { imageName, type Project } from '../model.ts';
import { type Deployment, sampleNotes } from './targets.ts';

export function cli(project: Project): Deployment {
  const { sample, name, arch } = project;
  const image = project.package === 'image';
  const capacity =
    sample.concurrency === undefined
      ? ''
      : ` \\
  --publish --capacity-provider-config "LambdaManagedInstancesCapacityProviderConfig={CapacityProviderArn=$CAPACITY_PROVIDER_ARN,PerExecutionEnvironmentMaxConcurrency=${sample.concurrency}}"`;
  const code = image
    ? '--package-type Image --code "ImageUri=$IMAGE_URI"'
    : '--runtime provided.al2023 --handler app.handler --layers "$layer" --zip-file fileb://function.zip';
  const update = image ? '--image-uri "$IMAGE_URI"' : '--zip-file fileb://function.zip';
  const needed = [
    'ROLE_ARN',
    ...(image ? ['IMAGE_URI'] : []),
    ...(sample.concurrency === undefined ? [] : ['CAPACITY_PROVIDER_ARN']),
  ];
  const layer = image
    ? ''
    : `
layer=$(aws lambda publish-layer-version --layer-name ${name}-runtime --zip-file fileb://layer.zip \\
  --compatible-runtimes provided.al2023 --compatible-architectures ${arch} --query LayerVersionArn --output text)
`;
  const url = sample.streams
    ? `
aws lambda create-function-url-config --function-name ${name} --auth-type AWS_IAM --invoke-mode RESPONSE_STREAM \\
  --query FunctionUrl --output text
`
    : '';
  const script = `#!/bin/sh
# Deploys the function with the AWS CLI. ROLE_ARN is a role that Lambda may assume, with AWSLambdaBasicExecutionRole.
set -eu
cd "$(dirname "$0")"
${needed.map((variable) => `: "\${${variable}:?}"`).join('\n')}
${layer}
if aws lambda get-function --function-name ${name} >/dev/null 2>&1; then
  aws lambda update-function-code --function-name ${name} ${update}
  aws lambda wait function-updated-v2 --function-name ${name}
${image ? '' : `  aws lambda update-function-configuration --function-name ${name} --layers "$layer"\n`}else
  aws lambda create-function --function-name ${name} --role "$ROLE_ARN" \\
    --architectures ${arch} --memory-size ${sample.memory} --timeout ${sample.timeout} \\
    ${code}${capacity.replaceAll('\n', '\n  ')}
  aws lambda wait function-active-v2 --function-name ${name}
${
  url.trim() === ''
    ? ''
    : url
        .trim()
        .split('\n')
        .map((line) => `  ${line}\n`)
        .join('')
}fi
`;
  return {
    title: 'the AWS CLI',
    files: { 'deploy.sh': script },
    steps: [
      ...(image ? [`docker build --provenance=false --build-arg BASE=${imageName(project)} -t function .`] : []),
      `${needed.map((variable) => `${variable}=<...>`).join(' ')} sh deploy.sh`,
    ],
    notes: [
      ...(image
        ? [
            'Push the image to a repository in ECR of the same region before deploy.sh; `make-runtime push` does that, too.',
          ]
        : []),
      ...sampleNotes(project),
    ],
  };
}
