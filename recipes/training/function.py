# What the compiler watches while it learns which paths of the interpreter matter (PGO): the work that functions on
# Lambda do, in the proportions in which they do it. Standard library only, no network, no clock in what it computes,
# nothing printed. Runs on CPython 3.10 to 3.15. Usage: function.py [rounds]
#
# It knows nothing of benchmarks: tuning this file to one would make the figures of docs/profiles.md meaningless.
import asyncio
import base64
import collections
import concurrent.futures
import contextlib
import copy
import csv
import dataclasses
import datetime
import decimal
import email.parser
import email.policy
import enum
import functools
import gzip
import hashlib
import hmac
import http.client
import importlib
import importlib.util
import io
import itertools
import json
import logging
import operator
import pickle
import random
import re
import sqlite3
import string
import struct
import sys
import textwrap
import threading
import typing
import urllib.parse
import uuid
import weakref
import xml.etree.ElementTree as ElementTree
import zlib

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 30
random.seed(20231)


# ---- Events and responses: JSON as API Gateway, SQS, DynamoDB Streams and EventBridge send it -------------------------


def api_event(number):
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": f"/orders/{number}/items",
        "rawQueryString": "page=2&size=50&q=caf%C3%A9",
        "cookies": ["session=abc123", "theme=dark"],
        "headers": {
            "accept": "application/json",
            "content-type": "application/json; charset=utf-8",
            "host": "abcdef1234.execute-api.eu-central-1.amazonaws.com",
            "user-agent": "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/128.0",
            "x-amzn-trace-id": f"Root=1-67891233-{number:024x}",
            "x-forwarded-for": "203.0.113.7",
            "authorization": "Bearer " + "eyJhbGciOiJIUzI1NiJ9." * 8,
        },
        "requestContext": {
            "accountId": "123456789012",
            "http": {"method": "POST", "path": "/orders", "protocol": "HTTP/1.1"},
            "requestId": str(uuid.UUID(int=number)),
            "timeEpoch": 1700000000000 + number,
        },
        "body": json.dumps({"items": [{"sku": f"sku-{n}", "qty": n % 7, "price": n * 1.25} for n in range(40)]}),
        "isBase64Encoded": False,
    }


def sqs_event(number):
    return {
        "Records": [
            {
                "messageId": str(uuid.UUID(int=number * 100 + n)),
                "body": json.dumps({"id": n, "text": "grüße, 世界 \u2028" * 3, "flags": [True, False, None]}),
                "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1545082649183"},
                "md5OfBody": hashlib.md5(str(n).encode()).hexdigest(),
                "eventSource": "aws:sqs",
            }
            for n in range(10)
        ]
    }


def typed(value):
    """DynamoDB's attribute values, as boto3's TypeSerializer makes them."""
    if value is None:
        return {"NULL": True}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, (int, float, decimal.Decimal)):
        return {"N": str(value)}
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, (bytes, bytearray)):
        return {"B": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {"M": {key: typed(item) for key, item in value.items()}}
    if isinstance(value, (list, tuple)):
        return {"L": [typed(item) for item in value]}
    raise TypeError(f"no attribute value for {type(value)}")


def plain(value):
    ((kind, content),) = value.items()
    if kind == "NULL":
        return None
    if kind == "N":
        return decimal.Decimal(content)
    if kind == "B":
        return base64.b64decode(content)
    if kind == "M":
        return {key: plain(item) for key, item in content.items()}
    if kind == "L":
        return [plain(item) for item in content]
    return content


def events(rounds):
    for number in range(rounds * 6):
        event = json.loads(json.dumps(api_event(number)))
        body = json.loads(event["body"])
        total = sum(item["qty"] * item["price"] for item in body["items"])
        ordered = sorted(body["items"], key=lambda item: (-item["qty"], item["sku"]))
        response = {
            "statusCode": 200,
            "headers": {"content-type": "application/json"},
            "body": json.dumps({"total": round(total, 2), "items": ordered}, separators=(",", ":"), sort_keys=True),
        }
        json.dumps(response, ensure_ascii=False)
        for record in json.loads(json.dumps(sqs_event(number)))["Records"]:
            message = json.loads(record["body"])
            message["seen"] = record["messageId"] in {"a", "b"}
        item = {"pk": f"order#{number}", "n": number, "price": decimal.Decimal("12.50"), "tags": ["a", "b", None, True]}
        item["nested"] = {"blob": b"\x00\x01" * 20, "list": list(range(10))}
        plain({"M": typed(item)["M"]})
        json.loads(json.dumps(item, default=str), parse_float=decimal.Decimal)
    with contextlib.suppress(json.JSONDecodeError):
        json.loads('{"a": [1, 2,, 3]}')


# ---- What SDKs do for one call: endpoint rules, serialising, signing, HTTP, parsing the answer -----------------------


class Shape:
    """A node of a service model; SDKs walk thousands of them."""

    __slots__ = ("name", "kind", "members", "required")

    def __init__(self, name, kind, members=(), required=()):
        self.name = name
        self.kind = kind
        self.members = dict(members)
        self.required = frozenset(required)

    def __repr__(self):
        return f"<Shape({self.name})>"


class Serializer:
    def serialize(self, parameters, shape):
        method = getattr(self, "_serialize_" + shape.kind, self._default)
        return method(parameters, shape)

    def _serialize_structure(self, value, shape):
        missing = shape.required - value.keys()
        if missing:
            raise ValueError("Missing required parameter: %s" % ", ".join(sorted(missing)))
        return {name: self.serialize(item, shape.members[name]) for name, item in value.items() if item is not None}

    def _serialize_list(self, value, shape):
        return [self.serialize(item, shape.members["member"]) for item in value]

    def _serialize_timestamp(self, value, shape):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")

    def _default(self, value, shape):
        return value


class Hooks:
    """Event hooks with prefixes, as botocore has them."""

    def __init__(self):
        self._handlers = collections.defaultdict(list)

    def on(self, name, handler, **kwargs):
        self._handlers[name].append((handler, kwargs))

    @functools.lru_cache(maxsize=512)
    def _matching(self, name):
        parts = name.split(".")
        return tuple(
            found for end in range(len(parts), 0, -1) for found in self._handlers.get(".".join(parts[:end]), ())
        )

    def emit(self, name, **kwargs):
        results = []
        for handler, extra in self._matching(name):
            results.append((handler, handler(event_name=name, **{**extra, **kwargs})))
        return results


STRING = Shape("String", "string")
MODEL = Shape(
    "PutItem",
    "structure",
    {
        "TableName": STRING,
        "When": Shape("When", "timestamp"),
        "Tags": Shape("Tags", "list", {"member": Shape("Tag", "structure", {"Key": STRING, "Value": STRING})}),
    },
    ["TableName"],
)
MOMENT = datetime.datetime(2024, 5, 17, 12, 30, 45, tzinfo=datetime.timezone.utc)


def sign(method, host, path, query, headers, body):
    """Signature Version 4."""
    date = MOMENT.strftime("%Y%m%dT%H%M%SZ")
    scope = f"{date[:8]}/eu-central-1/dynamodb/aws4_request"
    signed = {name.lower(): " ".join(value.split()) for name, value in {**headers, "host": host, "x-amz-date": date}.items()}
    names = ";".join(sorted(signed))
    canonical = "\n".join(
        [
            method,
            urllib.parse.quote(path, safe="/~"),
            "&".join(f"{urllib.parse.quote(k, safe='-_.~')}={urllib.parse.quote(v, safe='-_.~')}" for k, v in sorted(query.items())),
            *(f"{name}:{signed[name]}" for name in sorted(signed)),
            "",
            names,
            hashlib.sha256(body).hexdigest(),
        ]
    )
    key = b"AWS4secret"
    for part in (date[:8], "eu-central-1", "dynamodb", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    text = f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    return f"AWS4-HMAC-SHA256 Credential=AKID/{scope}, SignedHeaders={names}, Signature={signature}"


class Connection:
    """A socket that has its answer already: http.client reads it as it would from the network."""

    def __init__(self, answer):
        self.answer = answer

    def makefile(self, *args, **kwargs):
        return io.BytesIO(self.answer)


LISTING = (
    '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    "<Name>bucket</Name><IsTruncated>false</IsTruncated>"
    + "".join(
        f"<Contents><Key>photos/2024/{n:05}.jpg</Key><LastModified>2024-05-17T12:30:45.000Z</LastModified>"
        f"<ETag>&quot;{n:032x}&quot;</ETag><Size>{n * 1000}</Size><StorageClass>STANDARD</StorageClass></Contents>"
        for n in range(60)
    )
    + "</ListBucketResult>"
).encode()


def answer(body, kind):
    chunked = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:700], body[700:]) if part) + b"0\r\n\r\n"
    head = (
        "HTTP/1.1 200 OK\r\nServer: Server\r\nDate: Fri, 17 May 2024 12:30:45 GMT\r\n"
        f"Content-Type: {kind}\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n"
        "x-amzn-RequestId: ABCDEFGHIJKLMNOPQRSTUVWXYZ\r\nx-amz-crc32: 2745614147\r\n\r\n"
    )
    return head.encode() + chunked


def sdk_calls(rounds):
    hooks = Hooks()
    seen = []
    hooks.on("before-call.dynamodb", lambda event_name, **kwargs: seen.append(event_name))
    hooks.on("before-call.dynamodb.PutItem", lambda event_name, params, **kwargs: params.setdefault("retries", 0))
    namespace = "{http://s3.amazonaws.com/doc/2006-03-01/}"
    serializer = Serializer()
    for number in range(rounds * 8):
        parameters = {
            "TableName": f"orders-{number % 5}",
            "When": MOMENT + datetime.timedelta(minutes=number),
            "Tags": [{"Key": f"k{n}", "Value": str(n)} for n in range(8)],
        }
        hooks.emit("before-call.dynamodb.PutItem", params=dict(parameters))
        body = json.dumps(serializer.serialize(parameters, MODEL)).encode()
        try:
            serializer.serialize({"Tags": []}, MODEL)
        except ValueError as error:
            str(error)
        sign("POST", "dynamodb.eu-central-1.amazonaws.com", "/", {"x": "ä b", "y": "1"}, {"X-Amz-Target": "PutItem"}, body)
        url = urllib.parse.urlsplit("https://dynamodb.eu-central-1.amazonaws.com:443/path/to%20x?a=1&b=2#f")
        urllib.parse.parse_qs(url.query)
        urllib.parse.urlencode({"a": "b c", "d": ["e", "f"]}, doseq=True)
        payload, kind = (LISTING, "application/xml") if number % 4 == 0 else (body, "application/x-amz-json-1.0")
        response = http.client.HTTPResponse(Connection(answer(payload, kind)))
        response.begin()
        data = response.read()
        zlib.crc32(data)
        if response.getheader("content-type") == "application/xml":
            root = ElementTree.fromstring(data)
            [
                {child.tag.removeprefix(namespace): child.text for child in entry}
                for entry in root.iter(namespace + "Contents")
            ]
        else:
            json.loads(data)
        email.parser.Parser(policy=email.policy.HTTP).parsestr("A: b\r\nC: =?utf-8?q?d?=\r\n\r\n", headersonly=True)
        copy.deepcopy(parameters)


# ---- Web frameworks, validation, templates ---------------------------------------------------------------------------


class Status(enum.Enum):
    OPEN = "open"
    PAID = "paid"
    SHIPPED = "shipped"


class Access(enum.IntFlag):
    READ = 1
    WRITE = 2


@dataclasses.dataclass
class Item:
    sku: str
    quantity: int = 1
    price: decimal.Decimal = decimal.Decimal("0")
    tags: typing.List[str] = dataclasses.field(default_factory=list)

    def __post_init__(self):
        if self.quantity < 0:
            raise ValueError("quantity must not be negative")

    @property
    def total(self):
        return self.price * self.quantity


@dataclasses.dataclass(frozen=True, order=True)
class Point:
    x: float
    y: float


class Field:
    """A descriptor, as ORMs and validators use them."""

    def __init__(self, kind, default=None):
        self.kind = kind
        self.default = default

    def __set_name__(self, owner, name):
        self.name = name

    def __get__(self, instance, owner=None):
        if instance is None:
            return self
        return instance.__dict__.get(self.name, self.default)

    def __set__(self, instance, value):
        if not isinstance(value, self.kind):
            raise TypeError(f"{self.name} must be {self.kind.__name__}")
        instance.__dict__[self.name] = value


class Record:
    id = Field(int)
    name = Field(str, "")
    ratio = Field(float, 0.5)

    def __init__(self, **values):
        for name, value in values.items():
            setattr(self, name, value)


ROUTES = [
    (re.compile(r"^/orders/(?P<order>\d+)/items(?:/(?P<item>[\w-]+))?$"), "items"),
    (re.compile(r"^/users/(?P<user>[0-9a-f-]{36})$", re.I), "user"),
    (re.compile(r"^/static/(?P<path>.+\.(?:css|js|png))$"), "static"),
]


def route(path):
    for pattern, name in ROUTES:
        match = pattern.match(path)
        if match:
            return name, match.groupdict()
    return None, {}


def middleware(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        try:
            return function(*args, **kwargs)
        except KeyError as error:
            return {"error": error.args[0]}

    return wrapper


@middleware
@functools.lru_cache(maxsize=64)
def lookup(key):
    if key % 5 == 0:
        raise KeyError(key)
    return {"key": key}


PAGE = string.Template("<li class='$kind'>$name: ${price}</li>")


def web(rounds):
    for number in range(rounds * 12):
        for path in (f"/orders/{number}/items/abc-1", "/users/6ba7b810-9dad-11d1-80b4-00c04fd430c8", "/static/a/b.css", "/no"):
            route(path)
        items = [Item(f"sku-{n}", n, decimal.Decimal(n) / 3, ["x"] * (n % 3)) for n in range(12)]
        sum((item.total for item in items), decimal.Decimal(0)).quantize(decimal.Decimal("0.01"))
        [dataclasses.asdict(item) for item in items[:4]]
        with contextlib.suppress(ValueError):
            Item("bad", -1)
        sorted(Point(float(n % 5), n / 2) for n in range(20))
        records = [Record(id=n, name=f"n{n}", ratio=n / 7) for n in range(20)]
        with contextlib.suppress(TypeError):
            Record(id="x")
        {record.name: (record.id, record.ratio) for record in records if record.id % 2}
        Status("paid") is Status.PAID and Access.READ | Access.WRITE
        "".join(PAGE.substitute(kind="item", name=f"<{n}>", price=f"{n:>8.2f}") for n in range(10))
        html = "\n".join("<p>{}</p>".format(word.title()) for word in "the quick brown fox jumps".split())
        html.replace("&", "&amp;").upper().lower().strip().startswith("<p>")
        re.sub(r"\b(\w)(\w*)\b", lambda match: match[1].upper() + match[2], html)
        re.findall(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[a-z]{2,}", "a@example.com, b.c@example.org; nobody" * 3)
        for key in range(12):
            lookup(key)
        textwrap.shorten("some words that are too long for one line of a log", 30)
        token = base64.urlsafe_b64encode(json.dumps({"sub": number}).encode()).rstrip(b"=")
        hmac.compare_digest(hmac.digest(b"key", token, "sha256"), hmac.digest(b"key", token, "sha256"))
        "%s %d %5.2f %r %x" % ("text", number, number / 3, {"a": 1}, number)


# ---- Logging ---------------------------------------------------------------------------------------------------------


class JsonFormatter(logging.Formatter):
    def format(self, record):
        entry = {
            "timestamp": self.formatTime(record, "%Y-%m-%dT%H:%M:%S"),
            "level": record.levelname,
            "message": record.getMessage(),
            "logger": record.name,
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry)


def logs(rounds):
    stream = io.StringIO()
    logger = logging.getLogger("function.orders")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    for formatter in (JsonFormatter(), logging.Formatter("[%(levelname)s]\t%(asctime)s\t%(name)s\t%(message)s")):
        handler = logging.StreamHandler(stream)
        handler.setFormatter(formatter)
        logger.addHandler(handler)
    for number in range(rounds * 25):
        logger.info("order %s has %d items", number, number % 9)
        logger.debug("not written: %s", number)
        if number % 20 == 0:
            try:
                {}[number]
            except KeyError:
                logger.exception("lookup of %s failed", number)
    for handler in logger.handlers[:]:
        logger.removeHandler(handler)
    stream.getvalue().splitlines()


# ---- Data work: files, compression, numbers, SQL ---------------------------------------------------------------------


def data(rounds):
    rows = [{"id": n, "name": f"name {n}", "value": n * 0.5, "when": f"2024-05-{n % 28 + 1:02}"} for n in range(200)]
    for number in range(rounds):
        sheet = io.StringIO()
        writer = csv.DictWriter(sheet, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
        parsed = [{**row, "value": float(row["value"]), "id": int(row["id"])} for row in csv.DictReader(io.StringIO(sheet.getvalue()))]
        groups = collections.defaultdict(list)
        for row in parsed:
            groups[row["when"]].append(row["value"])
        {day: (sum(values) / len(values), min(values), max(values)) for day, values in groups.items()}
        collections.Counter(row["when"] for row in parsed).most_common(3)
        [list(group) for _, group in itertools.groupby(sorted(parsed, key=operator.itemgetter("when")), operator.itemgetter("when"))]
        packed = gzip.compress(sheet.getvalue().encode(), compresslevel=6)
        gzip.decompress(packed).decode().count("\n")
        pickle.loads(pickle.dumps(parsed, protocol=5))
        for n in range(100):
            struct.unpack(">IHb", struct.pack(">IHb", n, n, -1))
        database = sqlite3.connect(":memory:")
        with database:
            database.execute("create table item (id integer primary key, name text, value real)")
            database.executemany("insert into item values (:id, :name, :value)", rows)
        database.execute("select name, sum(value) from item where id % 3 = ? group by name order by 2 desc", (1,)).fetchall()
        database.close()
        [datetime.datetime.fromisoformat(f"2024-05-{n % 28 + 1:02}T10:00:00+00:00").isoformat() for n in range(60)]
        primes = [n for n in range(2, 300) if all(n % divisor for divisor in range(2, int(n**0.5) + 1))]
        matrix = [[(x * y + number) % 17 for x in range(14)] for y in range(14)]
        [[sum(a * b for a, b in zip(row, column)) for column in zip(*matrix)] for row in matrix]
        pow(3, 65537, 2**521 - 1)
        position, speed = [0.0, 1.0, 2.0], [0.1, 0.2, 0.3]
        for _ in range(200):
            for axis in range(3):
                speed[axis] -= position[axis] * 0.01
                position[axis] += speed[axis] * 0.01
        queue = collections.deque(primes, maxlen=50)
        while queue:
            queue.popleft() if len(queue) % 2 else queue.pop()


# ---- Concurrency: async clients, pools, locks ------------------------------------------------------------------------


async def fetch(number, limit):
    async with limit:
        await asyncio.sleep(0)
        return {"number": number}


async def stream(count):
    for number in range(count):
        yield number
        await asyncio.sleep(0)


async def gather(rounds):
    limit = asyncio.Semaphore(10)
    for _ in range(rounds):
        await asyncio.gather(*(fetch(number, limit) for number in range(40)))
        queue = asyncio.Queue(5)

        async def produce():
            async for number in stream(20):
                await queue.put(number)
            await queue.put(None)

        producer = asyncio.ensure_future(produce())
        while await queue.get() is not None:
            pass
        await producer
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 0.0001)


class Cache:
    def __init__(self):
        self.lock = threading.Lock()
        self.values = {}

    def get(self, key):
        with self.lock:
            return self.values.setdefault(key, str(key))


def concurrency(rounds):
    asyncio.run(gather(rounds))
    cache = Cache()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(cache.get, (number % 50 for number in range(rounds * 20))))
    references = [weakref.ref(cache) for _ in range(rounds)]
    sum(reference() is cache for reference in references)


# ---- Start: imports, the largest part of a cold start ----------------------------------------------------------------

# Without modules that change what they find in sys.modules (enum's _convert_ in socket, ssl and signal) or that want
# to be imported under their own name: as copies they fail, or take longer every time.
COLD = [
    *("argparse", "ast", "asyncio.base_events", "asyncio.tasks", "calendar", "codecs", "collections", "configparser"),
    *("contextlib", "copy", "csv", "dataclasses", "datetime", "decimal", "difflib", "dis", "email.message", "enum"),
    *("email._header_value_parser", "fractions", "functools", "getpass", "glob", "gzip", "hashlib", "heapq", "hmac"),
    *("html", "html.entities", "http.client", "http.cookiejar", "http.cookies", "http.server", "inspect", "ipaddress"),
    *("json.decoder", "json.encoder", "logging.config", "logging.handlers", "mimetypes", "numbers", "optparse"),
    *("pickle", "platform", "pprint", "queue", "random", "secrets", "selectors", "shlex", "shutil"),
    *("smtplib", "statistics", "string", "subprocess", "tarfile", "tempfile", "textwrap", "threading"),
    *("token", "tokenize", "traceback", "typing", "unittest", "unittest.mock", "urllib.parse", "urllib.request"),
    *("uuid", "warnings", "xml.dom.minidom", "xml.etree.ElementTree", "xmlrpc.client", "zipfile", "zoneinfo"),
]


def imports(rounds):
    """Finds, unmarshals and runs modules again and again, as copies that nobody else uses."""
    for number in range(max(1, rounds // 10)):
        for name in COLD:
            spec = importlib.util.find_spec(name)
            if spec is None or spec.loader is None or not spec.cached:
                continue
            module = importlib.util.module_from_spec(spec)
            with contextlib.suppress(Exception):
                spec.loader.exec_module(module)
        if number % 3 == 0:
            for name in ("dataclasses", "json.decoder", "textwrap"):
                source = importlib.util.find_spec(name).loader.get_source(name)
                compile(source, name, "exec")
        importlib.invalidate_caches()


def main():
    for part in (imports, events, sdk_calls, web, logs, data, concurrency, imports):
        part(ROUNDS)


if __name__ == "__main__":
    main()
