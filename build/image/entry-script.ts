// What an image starts, as the text of a file: on Lambda our bootstrap itself, elsewhere AWS's emulator around it.
// The interface is that of AWS's own base images (https://github.com/aws/aws-lambda-base-images, provided.al2023):
// one argument, the handler; status 142 when it is missing. POSIX sh, because any base may be below it.

export const entryPath = '/lambda-entrypoint.sh';
export const bootstrapPath = '/var/runtime/bootstrap';
export const emulatorPath = '/usr/local/bin/aws-lambda-rie';

export const entryScript = `#!/bin/sh
# Starts the Lambda runtime. Outside of Lambda, AWS's Runtime Interface Emulator is started around it:
#   docker run --rm -p 9000:8080 <image> app.handler
#   curl -d '{}' http://localhost:9000/2015-03-31/functions/function/invocations
if [ $# -ne 1 ]; then
  echo "${entryPath}: the only argument must be the handler, such as app.handler (CMD in a Dockerfile)" >&2
  exit 142
fi
export _HANDLER="$1"
if [ -n "$AWS_LAMBDA_RUNTIME_API" ]; then
  exec ${bootstrapPath}
fi
if [ ! -x ${emulatorPath} ]; then
  echo "${entryPath}: this is not Lambda (AWS_LAMBDA_RUNTIME_API is not set), and AWS's emulator is not at ${emulatorPath}." >&2
  echo "Get it from https://github.com/aws/aws-lambda-runtime-interface-emulator/releases, make it executable, and add" >&2
  echo "  -v /path/to/aws-lambda-rie:${emulatorPath}" >&2
  exit 127
fi
exec ${emulatorPath} ${bootstrapPath}
`;
