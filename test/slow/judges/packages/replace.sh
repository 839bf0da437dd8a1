#!/bin/sh
# A wrapper as the OpenTelemetry and Datadog layers have them: another handler, which calls the function's own.
export ORIG_HANDLER="$_HANDLER" _HANDLER=replacing.handler FROM_WRAPPER=set
exec "$@"
