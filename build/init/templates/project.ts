// The files that every project has, whatever deploys it: how it is built and tried here, and what its README says.
import { imageName, type Project } from '../model.ts';
import { deployment } from './targets.ts';

/** Path -> content. A path that ends in .sh is executable. */
export type Files = Readonly<Record<string, string>>;

export function projectFiles(project: Project): Files {
  return {
    'README.md': readme(project),
    'build.sh': buildScript(project),
    'test_local.py': localTest(project),
    'src/requirements.txt':
      '# Packages of the function, as pip reads them: `make-runtime deps` takes the right wheels.\n',
    '.gitignore':
      'build/\nlayer.zip\nfunction.zip\n__pycache__/\nnode_modules/\ncdk.out/\n.aws-sam/\n.terraform/\n*.tfstate*\n',
    ...(project.package === 'image'
      ? { Dockerfile: dockerfile(project), '.dockerignore': '*\n!build/function\n' }
      : {}),
    ...deployment(project).files,
  };
}

function buildScript(project: Project): string {
  const { recipe, arch } = project;
  const image =
    project.package === 'image'
      ? `
image=$($MAKE_RUNTIME image layer.zip --tar --name ${imageName(project)} --output build)
docker load -i "$image.tar"
`
      : '';
  return `#!/bin/sh
# What is deployed: layer.zip (the runtime) and function.zip (src/ with its packages, byte-compiled).
set -eu
cd "$(dirname "$0")"
: "\${MAKE_RUNTIME:=npx make-runtime}"
layer=$($MAKE_RUNTIME build ${recipe} --arch ${arch} --output build)
cp "$layer" layer.zip
$MAKE_RUNTIME deps -r src/requirements.txt --for layer.zip --code src --output function.zip
rm -rf build/function
python3 -m zipfile -e function.zip build/function
${image}`
    .trimEnd()
    .concat('\n');
}

function dockerfile(project: Project): string {
  return `# The base is what build.sh makes and loads; what is copied is src/ with its packages, byte-compiled.
ARG BASE=${imageName(project)}
FROM \${BASE}
COPY build/function/ \${LAMBDA_TASK_ROOT}/
CMD ["app.handler"]
`;
}

function localTest({ sample }: Project): string {
  return `"""Runs the function here, on the runtime it will have, in a Lambda-like sandbox: sh build.sh, then
python3 -m unittest. MAKE_RUNTIME is the command to use, should it not be \`npx make-runtime\`."""

import json
import os
import shlex
import subprocess
import unittest
from pathlib import Path

HERE = Path(__file__).parent
MAKE_RUNTIME = shlex.split(os.environ.get("MAKE_RUNTIME", "npx make-runtime"))


class FunctionTest(unittest.TestCase):
    def invoke(self, event):
        command = [*MAKE_RUNTIME, "invoke", "layer.zip", "--code", "build/function", "--handler", "app.handler"]
        settings = ["--memory", "${sample.memory}", "--timeout", "${sample.timeout}", "--event", event]
        result = subprocess.run([*command, *settings], cwd=HERE, capture_output=True, text=True)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def test_sample_event(self):
        said = self.invoke("@event.json")
${sample.expects.map((line) => `        ${line}`).join('\n')}


if __name__ == "__main__":
    unittest.main()
`;
}

function readme(project: Project): string {
  const { name, sample, recipe, arch } = project;
  const { title, steps, notes } = deployment(project);
  const kind = project.package === 'layer' ? 'a layer on `provided.al2023`' : 'a container image';
  return `# ${name}

${sample.summary[0]?.toUpperCase()}${sample.summary.slice(1)}, on CPython ${recipe} (${arch}) that \`make-runtime\` compiles; deployed as ${kind} with ${title}.

| | |
|---|---|
| \`src/app.py\` | the handler, \`app.handler\` |
| \`src/requirements.txt\` | its packages |
| \`event.json\` | an event to try |
| \`build.sh\` | makes \`layer.zip\` and \`function.zip\`${project.package === 'image' ? ', and loads the base image into docker' : ''} |
| \`test_local.py\` | runs the function here |

## Build and try it here

    sh build.sh
    python3 -m unittest

No AWS account is needed for that${project.package === 'image' ? '; docker is' : ', nor docker'}. \`MAKE_RUNTIME\` names the command when it is not \`npx make-runtime\`.

## Deploy

${steps.map((step) => `    ${step}`).join('\n')}
${notes.map((note) => `\n${note}\n`).join('')}`;
}
