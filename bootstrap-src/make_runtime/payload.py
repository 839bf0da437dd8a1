"""JSON in and out, without the `json` package: decoder and encoder are our own (C).

Agrees with json.loads and json.dumps; where they raise, what they raise is raised.
"""

import _runtime_api
from make_runtime import settings

JSON = 'application/json'
BINARY = 'application/unknown'


def decode(text):
    """json.loads of str, bytes or a Client's Event."""
    try:
        return _runtime_api.decode(text)
    except ValueError:
        # Something is wrong with it (or it has a byte order mark, or is UTF-16): json finds out what, in its own words.
        import json

        return json.loads(text if isinstance(text, str) else bytes(text))


def unmarshal(body, content_type):
    """The event. Anything but JSON reaches the handler as bytes."""
    if content_type is not None and content_type != JSON:
        return bytes(body)
    try:
        try:
            return _runtime_api.decode(body)
        except ValueError:
            return decode(body)  # again, for the reason
    except Exception as error:
        raise _fault('Runtime.UnmarshalError', 'Unable to unmarshal input: %s' % error) from None


def unmarshal_header(text, name):
    """The dict in a JSON header, or None when there is no header."""
    if text is None:
        return None
    try:
        return decode(text)
    except Exception as error:
        raise _fault('Runtime.LambdaContextUnmarshalError', 'Unable to parse %s JSON: %s' % (name, error)) from None


def marshal(value):
    """(body, content type) of a handler's result, for Client.respond()."""
    if isinstance(value, bytes):
        return value, BINARY
    try:
        return _runtime_api.encode_parts(value, settings.ensure_ascii), JSON
    except Exception as error:
        raise _fault('Runtime.MarshalError', 'Unable to marshal response: %s' % error) from None


def _fault(kind, message):
    from make_runtime.fault import Fault

    return Fault(kind, message)
