"""moto's server on a free port of this machine, which it prints; ends with its stdin.

Two things are changed. moto gives "s3://" as the Location of a layer version: here it is a URL at which this server gives
the bytes that moto itself took out of the request or the bucket, as Lambda does. And the same bytes in many regions are
kept once, or dozens of regions would need gigabytes.
"""

import os
import sys
import threading

from moto.awslambda import models
from moto.awslambda.models import LayerVersion
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

plain = LayerVersion.get_layer_version
plain_init = LayerVersion.__init__
kept = {}


def init_once(self, *args, **kwargs):
    plain_init(self, *args, **kwargs)
    self.content = {}
    self.code_bytes = kept.setdefault(self.code_sha_256, self.code_bytes)


LayerVersion.__init__ = init_once


def with_location(self):
    answer = plain(self)
    answer["Content"]["Location"] = f"{base}/-/layers/{self.account_id}/{self.region}/{self.name}/{self.version}"
    return answer


LayerVersion.get_layer_version = with_location
moto = DomainDispatcherApplication(create_backend_app)


def application(environ, start_response):
    path = environ.get("PATH_INFO", "")
    if not path.startswith("/-/layers/"):
        return moto(environ, start_response)
    account, region, name, version = path.split("/")[3:]
    layer = models.lambda_backends[account][region].get_layer_version(name, version)
    body = layer.code_bytes
    start_response("200 OK", [("Content-Type", "application/zip"), ("Content-Length", str(len(body)))])
    return [body]


server = make_server("127.0.0.1", 0, application, threaded=True)
base = f"http://127.0.0.1:{server.server_port}"
print(base, flush=True)
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
server.serve_forever()
