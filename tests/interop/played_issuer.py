"""An issuer in the shape of Lithic that makes cards, and has a page of its own that shows one.

The page opens to whoever holds what was signed with the key of the issuer's API, until it ends: the issuer's own
Python library signs in the same way (`test_card_apis.py`).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

KEY = "sk_test_played_issuer"
NUMBER = "4111110000001234"
CVV = "987"
# As issuers' pages do, it writes the number by a script of its own.
PAGE = """<!doctype html><html lang="en"><title>Card</title><p id="pan"></p><p id="cvv"></p>
<script>document.getElementById("pan").textContent = "{number}";
document.getElementById("cvv").textContent = "{cvv}";</script></html>"""


@dataclass
class PlayedIssuer:
    url: str
    # Method and path of each request.
    asked: list[tuple[str, str]] = field(default_factory=list)
    cards: dict[str, dict[str, Any]] = field(default_factory=dict)

    def answer(self, method: str, target: str, headers: Any, body: bytes) -> tuple[int, str, str]:
        self.asked.append((method, target))
        at = urlsplit(target)
        if at.path == "/v1/embed/card":
            return self.page({name: values[0] for name, values in parse_qs(at.query).items()})
        if headers.get("authorization") != KEY:
            return 401, "application/json", "{}"
        token = at.path.removeprefix("/v1/cards").removeprefix("/")
        if method == "POST" and not token:
            token = str(uuid.uuid4())
            made = {"token": token, "last_four": NUMBER[-4:], "exp_month": "07", "exp_year": "2031", "state": "OPEN"}
            self.cards[token] = {**json.loads(body), **made}
        elif method == "PATCH" and token in self.cards:
            self.cards[token].update(json.loads(body))
        elif method == "GET" and not token:
            return 200, "application/json", json.dumps({"data": list(self.cards.values()), "has_more": False})
        if token not in self.cards:
            return 404, "application/json", "{}"
        return 200, "application/json", json.dumps(self.cards[token])

    def page(self, query: dict[str, str]) -> tuple[int, str, str]:
        asked = base64.b64decode(query["embed_request"], validate=True)
        signed = hmac.new(KEY.encode(), asked, hashlib.sha256).digest()
        wanted = json.loads(asked)
        left = datetime.fromisoformat(wanted["expiration"]) - datetime.now(tz=timezone.utc)
        is_open = 0 < left.total_seconds() <= 61 and wanted["token"] in self.cards
        if not is_open or not hmac.compare_digest(signed, base64.b64decode(query["hmac"], validate=True)):
            return 401, "text/html", "<p>This page is not for you.</p>"
        return 200, "text/html", PAGE.format(number=NUMBER, cvv=CVV)


@contextmanager
def playing() -> Iterator[PlayedIssuer]:
    """Listening on this machine until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def handle_one(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            status, kind, text = played.answer(self.command, self.path, self.headers, body)
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST = do_PATCH = handle_one

        def log_message(self, *_words: object) -> None:
            """It keeps what it is asked in `asked`."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    played = PlayedIssuer(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield played
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)
