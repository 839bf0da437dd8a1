"""Requests to the platform beside the invocation loop: registering an extension, waiting for a snapshot's restore.

Rare, not worth C, and needing no more of HTTP/1.1 than one answer with a length. Imported when one of these features is
on. Refuses to know what the answers mean. The socket is C's own: http.client would import email, ssl and more.
"""

import _socket

HEAD_MAX = 1 << 20


class Unanswered(Exception):
    """The platform closed the connection, or did not speak HTTP."""


def connect(address):
    """A connection to host:port."""
    host, _, port = address.rpartition(':')
    host = host.strip('[]')
    stream = _socket.socket(_socket.AF_INET6 if ':' in host else _socket.AF_INET, _socket.SOCK_STREAM)
    try:
        stream.connect((host, int(port)))
    except BaseException:
        stream.close()
        raise
    return stream


def send(stream, address, method, path, headers=(), body=b''):
    lines = ['%s %s HTTP/1.1' % (method, path), 'Host: ' + address]
    lines += ['%s: %s' % header for header in headers]
    if body or method == 'POST':
        lines.append('Content-Length: %d' % len(body))
    stream.sendall('\r\n'.join(lines).encode('latin-1') + b'\r\n\r\n' + body)


def receive(stream):
    """(status, headers with lower-case names, body). Waits for ever: restore/next answers when there is a restore."""
    data = b''
    while b'\r\n\r\n' not in data:
        data = _more(stream, data)
        if len(data) > HEAD_MAX:
            raise Unanswered('the headers of the answer are too large')
    head, _, body = data.partition(b'\r\n\r\n')
    first, *lines = head.decode('latin-1').split('\r\n')
    version, _, rest = first.partition(' ')
    if not version.startswith('HTTP/1.') or not rest[:3].isdigit():
        raise Unanswered('the answer is not HTTP: %r' % first[:80])
    headers = {}
    for line in lines:
        name, _, value = line.partition(':')
        headers[name.lower()] = value.strip()
    length = headers.get('content-length', '0')
    if not length.isdigit():
        raise Unanswered('the length of the answer is %r' % length)
    while len(body) < int(length):
        body = _more(stream, body)
    return int(rest[:3]), headers, body


def _more(stream, data):
    piece = stream.recv(65536)
    if not piece:
        raise Unanswered('the connection was closed before the answer was complete')
    return data + piece


def ask(address, method, path, headers=(), body=b''):
    """One request on a connection of its own."""
    stream = connect(address)
    try:
        send(stream, address, method, path, headers, body)
        return receive(stream)
    finally:
        stream.close()
