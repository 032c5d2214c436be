# Serves a folder over HTTP as Python does, with ranges (one per request), which Python's own server lacks. Says {"port"} when it listens.
#
#   range_server.py DIR [plain]        plain: as Python does it, without ranges

import functools
import http.server
import json
import os
import re
import sys


class Ranges(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_args):
        pass

    def do_GET(self):
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        path = self.translate_path(self.path)
        if match is None or not os.path.isfile(path):
            return super().do_GET()
        first, last = int(match[1]), int(match[2])
        size = os.path.getsize(path)
        if first >= size:
            return self.send_error(416)
        last = min(last, size - 1)
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        self.send_header("Content-Length", str(last - first + 1))
        self.end_headers()
        with open(path, "rb") as file:
            file.seek(first)
            self.wfile.write(file.read(last - first + 1))


class Plain(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_args):
        pass


kind = Plain if sys.argv[2:] == ["plain"] else Ranges
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(kind, directory=sys.argv[1]))
print(json.dumps({"port": server.server_address[1]}), flush=True)
server.serve_forever()
