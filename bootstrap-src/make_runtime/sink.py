"""Where log records, unhandled errors and context.log() go: the platform's framed descriptor, or standard output.

Knows the frame format and the Managed Instances log socket. Refuses to know what a record looks like (log.py, fault.py).
Imported when there is something to log, and not before, except where the platform hands out a socket.
"""

import posix
import sys
import time

from make_runtime import settings

TEXT_FRAME = 0xA55A0003
JSON_FRAME = 0xA55A0002
# What is added to the frame type for a level; the keys are logging's levels.
FRAME_LEVELS = {0: 0, 10: 0x08, 20: 0x0C, 30: 0x10, 40: 0x14, 50: 0x18}


def frame_type(base, level):
    """The four bytes that say "text" or "JSON" and how serious it is. level: any int."""
    return (base + FRAME_LEVELS[min(50, max(0, level)) // 10 * 10]).to_bytes(4, 'big')


class StandardLogSink:
    """Standard output, where each line end ends a record in CloudWatch and a carriage return does not."""

    terminates = False  # a record must bring its own line end

    def __enter__(self):
        return self

    def __exit__(self, exc_type, exc_value, exc_tb):
        pass

    def log(self, msg, frame_type=None):
        body = msg[:-1] if msg.endswith('\n') else msg
        if '\n' in body:
            msg = body.replace('\r\n', '\r').replace('\n', '\r') + msg[len(body) :]
        try:
            sys.stdout.write(msg)
        except UnicodeEncodeError:  # a lone surrogate; the record matters more than one character of it
            sys.stdout.write(msg.encode('ascii', 'backslashreplace').decode('ascii'))

    def log_error(self, message_lines):
        self.log('\r'.join(message_lines) + '\n')


class FramedTelemetryLogSink:
    """The descriptor of _LAMBDA_TELEMETRY_LOG_FD: type (4 bytes), length (4), microseconds (8), then the message.

    One write per record, so that the records of several threads stay whole as far as a pipe allows (PIPE_BUF)."""

    terminates = True

    def __init__(self, fd):
        self.fd = int(fd)

    def __enter__(self):
        return self

    def __exit__(self, exc_type, exc_value, exc_tb):
        posix.close(self.fd)

    def log(self, msg, frame_type=None):
        message = msg.encode('utf-8', 'backslashreplace')
        frame = (
            (frame_type or TEXT_FRAME.to_bytes(4, 'big'))
            + len(message).to_bytes(4, 'big')
            + (time.time_ns() // 1000).to_bytes(8, 'big')
            + message
        )
        try:
            written = posix.write(self.fd, frame)
            while written < len(frame):  # a signal came in between, or the pipe was full for the rest
                written += posix.write(self.fd, frame[written:])
        except OSError:  # the function closed descriptors that it did not know
            StandardLogSink().log(msg if msg.endswith('\n') else msg + '\n')

    def log_error(self, message_lines):
        self.log('\n'.join(message_lines), frame_type(JSON_FRAME if settings.json_logs else TEXT_FRAME, 40))


_sink = None


def current():
    global _sink
    if _sink is None:
        fd = settings.log_fd
        _sink = FramedTelemetryLogSink(fd) if fd is not None and fd.isdigit() else StandardLogSink()
    return _sink


def connect_output(path):
    """Managed Instances: standard output and standard error become connections of this process to the log socket.

    One per descriptor and process, so that lines of different workers do not mix: a forked worker calls it again.
    Where the socket does not answer, the streams stay what they are."""
    import _socket

    for fd in (1, 2):
        stream = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        try:
            stream.connect(path)
            posix.dup2(stream.fileno(), fd)
        except OSError as error:
            sys.stderr.write('LAMBDA_RUNTIME cannot connect to the log socket %s: %s\n' % (path, error))
        finally:
            stream.close()
