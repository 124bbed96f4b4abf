"""The two calls of a schema registry that serializers make, for tests: register a schema, and get it by its id."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):  # /subjects/<subject>/versions
        text = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["schema"]
        texts = self.server.texts
        if text not in texts:
            texts.append(text)
        self.answer(200, {"id": 100 + texts.index(text)})

    def do_GET(self):  # /schemas/ids/<id>
        id = int(self.path.split("?")[0].rsplit("/", 1)[1]) - 100
        texts = self.server.texts
        if 0 <= id < len(texts):
            self.answer(200, {"schema": texts[id]})
        else:
            self.answer(404, {"error_code": 40403, "message": "Schema not found"})

    def answer(self, status: int, body: dict):
        self.send_response(status)
        self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_):
        pass


def serve(port: int = 0) -> ThreadingHTTPServer:
    """A registry on a free port: `server.server_port`. End it with `shutdown` and `server_close`."""
    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.texts = []
    Thread(target=server.serve_forever, daemon=True).start()
    return server
