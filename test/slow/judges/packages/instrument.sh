#!/bin/sh
# A wrapper as OpenTelemetry's documentation has them: configure by variables, then let opentelemetry-instrument start
# the command line of the runtime. It looks up and executes the first argument, with PYTHONPATH set to its own hook.
export OTEL_SERVICE_NAME=wrapped OTEL_TRACES_EXPORTER=console OTEL_METRICS_EXPORTER=none OTEL_LOGS_EXPORTER=none
export OTEL_PROPAGATORS=xray-lambda PYTHONPATH="/var/task${PYTHONPATH:+:$PYTHONPATH}"
exec /opt/bin/python3 -c 'from opentelemetry.instrumentation.auto_instrumentation import run; run()' "$@"
