# Extension modules with wheels for both flavours, used from several threads at once.
import io
from concurrent.futures import ThreadPoolExecutor

import jinja2
import jsonschema
import markupsafe
import numpy as np
import pandas as pd
import rpds
from interpreter import interpreter
from PIL import Image

schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


def numbers(seed):
    matrix = np.random.default_rng(seed).normal(size=(60, 60))
    return float(np.abs(np.linalg.inv(matrix) @ matrix - np.eye(60)).max())


def frame(seed):
    data = pd.DataFrame({"key": ["a", "b"] * 50, "value": range(100)})
    return {key: int(value) for key, value in data.groupby("key")["value"].sum().items()}


def picture(seed):
    out = io.BytesIO()
    Image.new("RGB", (64, 32), (seed, 20, 30)).resize((32, 16)).save(out, "PNG")
    again = Image.open(io.BytesIO(out.getvalue()))
    return [again.format, *again.size, again.getpixel((3, 3))[0] == seed]


def text(seed):
    template = jinja2.Environment(autoescape=True).from_string("<b>{{ text }}</b>")
    return template.render(text=f"<{seed}>") == f"<b>&lt;{seed}&gt;</b>"


def check(seed):
    try:
        jsonschema.validate({"n": "one"}, schema)
    except jsonschema.ValidationError as error:
        return error.message


def handler(event, context):
    threads = event["threads"]
    with ThreadPoolExecutor(threads) as pool:
        errors = list(pool.map(numbers, range(threads * 4)))
        frames = list(pool.map(frame, range(threads)))
        pictures = list(pool.map(picture, range(threads)))
        texts = list(pool.map(text, range(threads)))
        checks = list(pool.map(check, range(threads)))
    compiled = [hasattr(markupsafe, "_speedups"), rpds.rpds.__file__.endswith(".so")]
    return {
        "close": max(errors) < 1e-8,
        "frames": frames,
        "pictures": pictures,
        "texts": texts,
        "checks": checks,
        "compiled": compiled,
        **interpreter(),
    }
