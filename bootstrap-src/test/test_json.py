"""The JSON decoder against json.loads: python3.Y test_json.py [documents] [seed], run by the built interpreter; or
test_json.py --suite <folder>, with the files of JSONTestSuite, whose names say what is to become of them.

Every document is given whole, mutated and cut; what json.loads accepts must come out equal, with the same types, and
what it refuses must be refused with the same words. The hand-made ones follow the categories of JSONTestSuite (y_, n_,
i_: accepted, refused, up to the implementation), where the judge is json too.
"""

import json
import math
import os
import random
import sys

import _runtime_api
from make_runtime import payload

HAND_MADE = r'''
[] {} "" 0 -0 1 -1 12 1.5 -0.0 0.1 1e5 1E5 1e+5 1e-5 1.5e300 1e400 -1e400 1e-400 5e-324 2.2250738585072011e-308 123e65
0.30000000000000004 9007199254740993 9007199254740993.0 123456789012345678 1234567890123456789 12345678901234567890123
-123456789012345678 9223372036854775807 9223372036854775808 0.000000000000000000000000000001 1e22 1e23 8.5e22 123456.7e17
179769313486231570000000000000000000000e270 1.7976931348623159e308 0e0 -0e5 0.0e-5 1e00000000000000000001 1e99999999999999
null true false NaN Infinity -Infinity [NaN] -NaN +1 +Infinity nan inf -infinity Nan nul tru fals truee nulll
01 -01 00 0x1 1. .5 -.5 1.e5 1e 1e+ 1e- 1.5e 1ea 1e0.5 1_000 0_1 1.5_5 12345678901234567890_1 - -- -a 1- 1+1 1,
"a "a\" "\u00e9" "\uD83D\uDE00" "\ud83d" "\ude00" "\ud83d\ud83d\ude00" "\ud83dx" "\ud83d\n" "\ud83d\u0041" "\u12" "\u123g"
"\ud83d\u12" "\ud83d\uzzzz" "\x41" "\a" "\'" "\0" "\"\\\/\b\f\n\r\t" "\u0000" "\u001f" "\uFFFF" "\uABCD" "\" "\\" "\\\" "\u" '
[1 [1, [,] [1,] [1,,2] [,1] [1 2] [1]] ]1 [[] {"a":1} {"a":1,} {,} {"a"} {"a":} {"a":1 "b":2} {1:1} {a:1} {'a':1} {"a":1}}
{"a":1,"a":2} {"b":1,"a":2,"b":3} {"":0} {"a":{"a":{"a":[]}}} [[[[[[]]]]]] {"a":[{"b":null},{"b":true},{"b":false}]}
[1,[2,[3],4],{"x":[5]},6] {"a" :1} {"a": 1} [ 1 , 2 ] [1//] [/**/1] #1 <null> [1;2] {"a";1} \u0041 a abc "a""b" [""] [" "]
'''.split('\n')

PLAIN = [one for line in HAND_MADE for one in line.split(' ') if one]
RAW = [
    b'', b' ', b'\n', b' 1 ', b'\t\r\n[1]\n', b'\x0b1', b'\x0c1', b'1\x00', b'\x001', b'[1]\x00', b'"\x00"', b'"\x1f"',
    b'"\x7f"', b'"\n"', b'"a\tb"', b'[\xa01]', b'\xc2\xa01', b'\xe2\x80\xa81', b'"\xe2\x80\xa8"', b'\xef\xbb\xbf{}',
    b'\xef\xbb\xbf', '"é€😀"'.encode(), b'"\xff"', b'"\xc3"', b'"\xc3\x28"', b'"\xed\xa0\x80"', b'"\xed\xa0\xbd\xed\xb8\x80"',
    b'"\\ud83d\xed\xb8\x80"', b'"\xf4\x90\x80\x80"', b'"\xc0\x80"', b'"\xe0\x80\x80"', b'\xff', b'{"\xff":1}', b'[1,\xff]',
    '[1]'.encode('utf-16'), '{"é":1}'.encode('utf-16-le'), '{"a":1}'.encode('utf-32-be'), b'[' * 100 + b']' * 100,
    b'[' * 200000, b'{"a":' * 200000, b'[' * 200000 + b']' * 200000, b'9' * 5000, b'-' + b'9' * 4300, b'0.' + b'1' * 5000,
    b'1' * 400 + b'e-399', b'"' + b'x' * 100000 + b'"', b'"' + b'\\u00e9' * 5000 + b'"', b'"\\', b'"\\u', b'"\\ud83d\\',
    b'"abcdefg"', b'"abcdefgh"', b'"abcdefghi', b'"abcdef\\n"', b'"abcdefg\\"h"', b'"1234567\xc3\xa9"', b'"12345678\x1f"',
    b'{"k":1,"k":2,"kk":{"k":[{"kk":3}]}}', b'[' + b','.join(b'{"name":"x","value":%d}' % i for i in range(500)) + b']',
    b'{' + b','.join(b'"key%d":%d' % (i, i) for i in range(1000)) + b'}',
]  # fmt: skip


def same(a, b):
    pairs = [(a, b)]  # not by recursion: documents are nested as deep as the decoder goes
    while pairs:
        a, b = pairs.pop()
        if type(a) is not type(b):
            return False
        if type(a) is float:
            if not (math.isnan(a) and math.isnan(b) or a == b and math.copysign(1, a) == math.copysign(1, b)):
                return False
        elif type(a) is list:
            if len(a) != len(b):
                return False
            pairs += zip(a, b)
        elif type(a) is dict:
            if list(a) != list(b):
                return False
            pairs += ((a[key], b[key]) for key in a)
        elif a != b:
            return False
    return True


def outcome(function, document):
    try:
        return 'value', function(document)
    except RecursionError:
        return 'error', 'RecursionError'
    except Exception as error:
        return 'error', '%s: %s' % (type(error).__name__, error)


def check(document):
    """How many documents were accepted natively: 1 or 0."""
    expected, got = outcome(json.loads, document), outcome(payload.decode, document)
    assert expected[0] == got[0] and (same(expected[1], got[1])), (document[:200], str(expected)[:200], str(got)[:200])
    native = outcome(_runtime_api.decode, document)
    assert native[0] == 'error' or same(native[1], expected[1]), (document[:200], native)
    return native[0] == 'value'


# What the suite refuses and json.loads has always accepted.
ACCEPTED = {'n_number_NaN.json', 'n_number_infinity.json', 'n_number_minus_infinity.json'}


def suite(folder):
    count = {'y': 0, 'n': 0, 'i': 0}
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), 'rb') as file:
            raw = file.read()
        natively = check(raw)
        accepted = outcome(payload.decode, raw)[0] == 'value'
        if name[0] == 'y':
            assert natively, name
        elif name[0] == 'n':
            assert accepted == (name in ACCEPTED), name
        count[name[0]] += 1
    print('%(y)d accepted, %(n)d refused, %(i)d as json does it' % count)


def text(rng):
    top = rng.choice((0x7F, 0x7F, 0x100, 0x3000, 0x110000))
    return ''.join(chr(rng.randrange(top)) for _ in range(rng.randrange(40 if rng.random() < 0.2 else 9)))


def number(rng):
    kind = rng.randrange(6)
    if kind == 0:
        return rng.randrange(-100, 100)
    if kind == 1:
        return rng.randrange(-(10**25), 10**25)
    if kind == 2:
        return rng.random() * 10.0 ** rng.randrange(-320, 309)
    if kind == 3:
        return round(rng.uniform(-1e6, 1e6), rng.randrange(9))
    if kind == 4:
        return rng.choice((float('inf'), float('-inf'), float('nan'), -0.0, 1e22, 1e23, 5e-324, 2.0**53 + 2))
    return rng.getrandbits(rng.randrange(1, 70))


def document(rng, depth=0):
    kind = rng.randrange(10 if depth < 5 else 5)
    if kind == 0:
        return rng.choice((None, True, False))
    if kind < 3:
        return number(rng)
    if kind < 6:
        return text(rng)
    if kind < 8:
        keys = (rng.choice(('id', 'name', 'Records', text(rng))) for _ in range(rng.randrange(6)))
        return {key: document(rng, depth + 1) for key in keys}
    return [document(rng, depth + 1) for _ in range(rng.randrange(6))]


def written(rng):
    """A document as bytes, in one of the ways in which it can be written."""
    separators = rng.choice(((',', ':'), (', ', ': '), (' ,\n', '\t:\r')))
    whole = json.dumps(document(rng), ensure_ascii=rng.random() < 0.5, separators=separators, indent=rng.choice((None, 1)))
    return whole.encode('utf-8', 'surrogatepass')


def broken(rng, whole):
    at = rng.randrange(len(whole))
    kind = rng.randrange(4)
    if kind == 0:
        return whole[:at]
    if kind == 1:
        return whole[:at] + whole[at + 1 :]
    if kind == 2:
        return whole[:at] + bytes((rng.choice(b'"\\{}[]:,0123456789.eE+-NIntfu \n\x00\x1f\x80\xc3\xff'),)) + whole[at + 1 :]
    other = rng.randrange(len(whole))
    return whole[:at] + whole[min(at, other) : max(at, other)] + whole[at:]


def main(documents=3000, seed=1):
    rng = random.Random(seed)
    for one in PLAIN:
        for shape in ('%s', ' %s\n', '[%s]', '{"a":%s}', '[0,%s,"x"]', '%s '):
            check((shape % one).encode())
            check(shape % one)
    for raw in RAW:
        check(raw)
    check('"\udc80"')
    natively = 0
    for _ in range(documents):
        whole = written(rng)
        natively += check(whole)
        check(broken(rng, whole))
    # The decoder's own work: it must not leave to json what is ordinary.
    assert natively == documents, natively
    print('%d documents, as many broken ones, %d by hand: no difference' % (documents, len(PLAIN) * 6 + len(RAW)))


if __name__ == '__main__':
    if sys.argv[1:2] == ['--suite']:
        suite(sys.argv[2])
    else:
        main(*map(int, sys.argv[1:]))
