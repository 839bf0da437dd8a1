"""The root handler that the managed runtime installs, installed at the first import of `logging`.

Knows the two formats and who asks for which. Imported by startup.LoggingHook and by nobody else.
Here `logging` arrives as an argument and is in sys.modules; the classes are made when it does, because they derive
from its own.
"""

import time

from make_runtime import invocation, settings, sink

TEXT_FORMAT = '[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s\n'
TEXT_TIME = '%Y-%m-%dT%H:%M:%S'
JSON_TIME = '%Y-%m-%dT%H:%M:%SZ'
# Attributes of a LogRecord that are not the user's `extra`.
RESERVED = frozenset(
    'name msg args levelname levelno pathname filename module exc_info exc_text stack_info lineno funcName created '
    'msecs relativeCreated thread threadName processName process aws_request_id tenant_id _frame_type taskName'.split()
)


def install(logging):
    class LambdaLoggerHandler(logging.Handler):
        def __init__(self, log_sink):
            logging.Handler.__init__(self)
            self.log_sink = log_sink

        def emit(self, record):
            # The managed handlers have no such guard: there a record that cannot be formatted ends the invocation.
            try:
                self.put(record)
            except Exception:
                self.handleError(record)

        def text(self, record):
            """The record's own text. Where line ends separate records, it has one, whoever's formatter made it: on the
            managed runtime frames separate them, so functions set formatters without."""
            text = self.format(record)
            return text if text.endswith('\n') or getattr(self.log_sink, 'terminates', True) else text + '\n'

        def put(self, record):
            self.log_sink.log(self.text(record))

    class LambdaLoggerHandlerWithFrameType(logging.Handler):
        # Not a subclass of the other one, as it is not there either: code tells them apart by isinstance().
        __init__, emit, text = LambdaLoggerHandler.__init__, LambdaLoggerHandler.emit, LambdaLoggerHandler.text

        def put(self, record):
            text = self.text(record)
            frame_type = getattr(record, '_frame_type', None) or sink.frame_type(sink.TEXT_FRAME, record.levelno)
            self.log_sink.log(text, frame_type=frame_type)

    class LambdaLoggerFilter(logging.Filter):
        def filter(self, record):
            under_way = invocation.current()
            record.aws_request_id = '' if under_way is None else under_way.request_id
            record.tenant_id = None if under_way is None else under_way.tenant_id
            return True

    class JsonFormatter(logging.Formatter):
        def __init__(self):
            super().__init__(datefmt=JSON_TIME)

        def format(self, record):
            record.levelno = min(50, max(0, record.levelno)) // 10 * 10
            record.levelname = logging.getLevelName(record.levelno)
            record._frame_type = sink.frame_type(sink.JSON_FRAME, record.levelno)
            return json_record(self, record)

    logging.Formatter.converter = time.gmtime
    kind = LambdaLoggerHandlerWithFrameType if settings.json_logs or settings.log_level else LambdaLoggerHandler
    handler = kind(sink.current())
    handler.setFormatter(JsonFormatter() if settings.json_logs else logging.Formatter(TEXT_FORMAT, TEXT_TIME))
    handler.addFilter(LambdaLoggerFilter())
    if settings.log_level in logging._nameToLevel:
        logging.root.setLevel(settings.log_level)
    logging.root.addHandler(handler)


def json_record(formatter, record):
    """One line of JSON, with the managed runtime's keys in its order; keys without a value are left out."""
    kind = error = trace = location = None
    if record.exc_info and record.exc_info[0] is not None:
        import traceback

        kind = record.exc_info[0].__name__
        error = str(record.exc_info[1])
        trace = traceback.format_tb(record.exc_info[2])
        location = '%s:%s:%s' % (record.pathname, record.funcName, record.lineno)
    fields = {
        'timestamp': formatter.formatTime(record, formatter.datefmt),
        'level': record.levelname,
        'message': record.msg if isinstance(record.msg, dict) and not record.args else record.getMessage(),
        'logger': record.name,
        'stackTrace': trace,
        'errorType': kind,
        'errorMessage': error,
        'requestId': getattr(record, 'aws_request_id', None),
        'location': location,
    }
    tenant_id = getattr(record, 'tenant_id', None)
    if tenant_id is not None:
        fields['tenantId'] = tenant_id
    for key, value in record.__dict__.items():
        if key not in RESERVED and key not in fields:
            fields[key] = value
    shown = {key: value for key, value in fields.items() if value is not None}
    return _json(shown) + '\n'


def _json(fields):
    import json

    try:
        return json.dumps(fields, ensure_ascii=False, default=_shown)
    except (TypeError, ValueError, RecursionError):
        # Keys that JSON cannot have, or a value that contains itself: that one is shown as text, the others stay.
        return json.dumps({key: _plain(json, value) for key, value in fields.items()}, ensure_ascii=False)


def _shown(value):
    try:
        return str(value)
    except Exception as error:
        return '<%s: str() raised %s>' % (type(value).__name__, type(error).__name__)


def _plain(json, value):
    try:
        json.dumps(value)
        return value
    except Exception:
        return _shown(value)
