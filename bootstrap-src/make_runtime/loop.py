"""Init, then next, handler, answer, again. Who says what to the Runtime API, and when the process ends.

Refuses to know HTTP (the client's), how errors look (fault.py), what a handler string means (handler.py) and how
several invocations at once are arranged (concurrency.py); what is different then is said by `together` and `patient`.
"""

import sys

from _runtime_api import Client, Error
from make_runtime import context, garbage, handler, invocation, payload, settings

# Several invocations share this process: the environment, which they share too, is left alone.
together = False
# Lambda Managed Instances: what goes wrong with one invocation or one poll must not end the others, so the process
# does not give up where it would on demand (Runtime API 1.5, 3.4).
patient = False

ATTEMPTS = 5  # of a failing `next` in a row, as AWS's client
FIRST_PAUSE = 0.1  # seconds; doubles

PLAIN = frozenset((dict, list, tuple, str, bytes, int, float, bool, type(None)))
GENERATOR = type(_ for _ in ())
CO_COROUTINE, CO_ASYNC_GENERATOR = 0x80, 0x200


def run(handler_string):
    """Never returns. Raises SystemExit(1) when the runtime has to be replaced; what a handler raises that is not an
    Exception (sys.exit, KeyboardInterrupt) passes through and ends the process as Python does."""
    if handler_string is None:
        raise ValueError('Handler not set')
    if settings.api_address is None:
        raise KeyError('AWS_LAMBDA_RUNTIME_API')
    client = connection()
    concurrency_limit = settings.variable('AWS_LAMBDA_MAX_CONCURRENCY')
    try:
        function = handler.resolve(handler_string)
    except Exception as error:
        report_init_error(client, error, concurrency_limit is not None)
        raise SystemExit(1) from None
    garbage.resume()
    if settings.initialization_type == 'snap-start':
        from make_runtime import snapshot

        snapshot.wait(client)
    if concurrency_limit is not None:
        from make_runtime import concurrency

        concurrency.run(client, function, concurrency_limit)
    elif not is_async(function):
        while not serve(client, function, poll(client)):
            pass
        # It is a plain function, but what it returned had to be awaited: from now on, as if it were `async def`.
    from make_runtime import asynchronous

    asynchronous.run(function, [client])


def connection():
    return Client(settings.api_address, settings.user_agent)


def is_async(function):
    """Whether calling it gives something to await, as far as can be told without calling it."""
    for _ in range(100):  # partial of partial of ...
        inner = getattr(function, 'func', None)  # functools.partial
        if inner is None or not hasattr(function, 'keywords'):
            break
        function = inner
    code = getattr(function, '__code__', None)
    if code is None:
        code = getattr(getattr(type(function), '__call__', None), '__code__', None)
    return bool(getattr(code, 'co_flags', 0) & (CO_COROUTINE | CO_ASYNC_GENERATOR))


# ---- one invocation ---------------------------------------------------------------------------------------------


def poll(client):
    """Waits for the next invocation."""
    if patient:
        return _poll_patiently(client)
    try:
        return accept(client.next(), client)
    except Error as error:
        give_up('Failed to get next invocation: %s' % error)


def accept(answer, client):
    """The invocation in an answer to `next`. Raises Error when there is none."""
    taken = invocation.Invocation(answer, client)
    if taken.status != 200 or taken.request_id is None:
        raise Error(_refusal(taken.status, taken.body))
    return taken


def _poll_patiently(client):
    from time import sleep

    pause = FIRST_PAUSE
    for attempt in range(ATTEMPTS):
        try:
            return accept(client.next(), client)
        except Error as error:
            complain('Failed to get next invocation: %s' % error)
        if attempt < ATTEMPTS - 1:
            sleep(pause)
            pause *= 2
    raise SystemExit(1)


def arguments(taken):
    """(event, context) for the handler."""
    # In the managed runtime's order: a bad context is reported before a bad event.
    about = context.LambdaContext(
        taken.request_id,
        payload.unmarshal_header(taken.client_context, 'Client Context'),
        payload.unmarshal_header(taken.cognito_identity, 'Cognito Identity'),
        int(taken.deadline_ms or 0),
        taken.function_arn,
        taken.tenant_id,
    )
    event = payload.unmarshal(taken.body, taken.content_type)
    taken.body = None  # the event may be 6 MB: one copy of it is enough while the handler runs
    return event, about


def serve(client, function, taken):
    """Runs the handler and answers. True when the result had to be awaited."""
    awaited = False
    invocation.begin(taken)
    try:
        result = function(*arguments(taken))
        if type(result) not in PLAIN:
            if type(result) is GENERATOR:
                from make_runtime import streaming

                result = streaming.pump(taken, result)
            elif hasattr(type(result), '__await__') or hasattr(type(result), '__anext__'):
                from make_runtime import asynchronous

                awaited = True
                result = asynchronous.complete(taken, result)
        answer = None if taken.stream is not None else payload.marshal(result)
    except Exception as error:
        result = None
        report_error(taken, error)
    except BaseException as error:
        if not patient:
            raise
        report_error(taken, as_exit(error, taken))
        if not together:
            raise  # a worker process of its own: it ends, as it would on demand
    else:
        result = None  # marshalled: a large one must not live until the next
        respond(taken, answer)
    return awaited


def respond(taken, answer):
    """answer: (body, content type), or None when the response was streamed."""
    # What was printed is in the log before the platform can know that the invocation is over.
    flush()
    if answer is None:
        taken.stream.finish()
        return
    body, content_type = answer
    answered = send(taken.client.respond, taken.request_id, taken.invocation_id, content_type, body)
    react(answered, 'the response')


def flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass  # the function replaced, removed or closed it


# ---- errors -----------------------------------------------------------------------------------------------------


def as_exit(error, taken):
    """How the platform words the end of a process, for a handler that wanted to end it among others."""
    from make_runtime.fault import Fault

    if isinstance(error, SystemExit):
        status = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
        how = 'exit status %d' % status
    else:
        how = type(error).__name__
    return Fault('Runtime.ExitError', 'RequestId: %s Error: Runtime exited with error: %s' % (taken.request_id, how))


def report_error(taken, error):
    from make_runtime import fault

    described, cause = fault.describe(error, taken.request_id)
    fault.write(described)
    flush()
    body = fault.body(described)
    if taken.stream is not None and not taken.stream.give_up(described['errorType'], body):
        return
    client = taken.client
    answer = send(client.fail, taken.request_id, taken.invocation_id, fault.cause_header(cause), body)
    if answer is not None and answer[0] == 431:  # headers too large: the cause is the only one that can be
        answer = send(client.fail, taken.request_id, taken.invocation_id, None, body)
    react(answer, 'the error')


def report_init_error(client, error, second_is_fine=False):
    """second_is_fine: Managed Instances refuse every init error but the first with 403, which says nothing new."""
    from make_runtime import fault

    described, _ = fault.describe(error)
    fault.warn_unhandled()
    fault.write(described)
    flush()
    try:
        status, body = client.init_fail(fault.type_header(described['errorType']), fault.body(described))
    except Error as refused:
        give_up(str(refused))
    if status >= 300 and not (second_is_fine and status == 403):
        complain('the init error was not accepted: %s' % _refusal(status, body))


def send(call, *arguments):
    """(status, body), or None where the Runtime API could not be used and life goes on."""
    try:
        return call(*arguments)
    except Error as error:
        # The child of a handler that forked has nothing more to do, however patient its parent is.
        if not patient or call.__self__.inherited:
            give_up(str(error))
        complain(str(error))
        return None


def react(answer, what):
    """Goes on or ends the process, as the status asks (Runtime API: 400, 410 and 413 concern this invocation only;
    403 and 500 mean that server and runtime disagree about the state of the world)."""
    if answer is None:
        return
    status, body = answer
    if status < 300:
        return
    message = '%s was not accepted: %s' % (what, _refusal(status, body))
    if not patient and (status == 403 or status >= 500 or b'InvalidFunctionResponseMode' in body):
        give_up(message)
    complain(message)


def _refusal(status, body):
    return 'status %d, %s' % (status, body[:1024].decode('utf-8', 'replace').strip())


def complain(message):
    try:
        sys.stderr.write('LAMBDA_RUNTIME %s\n' % message)
    except (AttributeError, ValueError, OSError):
        pass


def give_up(message):
    complain(message)
    raise SystemExit(1) from None
