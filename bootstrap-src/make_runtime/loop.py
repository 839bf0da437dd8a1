"""Init, then next, handler, answer, again. Who says what to the Runtime API, and when the process ends.

Refuses to know HTTP (the client's), how errors look (fault.py) and what a handler string means (handler.py).
"""

import sys

from _runtime_api import Client, Error
from make_runtime import context, handler, invocation, payload, settings

# Of the invocation under way.
request_id = None
tenant_id = None


def run(handler_string):
    """Never returns. Raises SystemExit(1) when the runtime has to be replaced; what a handler raises that is not an
    Exception (sys.exit, KeyboardInterrupt) passes through and ends the process as Python does."""
    if handler_string is None:
        raise ValueError('Handler not set')
    if settings.api_address is None:
        raise KeyError('AWS_LAMBDA_RUNTIME_API')
    client = Client(settings.api_address, settings.user_agent)
    try:
        function = handler.resolve(handler_string)
    except Exception as error:
        _report_init_error(client, error)
        raise SystemExit(1) from None
    if settings.initialization_type == 'snap-start':
        from make_runtime import snapshot

        snapshot.wait(client)
    while True:
        serve_one(client, function)


def serve_one(client, function):
    global request_id, tenant_id
    try:
        (
            status,
            body,
            content_type,
            request_id,
            invocation_id,
            deadline_ms,
            function_arn,
            trace_id,
            client_context,
            cognito_identity,
            tenant_id,
        ) = client.next()
    except Error as error:
        _give_up('Failed to get next invocation: %s' % error)
    if status != 200 or request_id is None:
        _give_up('Failed to get next invocation: %s' % _refusal(status, body))
    invocation.enter(request_id, trace_id, tenant_id)
    try:
        # In the managed runtime's order: a bad context is reported before a bad event.
        about = context.LambdaContext(
            request_id,
            payload.unmarshal_header(client_context, 'Client Context'),
            payload.unmarshal_header(cognito_identity, 'Cognito Identity'),
            int(deadline_ms or 0),
            function_arn,
            tenant_id,
        )
        event = payload.unmarshal(body, content_type)
        body = None  # the event may be 6 MB: one copy of it is enough while the handler runs
        result, result_type = payload.marshal(function(event, about))
    except Exception as error:
        _report_error(client, error, invocation_id)
    else:
        # What was printed is in the log before the platform can know that the invocation is over.
        flush()
        _react(_send(client.respond, request_id, invocation_id, result_type, result), 'the response')


def flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass  # the function replaced, removed or closed it


def _report_error(client, error, invocation_id):
    from make_runtime import fault

    described, cause = fault.describe(error, request_id)
    fault.write(described)
    flush()
    body = fault.body(described)
    answer = _send(client.fail, request_id, invocation_id, fault.cause_header(cause), body)
    if answer[0] == 431:  # headers too large for the server: the cause is the only one that can be
        answer = _send(client.fail, request_id, invocation_id, None, body)
    _react(answer, 'the error')


def _report_init_error(client, error):
    from make_runtime import fault

    described, _ = fault.describe(error)
    fault.warn_unhandled()
    fault.write(described)
    flush()
    status, body = _send(client.init_fail, fault.type_header(described['errorType']), fault.body(described))
    if status >= 300:
        _complain('the init error was not accepted: %s' % _refusal(status, body))


def _send(call, *arguments):
    try:
        return call(*arguments)
    except Error as error:
        _give_up(str(error))


def _react(answer, what):
    """Goes on or ends the process, as the status asks (Runtime API: 400, 410 and 413 concern this invocation only;
    403 and 500 mean that server and runtime disagree about the state of the world)."""
    status, body = answer
    if status < 300:
        return
    message = '%s was not accepted: %s' % (what, _refusal(status, body))
    if status == 403 or status >= 500 or b'InvalidFunctionResponseMode' in body:
        _give_up(message)
    _complain(message)


def _refusal(status, body):
    return 'status %d, %s' % (status, body[:1024].decode('utf-8', 'replace'))


def _complain(message):
    try:
        sys.stderr.write('LAMBDA_RUNTIME %s\n' % message)
    except (AttributeError, ValueError, OSError):
        pass


def _give_up(message):
    _complain(message)
    raise SystemExit(1) from None
