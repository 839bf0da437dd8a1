"""Unit tests of the policy package and the encoder, run by the built interpreter itself (python3.Y test_policy.py):
make_runtime and _runtime_api are part of the executable."""

import collections
import decimal
import enum
import json
import os
import random
import sys
import tempfile
import unittest

import _runtime_api
from make_runtime import context, fault, handler, payload


class Point(collections.namedtuple('Point', 'x y')):
    pass


class Colour(str, enum.Enum):
    RED = 'r"\u00e9'


class Number(enum.IntEnum):
    THREE = 3


class LoudFloat(float):
    def __repr__(self):
        return 'loud'


class LoudInt(int):
    def __repr__(self):
        return 'loud'

    __str__ = __repr__


class HasDict:
    def _asdict(self):
        return {'a': 1}


class LyingDict:
    def _asdict(self):
        return 3


def random_text(rng):
    top = rng.choice((128, 256, 0x3000, 0x110000))
    length = rng.randrange(300 if rng.random() < 0.05 else 12)
    return ''.join(chr(c) for c in (rng.randrange(top) for _ in range(length)) if not 0xD800 <= c <= 0xDFFF)


def random_document(rng, depth=0):
    kind = rng.randrange(10 if depth < 4 else 7)
    if kind == 0:
        return rng.choice((None, True, False))
    if kind == 1:
        return rng.randrange(-(10 ** rng.randrange(1, 25)), 10 ** rng.randrange(1, 25))
    if kind == 2:
        return rng.choice(
            (rng.random(), rng.uniform(-1e300, 1e300), float('inf'), float('nan'), -0.0, 1e16, float(rng.randrange(10**18)))
        )
    if kind < 7:
        return random_text(rng)
    if kind < 9:
        keys = (rng.choice((random_text(rng), rng.randrange(99), rng.random(), True, None)) for _ in range(rng.randrange(6)))
        return {key: random_document(rng, depth + 1) for key in keys}
    return rng.choice((list, tuple))(random_document(rng, depth + 1) for _ in range(rng.randrange(6)))


def outcome(function, *arguments, **keywords):
    """The result, or type and text of what was raised."""
    try:
        return function(*arguments, **keywords)
    except Exception as error:
        return type(error), str(error)


class Encode(unittest.TestCase):
    def same_as_json(self, value):
        for ascii_only in (True, False):
            expected = outcome(lambda: json.dumps(value, ensure_ascii=ascii_only).encode())
            self.assertEqual(outcome(_runtime_api.encode, value, ascii_only), expected)

    def test_random_documents(self):
        rng = random.Random(20241007)
        for _ in range(3000):
            self.same_as_json(random_document(rng))

    def test_ordinary_values(self):
        for value in (
            '',
            '\x00\x1f"\\/\b\f\n\r\t\x7f\u2028\uffff\U0001f600',
            'x' * 5000 + '\u00e9',
            [],
            {},
            (),
            2**63,
            2**63 - 1,
            -(2**63),
            -(2**63) - 1,
            10**40,
            Colour.RED,
            Number.THREE,
            LoudFloat(1.5),
            LoudInt(5),
            {Number.THREE: 1, Colour.RED: 2, True: 3, None: 4, 1.5: 5, 10**30: 6, float('nan'): 7},
            collections.OrderedDict(b=1, a=2),
            collections.Counter('aab'),
            collections.defaultdict(list, a=[1]),
        ):
            self.same_as_json(value)

    def test_decimals(self):
        # Those of few digits have a way of their own, which must end where repr's does, also at its edges.
        picks = random.Random(5)
        values = [1e-3, 9.99e-4, 1e9, 999999999.999999, 999999999.9999999, 0.0, -0.0, 0.1 + 0.2, 1e15, 1e16, 5e-324]
        for _ in range(60_000):
            value = round(picks.choice((1, -1)) * 10 ** picks.uniform(-5, 11), picks.randrange(9))
            neighbour = value * (1 + picks.choice((-1, 1)) * 2**-52)
            values += (value, neighbour, float(int(value)), picks.random())
        for value in values:
            self.assertEqual(_runtime_api.encode(value, False), repr(value).encode())

    def test_long_texts(self):
        # Eight characters at a time: what has to be escaped, at each place of a word.
        for special in ('', ' ', '~', '"', '\\', '\n', '\x1f', '\x7f', '\x80', '\xe9', '\u0100', '\u20ac', '\U0001f600'):
            for before in range(18):
                self.same_as_json('a' * before + special + 'b' * (20 - before))
        self.same_as_json(['x' * 300_000, 'y' * 70_000 + '"'])

    def test_keys_that_repeat(self):
        # More of them than the decoder's cache has room for, of every length, and some that differ in the middle only.
        keys = ['k' * n for n in range(1, 60)] + ['%d' % n for n in range(99)]
        keys += ['abcdefgh%03dabcdefgh' % n for n in range(400)]
        rows = [{key: n for key in keys[n % 7 :]} for n in range(20)]
        self.assertEqual(_runtime_api.decode(json.dumps(rows)), rows)

    def test_refusals(self):
        loop = []
        loop.append(loop)
        ring = {}
        ring['a'] = [ring]
        for value in (object(), {1}, 1j, range(3), iter([]), {(1, 2): 3}, {'a': [object()]}, loop, ring, Point, type):
            self.same_as_json(value)

    @unittest.skipUnless(hasattr(sys, 'get_int_max_str_digits'), 'no limit in this version')
    def test_digit_limit(self):
        self.same_as_json(10**5000)

    def test_same_object_twice_is_not_circular(self):
        shared = [1]
        self.assertEqual(_runtime_api.encode([shared, shared, {'a': shared}], False), b'[[1], [1], {"a": [1]}]')

    def test_too_deep(self):
        deep = []
        for _ in range(200_000):
            deep = [deep]
        with self.assertRaises(RecursionError):
            _runtime_api.encode(deep, False)

    def test_lone_surrogates(self):
        self.assertEqual(_runtime_api.encode('\ud800', True), b'"\\ud800"')
        with self.assertRaises(UnicodeEncodeError):
            _runtime_api.encode('\ud800', False)

    def test_beyond_json(self):
        for value, expected in (
            (Point(1, Point(2, None)), b'{"x": 1, "y": {"x": 2, "y": null}}'),
            (HasDict(), b'{"a": 1}'),
            (decimal.Decimal('1.10'), b'1.10'),
            (decimal.Decimal('-sNaN'), b'NaN'),
            (decimal.Decimal('1E+5'), b'1E+5'),
            ({'a': [decimal.Decimal('0')]}, b'{"a": [0]}'),
            ({b'k': b'v\xc3\xa9'}, b'{"k": "v\xc3\xa9"}'),
        ):
            self.assertEqual(_runtime_api.encode(value, False), expected)
        with self.assertRaises(TypeError):
            _runtime_api.encode(LyingDict(), False)
        with self.assertRaises(UnicodeDecodeError):
            _runtime_api.encode([b'\xff'], False)

    def test_a_list_that_shrinks_while_it_is_written(self):
        victims = []

        class Clearing:
            def _asdict(self):
                victims.clear()
                return {}

        victims += [1, Clearing(), 2, 3]
        self.assertEqual(_runtime_api.encode(victims, False), b'[1, {}]')


class Decode(unittest.TestCase):
    def test_agrees_with_json(self):
        rng = random.Random(7)
        texts = [json.dumps(random_document(rng), ensure_ascii=rng.random() < 0.5) for _ in range(1500)]
        texts += [' {"a" : 1}\n', '[NaN, -Infinity]', '1e999', '-0', '"\\ud83d\\ude00"', '\t\r\n 1 \t\r\n', '[1.0, 1E5]']
        texts += ['', ' ', '{', '[1,]', '{"a":1,}', "{'a':1}", '{"a":1} x', 'nul', '01', '"\x01"', '"\\x"', '\u00a01', '[1]]']
        for text in texts:
            expected = outcome(json.loads, text)
            self.assertEqual(repr(outcome(payload.decode, text)), repr(expected))
            self.assertEqual(repr(outcome(payload.decode, text.encode())), repr(expected))

    def test_bytes(self):
        self.assertEqual(payload.decode(b'\xef\xbb\xbf{}'), {})
        with self.assertRaises(UnicodeDecodeError):
            payload.decode(b'"\xff"')

    def test_content_type(self):
        self.assertEqual(payload.unmarshal(b'{}', None), {})
        self.assertEqual(payload.unmarshal(b'{}', 'application/json'), {})
        self.assertEqual(payload.unmarshal(b'{}', 'application/json; charset=utf-8'), b'{}')

    def test_marshal(self):
        self.assertEqual(payload.marshal(b'\x00'), (b'\x00', 'application/unknown'))
        self.assertEqual(payload.marshal(None), (b'null', 'application/json'))
        escaped = sys.version_info < (3, 12)
        self.assertEqual(payload.marshal('\u00e9')[0], b'"\\u00e9"' if escaped else b'"\xc3\xa9"')


class Resolve(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        sys.path.insert(0, self.folder.name)
        self.addCleanup(self.folder.cleanup)
        self.addCleanup(sys.path.remove, self.folder.name)

    def write(self, name, text):
        path = os.path.join(self.folder.name, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w') as file:
            file.write(text)

    def refused(self, name):
        with self.assertRaises(fault.Fault) as caught:
            handler.resolve(name)
        return caught.exception.kind, caught.exception.message

    def test_found(self):
        self.write('policy_a/b/mod.py', 'def fn(): pass')
        self.assertEqual(handler.resolve('policy_a/b/mod.fn').__name__, 'fn')
        self.assertIs(handler.resolve('policy_a.b.mod.fn'), handler.resolve('policy_a/b/mod.fn'))

    def test_refused(self):
        self.write('policy_missing.py', 'import policy_nowhere')
        self.write('policy_empty.py', '')
        for name, kind, message in (
            (
                'nodot',
                'Runtime.MalformedHandlerName',
                "Bad handler 'nodot': not enough values to unpack (expected 2, got 1)",
            ),
            ('sys.exit', 'Runtime.BuiltInModuleConflict', 'Cannot use built-in module sys as a handler module'),
            ('time.a.b', 'Runtime.BuiltInModuleConflict', 'Cannot use built-in module time.a as a handler module'),
            (
                'policy/no.fn',
                'Runtime.ImportModuleError',
                "Unable to import module 'policy/no': No module named 'policy'",
            ),
            (
                'policy_missing.fn',
                'Runtime.ImportModuleError',
                "Unable to import module 'policy_missing': No module named 'policy_nowhere'",
            ),
            ('policy_empty.fn', 'Runtime.HandlerNotFound', "Handler 'fn' missing on module 'policy_empty'"),
        ):
            self.assertEqual(self.refused(name), (kind, message))

    def test_syntax_error(self):
        self.write('policy_bad.py', 'x = 1\ndef (:\n')
        kind, message = self.refused('policy_bad.fn')
        self.assertEqual(kind, 'Runtime.UserCodeSyntaxError')
        self.assertRegex(message, r"^Syntax error in module 'policy_bad': invalid syntax \(policy_bad.py, line 2\)$")

    def test_odd_names(self):
        with self.assertRaises(ValueError):
            handler.resolve('.fn')
        with self.assertRaises(TypeError):
            handler.resolve('.mod.fn')

    def test_files_win_over_linked_in_modules(self):
        for name in ('math', 'select', 'zlib', '_json'):
            if handler.managed_builtin(name):
                continue
            self.write(name + '.py', 'def fn(): return "mine"')
            known = sys.modules.get(name)
            try:
                sys.modules.pop(name, None)
                self.assertEqual(handler.resolve(name + '.fn')(), 'mine')
            finally:
                sys.modules.pop(name, None)
                if known is not None:
                    sys.modules[name] = known


class Context(unittest.TestCase):
    def test_attributes(self):
        about = context.LambdaContext('r', None, None, 0, 'arn', 'tenant')
        self.assertEqual(about.get_remaining_time_in_millis(), 0)
        self.assertIsNone(about.client_context)
        self.assertIsNone(about.identity.cognito_identity_id)
        self.assertEqual((about.tenant_id, about.invoked_function_arn), ('tenant', 'arn'))
        self.assertEqual(about.w3c(), {})
        self.assertGreater(context.LambdaContext('r', None, None, 4102444800000).get_remaining_time_in_millis(), 0)

    def test_client_context(self):
        given = {
            'custom': {'a': 1},
            'client': {'app_title': 't'},
            'w3c': {'traceparent': '00-1', 'tracestate': 2, 'other': 'x'},
        }
        about = context.LambdaContext('r', given, {'cognitoIdentityId': 'i'}, 0)
        self.assertEqual(about.client_context.custom, {'a': 1})
        self.assertIsNone(about.client_context.env)
        self.assertEqual(about.client_context.client.app_title, 't')
        self.assertIsNone(about.client_context.client.installation_id)
        self.assertEqual((about.identity.cognito_identity_id, about.identity.cognito_identity_pool_id), ('i', None))
        self.assertEqual(about.w3c(), {'traceparent': '00-1'})
        self.assertEqual(
            repr(about.client_context),
            "ClientContext([custom={'a': 1},env=None,client=Client([installation_id=None,app_title=t,"
            'app_version_name=None,app_version_code=None,app_package_name=None])])',
        )


class Faults(unittest.TestCase):
    def test_cause_is_cropped(self):
        try:
            raise ValueError('\u00e9' * 200_000)
        except ValueError as error:
            described, cause = fault.describe(error, 'r')
        header = fault.cause_header(cause)
        self.assertLess(len(header), fault.CAUSE_MAX)
        self.assertTrue(header.isascii())
        self.assertEqual(json.loads(header)['exceptions'][0]['type'], 'ValueError')
        self.assertEqual(len(described['errorMessage']), 200_000)

    def test_order_and_trace(self):
        try:
            raise KeyError('k')
        except KeyError as error:
            described, cause = fault.describe(error, 'r')
        self.assertEqual(list(described), ['errorMessage', 'errorType', 'requestId', 'stackTrace'])
        self.assertEqual(described['errorMessage'], "'k'")
        self.assertIn("raise KeyError('k')", described['stackTrace'][0])
        self.assertEqual(cause['paths'], [__file__])

    def test_an_error_that_cannot_be_shown(self):
        class Rude(Exception):
            def __str__(self):
                raise RuntimeError

        self.assertEqual(fault.describe(Rude())[0]['errorMessage'], '<exception str() failed>')

    def test_surrogates(self):
        self.assertIn(b'\\ud800', fault.body({'errorMessage': '\ud800'}))
        self.assertEqual(fault.type_header('\u0160patn\u00fd'), '\\u0160patn\\xfd')


class Client(unittest.TestCase):
    def test_refuses_what_would_forge_a_request(self):
        client = _runtime_api.Client('127.0.0.1:1', 'test')
        with self.assertRaises(ValueError):
            client.respond('id', 'a\r\nb: c', 'text/plain', b'')
        with self.assertRaises(ValueError):
            client.fail('a\0b', None, None, b'')
        with self.assertRaises(_runtime_api.Error):
            client.next()
        with self.assertRaises(TypeError):
            _runtime_api.Client('127.0.0.1:1')


if __name__ == '__main__':
    unittest.main(verbosity=0)
