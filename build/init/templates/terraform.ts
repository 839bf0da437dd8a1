// Terraform (and OpenTofu): one main.tf.
import type { Project } from '../model.ts';
import { type Deployment, sampleNotes } from './targets.ts';

export function terraform(project: Project): Deployment {
  const { sample, name, arch } = project;
  const image = project.package === 'image';
  const code = image
    ? `
  package_type = "Image"
  image_uri    = var.image_uri`
    : `
  runtime          = "provided.al2023"
  handler          = "app.handler"
  filename         = "\${path.module}/function.zip"
  source_code_hash = filebase64sha256("\${path.module}/function.zip")
  layers           = [aws_lambda_layer_version.runtime.arn]`;
  const before = image
    ? `variable "image_uri" {
  type        = string
  description = "The function's image in ECR, by its digest"
}
`
    : `resource "aws_lambda_layer_version" "runtime" {
  layer_name               = "${name}-runtime"
  filename                 = "\${path.module}/layer.zip"
  source_code_hash         = filebase64sha256("\${path.module}/layer.zip")
  compatible_runtimes      = ["provided.al2023"]
  compatible_architectures = ["${arch}"]
}
`;
  const url = sample.streams
    ? `
resource "aws_lambda_function_url" "function" {
  function_name      = aws_lambda_function.function.function_name
  authorization_type = "AWS_IAM"
  invoke_mode        = "RESPONSE_STREAM"
}

output "url" {
  value = aws_lambda_function_url.function.function_url
}
`
    : `
output "function_arn" {
  value = aws_lambda_function.function.arn
}
`;
  const main = `terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

${before}
resource "aws_iam_role" "function" {
  name_prefix = "${name}-"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "lambda.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy_attachment" "logs" {
  role       = aws_iam_role.function.name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
}

resource "aws_lambda_function" "function" {
  function_name = "${name}"
  role          = aws_iam_role.function.arn
  architectures = ["${arch}"]
  memory_size   = ${sample.memory}
  timeout       = ${sample.timeout}
${code}
}
${url}`;
  return {
    title: 'Terraform',
    files: { 'main.tf': main },
    steps: [
      ...(image ? ['docker build --provenance=false -t function .', 'terraform init'] : ['terraform init']),
      image ? 'terraform apply -var image_uri=<repository>@<digest>' : 'terraform apply',
    ],
    notes: [
      ...(image
        ? ['Push the image to a repository in ECR of the same region first; `make-runtime push` does that, too.']
        : []),
      ...sampleNotes(project),
    ],
  };
}
