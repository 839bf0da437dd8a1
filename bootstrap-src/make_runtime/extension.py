"""An internal extension that does nothing, so that there is a shutdown: without any extension Lambda kills the runtime
at once, with an internal one it sends SIGTERM and gives it 500 ms.

Asked for with MAKE_RUNTIME_GRACEFUL_SHUTDOWN=1, because every extension is one more participant of the init phase.
Refuses to handle SIGTERM: that is what the function's own handler is for.
"""

import sys

from make_runtime import platform_request, settings

NAME = 'make-runtime'
# Nobody reads from it again, and the platform would take the extension for crashed if it were closed.
_connection = None


def register():
    """Before the runtime's first `next`, after which registration is closed. A failure costs the 500 ms, nothing more."""
    global _connection
    address = settings.api_address
    try:
        stream = platform_request.connect(address)
        body = b'{"events":[]}'
        headers = [('Lambda-Extension-Name', NAME), ('Content-Type', 'application/json')]
        platform_request.send(stream, address, 'POST', '/2020-01-01/extension/register', headers, body)
        status, answer, text = platform_request.receive(stream)
        identifier = answer.get('lambda-extension-identifier')
        if status != 200 or not identifier:
            stream.close()
            raise platform_request.Unanswered('status %d, %s' % (status, text[:1024].decode('utf-8', 'replace')))
        # Init is complete when every extension waits for its next event. Ours subscribed to none, so there will be no
        # answer, and nobody has to wait for it: the request alone is what counts.
        headers = [('Lambda-Extension-Identifier', identifier)]
        platform_request.send(stream, address, 'GET', '/2020-01-01/extension/event/next', headers)
        _connection = stream
    except (OSError, ValueError, platform_request.Unanswered) as error:
        sys.stderr.write('LAMBDA_RUNTIME no time for a graceful shutdown: %s\n' % error)
