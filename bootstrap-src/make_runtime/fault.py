"""How an error looks: the error JSON, the X-Ray cause, and the lines in the log.

Imported when there is an error to describe, and not before. Refuses to know where any of it is sent.
"""

import posix

import _runtime_api
from make_runtime import settings

OUR_FRAMES = '<frozen make_runtime'
NO_BREAK_SPACE = '\u00a0'
# The server keeps 64 KiB of an X-Ray cause and crops what is longer, or drops it.
CAUSE_MAX = 64 * 1024
CAUSE_FRAMES = 50
CAUSE_MESSAGE_MAX = 8 * 1024

UNHANDLED_WARNING = (
    'LAMBDA_WARNING: Unhandled exception. The most likely cause is an issue in the function code. However, in rare '
    'cases, a Lambda runtime update can cause unexpected function behavior. For functions using managed runtimes, '
    'runtime updates can be triggered by a function change, or can be applied automatically. To determine if the '
    'runtime has been updated, check the runtime version in the INIT_START log entry. If this error correlates with '
    'a change in the runtime version, you may be able to mitigate this error by temporarily rolling back to the '
    'previous runtime version. For more information, see '
    'https://docs.aws.amazon.com/lambda/latest/dg/runtimes-update.html\r'
)


class Fault(Exception):
    """An error that the runtime itself defines. trace: ready lines, or None."""

    def __init__(self, kind, message, trace=None):
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.trace = trace


def describe(error, request_id=''):
    """(error JSON, X-Ray cause), both as dicts, of whatever ended an invocation or the init phase."""
    if isinstance(error, Fault):
        return _error(error.message, error.kind, error.trace, request_id), _cause(
            'LambdaValidationError', error.message, []
        )
    frames = _frames(error.__traceback__)
    kind = type(error).__name__
    message = _text(error)
    try:
        from traceback import format_list
    except Exception:  # out of descriptors or memory, perhaps for the very error that is described
        format_list = _plain_list
    return _error(message, kind, format_list(frames), request_id), _cause(kind, message, frames)


def _plain_list(frames):
    """traceback.format_list, without the source lines."""
    return ['  File "%s", line %d, in %s\n' % frame[:3] for frame in frames]


def _error(message, kind, trace, request_id):
    return {'errorMessage': message, 'errorType': kind, 'requestId': request_id, 'stackTrace': trace or []}


def _text(error):
    try:
        return str(error)
    except Exception:  # a __str__ that raises must not take the runtime down
        return '<exception str() failed>'


def _frames(trace):
    """(file, line number, function, source line) of each frame, from the first that is not ours."""
    try:
        from traceback import extract_tb
    except Exception:
        extract_tb = _plain_extract
    frames = [(f.filename, f.lineno, f.name, f.line) for f in extract_tb(trace)]
    for i, frame in enumerate(frames):
        if not frame[0].startswith(OUR_FRAMES):
            return frames[i:]
    return frames


class _PlainFrame:
    line = ''

    def __init__(self, trace):
        code = trace.tb_frame.f_code
        self.filename, self.lineno, self.name = code.co_filename, trace.tb_lineno, code.co_name


def _plain_extract(trace):
    frames = []
    while trace is not None:
        frames.append(_PlainFrame(trace))
        trace = trace.tb_next
    return frames


def _cause(kind, message, frames):
    return {
        'working_directory': _working_directory(),
        'exceptions': [
            {
                'message': message,
                'type': kind,
                'stack': [{'label': name, 'path': file, 'line': line} for file, line, name, _ in frames],
            }
        ],
        'paths': list(dict.fromkeys(frame[0] for frame in frames)),
    }


def _working_directory():
    try:
        return posix.getcwd()
    except OSError:
        return ''


def cause_header(cause):
    """The X-Ray cause as one line of ASCII, cropped to what the server keeps."""
    text = _runtime_api.encode(cause, True)
    if len(text) >= CAUSE_MAX:
        exception = cause['exceptions'][0]
        exception['message'] = exception['message'][:CAUSE_MESSAGE_MAX]
        exception['stack'] = exception['stack'][-CAUSE_FRAMES:]
        cause['paths'] = list(dict.fromkeys(frame['path'] for frame in exception['stack']))
        text = _runtime_api.encode(cause, True)
    return text.decode('ascii') if len(text) < CAUSE_MAX else ''


def body(error):
    """The error JSON as bytes. Lone surrogates in a message are escaped rather than refused."""
    try:
        return _runtime_api.encode(error, settings.ensure_ascii)
    except UnicodeEncodeError:
        return _runtime_api.encode(error, True)


def type_header(kind):
    """An error type as a header value. Python's class names may be any letters; headers may not."""
    return kind.encode('ascii', 'backslashreplace').decode('ascii')


def write(error):
    """Logs the error JSON as the managed runtime does: as one record, with indentation that CloudWatch does not strip."""
    from make_runtime import sink

    try:
        sink.current().log_error(_lines(error))
    except Exception:
        pass  # the function closed, removed or replaced its stdout: the error still reaches the caller


def _lines(error):
    if settings.json_logs:
        import time

        record = {'timestamp': time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime()), 'level': 'ERROR', **error}
        return [body(record).decode('utf-8')]
    first = '[ERROR]'
    if error['errorType']:
        first += ' ' + error['errorType']
    if error['errorMessage']:
        first += (': ' if error['errorType'] else ' ') + error['errorMessage']
    lines = [first, 'Traceback (most recent call last):']
    for entry in error['stackTrace']:
        if entry == '':
            lines.append('')
        for line in entry.splitlines():
            text = line.lstrip(' ')
            lines.append(NO_BREAK_SPACE * (len(line) - len(text)) + text)
    return lines


def warn_unhandled():
    """The warning the managed runtime logs before an init error, through logging as it does."""
    import logging

    logging.warning(UNHANDLED_WARNING)
