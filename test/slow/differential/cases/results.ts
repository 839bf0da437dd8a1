// What handlers return, and how it looks in the response.
import { app, type Case } from '../case.ts';
import { event } from '../server.ts';

const values: Readonly<Record<string, string>> = {
  None: 'None',
  'a string': '"text"',
  'non-ASCII': '"é 日本語 😀"',
  'a non-ASCII key': '{"é": "é"}',
  'control characters': '"\\x00\\x1f\\x7f\\u2028\\u2029\\x80/<>&\'"',
  'a lone surrogate': '"\\ud800"',
  'a surrogate pair in two halves': '"\\ud83d\\ude00"',
  integers: '[0, -1, 2**63, 2**200]',
  'an integer of 5000 digits': '10**5000',
  booleans: '[True, False]',
  floats: '[0.1, -0.0, 1e16, 1e-7, 1.0, 5e-324, 1.7976931348623157e308]',
  'NaN and infinities': '[float("nan"), float("inf"), float("-inf")]',
  bytes: 'b"\\x00\\xff raw"',
  'empty bytes': 'b""',
  'a bytearray': 'bytearray(b"abc")',
  'a memoryview': 'memoryview(b"abc")',
  'bytes within': '{"a": b"abc"}',
  'a tuple': '(1, (2, 3))',
  'a named tuple': 'collections.namedtuple("P", "x y")(1, [2])',
  'a named tuple as a key': '{collections.namedtuple("P", "x y")(1, 2): 3}',
  'a subclass of bytes': 'type("B", (bytes,), {})(b"abc")',
  'a set': '{1}',
  'a generator expression': '(x for x in [1, 2])',
  'a range': 'range(3)',
  'a dictionary view': '{}.keys()',
  'an object': 'object()',
  'an object deep inside': '{"a": [1, {"b": object()}]}',
  'keys of other types': '{1: 1, 1.5: 2, True: 3, None: 4}',
  'a float NaN key': '{float("nan"): 1}',
  'a tuple key': '{(1, 2): 3}',
  'a bytes key': '{b"a": 1}',
  'keys that collide': '{1: "a", "1": "b"}',
  'a subclass of dict': 'collections.OrderedDict(b=1, a=2)',
  'a defaultdict': 'collections.defaultdict(list, a=[1])',
  'a Counter': 'collections.Counter("aab")',
  'a ChainMap': 'collections.ChainMap({"a": 1})',
  'a deque': 'collections.deque([1])',
  'a mappingproxy': 'types.MappingProxyType({"a": 1})',
  'a subclass of str': 'type("S", (str,), {"__str__": lambda self: "other"})("own")',
  'a subclass of int': 'type("I", (int,), {"__repr__": lambda self: "other", "__str__": lambda self: "other"})(7)',
  'a subclass of float': 'type("F", (float,), {"__repr__": lambda self: "other"})(7.5)',
  'an IntEnum': '[enum.IntEnum("E", "A B").B, {enum.IntEnum("E", "A B").B: 1}]',
  'an Enum': 'enum.Enum("E", "A B").B',
  'a StrEnum, so to speak': 'enum.Enum("E", {"A": "a"}, type=str).A',
  Decimals: '[decimal.Decimal(x) for x in ("1.10", "-0", "1E+3", "1E-10", "123456789012345678901234567890.123")]',
  'a Decimal NaN': '[decimal.Decimal("NaN"), decimal.Decimal("-NaN"), decimal.Decimal("sNaN")]',
  'a Decimal infinity': '[decimal.Decimal("Infinity"), decimal.Decimal("-Infinity")]',
  'a Decimal key': '{decimal.Decimal("1.5"): 1}',
  'a bare Decimal': 'decimal.Decimal("2.50")',
  'a Fraction': 'fractions.Fraction(1, 3)',
  'a complex number': '1j',
  'a datetime': 'datetime.datetime(2026, 1, 2)',
  'a UUID': 'uuid.UUID(int=1)',
  'a dataclass': 'dataclasses.make_dataclass("D", ["x"])(1)',
  'a class with for_json': 'type("J", (), {"for_json": lambda self: {"a": 1}})()',
  'a class with _asdict': 'type("A", (), {"_asdict": lambda self: {"a": 1}})()',
  'a class with an _asdict that is not a method': 'type("A", (), {"_asdict": 7})()',
  'a tuple with _asdict': 'type("A", (tuple,), {"_asdict": lambda self: {"a": 1}})((1, 2))',
  'a list with _asdict': 'type("A", (list,), {"_asdict": lambda self: {"a": 1}})([1, 2])',
  'a dict with _asdict': 'type("A", (dict,), {"_asdict": lambda self: {"a": 1}})(b=2)',
  'a str with _asdict': 'type("A", (str,), {"_asdict": lambda self: {"a": 1}})("text")',
  'an _asdict that returns a list': 'type("A", (tuple,), {"_asdict": lambda self: [1]})((1, 2))',
  'an _asdict that raises': 'type("A", (tuple,), {"_asdict": lambda self: 1 / 0})((1, 2))',
  'an unbound type': 'int',
  'an exception object': 'ValueError("returned")',
  'the context': 'context.identity',
  'nesting of 500': 'nested(500)',
  'nesting of 100,000': 'nested(100_000)',
};

const imports = `import collections, dataclasses, datetime, decimal, enum, fractions, types, uuid

def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value

def circular():
    value = {}
    value["self"] = [value]
    return value

def generate():
    yield 1

async def coroutine():
    return 1
`;

export const results: readonly Case[] = [
  ...Object.entries(values).map(([name, value]): Case => ({ name, files: app(`return ${value}`, imports) })),
  { name: 'a circular structure', files: app('return circular()', imports) },
  { name: 'a generator', files: app('return generate()', imports) },
  { name: 'a generator of text', files: app('return (x for x in ["one", "", "é"])', imports) },
  { name: 'a generator function as the handler', files: app('yield 1') },
  {
    name: 'a coroutine function as the handler',
    files: { 'app.py': 'async def handler(event, context):\n    return 1\n' },
  },
  {
    name: 'a dict that changes while it is encoded',
    files: app(
      'return D(a=1, b=2)',
      `
class D(dict):
    def items(self):
        yield from [("x", 1), ("y", [2])]
`,
    ),
  },
  {
    name: 'results of growing size',
    files: app('return "x" * event'),
    nexts: [0, 1, 1000, 60_000, 1_100_000, 6_000_000].map((size) => event(size)),
  },
  { name: 'bytes of 6 MB', files: app('return bytes(range(256)) * 24_000') },
];
