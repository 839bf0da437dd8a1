"""Responses that leave while they are made. The one module of this package that functions may import.

    from make_runtime import streaming

open() gives a stream to write to; a generator handler needs nothing from here, unless it wants to set an HTTP status,
headers or cookies: then the first thing it yields is a Prelude. See docs/streaming.md.
Refuses to know chunked encoding (the client's) and what an error looks like (fault.py).
"""

import _runtime_api
from make_runtime import invocation

__all__ = ['Prelude', 'Stream', 'open']

RAW = 'application/octet-stream'
HTTP = 'application/vnd.awslambda.http-integration-response'
SEPARATOR = b'\0' * 8  # between the prelude's JSON, which cannot hold a NUL, and the payload


class Prelude:
    """Status, headers and cookies of an HTTP response (function URL, API Gateway)."""

    __slots__ = ('status', 'headers', 'cookies')

    def __init__(self, status=200, headers=None, cookies=None):
        if type(status) is not int or not 100 <= status <= 999:
            raise ValueError('an HTTP status is a number from 100 to 999, not %r' % (status,))
        self.status = status
        self.headers = {_text('header name', k): _text('header', v) for k, v in (headers or {}).items()}
        if isinstance(cookies, str):
            raise TypeError('cookies must be a list of str, not a str')
        self.cookies = [_text('cookie', cookie) for cookie in cookies or ()]

    def __bytes__(self):
        shown = {'statusCode': self.status, 'headers': self.headers}
        if self.cookies:
            shown['cookies'] = self.cookies
        return _runtime_api.encode(shown, True) + SEPARATOR


def _text(what, value):
    if not isinstance(value, str):
        raise TypeError('a %s must be str, not %s' % (what, type(value).__name__))
    if '\r' in value or '\n' in value:
        raise ValueError('a %s must not hold a line break' % what)
    return value


def open(status=None, headers=None, cookies=None, content_type=None):
    """Begins to stream the response of the invocation under way. With a status, headers or cookies it is an HTTP
    response; without, its bytes are passed on as they are (content_type: application/octet-stream)."""
    taken = invocation.current()
    if taken is None:
        raise RuntimeError('there is no invocation under way to respond to')
    if status is None and headers is None and cookies is None:
        return Stream(taken, content_type or RAW)
    if content_type is not None:
        raise ValueError("an HTTP response has its content type in headers={'content-type': ...}")
    prelude = Prelude(200 if status is None else status, headers, cookies)
    return Stream(taken, HTTP, bytes(prelude))


class Stream:
    """Writable. What is written leaves at once, and a slow reader makes the writer wait; nothing is kept."""

    def __init__(self, taken, content_type, prelude=None):
        if taken.stream is not None:
            raise RuntimeError('the response of this invocation is already being streamed')
        self._taken = taken
        self._client = taken.client
        self._prelude = prelude
        self._open = True
        self._client.stream_open(taken.request_id, taken.invocation_id, content_type)
        taken.stream = self

    # -- for functions

    def write(self, chunk):
        """Sends str (as UTF-8) or bytes, and returns how many characters or bytes that were."""
        if not self._open:
            raise ValueError('write to a closed stream')
        if self._prelude is not None:
            self._start(chunk)
        elif not self._client.stream_write(chunk):
            self._refused()
        return len(chunk)

    async def send(self, chunk):
        """As write, for coroutines: others run while a slow reader is waited for."""
        if not self._open:
            raise ValueError('write to a closed stream')
        if self._prelude is not None:
            chunk = self._with_prelude(chunk)
        elif type(chunk) is not bytes:
            chunk = _as_bytes(chunk)  # it must not change between two attempts
        written = self._client.stream_write(chunk, False)
        if written is None:
            from make_runtime import asynchronous

            while written is None:
                await asynchronous.writable(self._client.fileno())
                written = self._client.stream_write(chunk, False)
        if not written:
            self._refused()
        return len(chunk)

    def writelines(self, chunks):
        for chunk in chunks:
            self.write(chunk)

    def flush(self):
        """Sends the prelude if nothing was written yet. What was written has left already."""
        if self._open and self._prelude is not None:
            self._start(b'')

    def writable(self):
        return self._open

    @property
    def closed(self):
        return not self._open

    def close(self):
        """Ends the response: the caller has all of it, whatever the handler still does before it returns."""
        if self._open:
            from make_runtime import loop

            loop.flush()
            self.finish()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is None:  # an error is the caller's to know: the loop ends the stream with it
            self.close()

    async def __aenter__(self):
        return self

    async def __aexit__(self, kind, error, trace):
        if kind is None:
            self.close()

    # -- for the loop

    def finish(self):
        if not self._open:
            return
        try:
            self.flush()
        except Refused:
            pass
        self._open = False
        self._end('the streamed response', None, None)

    def give_up(self, kind, body):
        """The handler failed. True when nothing has left yet: then the error is posted as any other."""
        if not self._open:
            return False  # ended before the handler failed: nobody is left to hear of it
        self._open = False
        if not self._client.stream_started:
            return True
        from binascii import b2a_base64

        from make_runtime import fault

        self._end("the streamed response's error", fault.type_header(kind), b2a_base64(body, newline=False).decode())
        return False

    # -- for itself

    def _end(self, what, kind, body):
        from make_runtime import loop

        try:
            answer = self._client.stream_close(kind, body)
        except _runtime_api.Error as error:
            # The platform has noticed too and told the caller; whether it can be reached at all, `next` will show.
            loop.complain('%s was not delivered: %s' % (what, error))
        else:
            loop.react(answer, what)

    def _start(self, chunk):
        if not self._client.stream_write(self._with_prelude(chunk)):
            self._refused()

    def _with_prelude(self, chunk):
        whole = self._prelude + _as_bytes(chunk)
        self._prelude = None
        return whole

    def _refused(self):
        raise Refused('the Runtime API has answered before the response was complete')


class Refused(BrokenPipeError):
    """The server has said its last word early (413). What it said is logged when the stream is closed."""


def _as_bytes(chunk):
    if isinstance(chunk, str):
        return chunk.encode()
    try:
        return bytes(memoryview(chunk))
    except TypeError:
        kind = type(chunk).__name__
        raise TypeError('a chunk of a streamed response must be str or bytes-like, not %s' % kind) from None


def first_of(taken, chunk):
    """A stream that fits the first thing a generator yielded, and what of it is still to be written."""
    if isinstance(chunk, Prelude):
        return Stream(taken, HTTP), bytes(chunk)
    return Stream(taken, RAW), chunk


def pump(taken, generator):
    """Sends what a generator handler yields."""
    write = taken.client.stream_write
    try:
        for chunk in generator:  # the first: it decides what kind of response it is
            stream, chunk = first_of(taken, chunk)
            if write(chunk):
                for chunk in generator:
                    if not write(chunk):
                        break
            generator.close()
            return
    except (TypeError, UnicodeEncodeError) as error:
        if generator.gi_frame is None:
            raise  # it came from within
        generator.throw(error.with_traceback(None))  # so that the trace ends at the `yield` that gave what cannot be sent
        raise
    Stream(taken, RAW)


async def pump_async(taken, generator):
    """The same for an async generator."""
    stream = None
    try:
        async for chunk in generator:
            if stream is None:
                stream, chunk = first_of(taken, chunk)
            try:
                await stream.send(chunk)
            except (TypeError, UnicodeEncodeError) as error:
                if hasattr(generator, 'athrow'):
                    await generator.athrow(error.with_traceback(None))
                raise
    except Refused:
        pass
    finally:
        close = getattr(generator, 'aclose', None)
        if close is not None:
            await close()
    if stream is None:
        Stream(taken, RAW)
