"""Our own webhooks, taken by a receiver that verifies them with the library of Standard Webhooks."""

from __future__ import annotations

import http.server
import json
import pathlib
import queue
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from conftest import binary, read_ready
from standardwebhooks import Webhook, WebhookVerificationError

WITHIN_S = 20.0
Came = tuple[bytes, dict[str, str]]


@dataclass
class Told:
    """A server, an owner's key, and what has come to the receiver."""

    url: str
    key: str
    customer: str
    hook: str
    came: queue.Queue[Came]

    def ask(self, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        data = json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, headers=headers, method=method)
        with urllib.request.urlopen(request, timeout=10) as response:
            return dict(json.loads(response.read()))

    def next(self, kind: str) -> Came:
        while True:
            body, headers = self.came.get(timeout=WITHIN_S)
            if json.loads(body)["type"] == kind:
                return body, headers


def receiver(came: queue.Queue[Came]) -> http.server.ThreadingHTTPServer:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            came.put((body, dict(self.headers.items())))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    return http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)


@pytest.fixture
def told(tmp_path: pathlib.Path) -> Iterator[Told]:
    came: queue.Queue[Came] = queue.Queue()
    server = receiver(came)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    place = ["--data-dir", str(tmp_path / "data")]
    made = subprocess.run([binary(), "init", *place], capture_output=True, text=True, check=True)
    words = {line[:9]: line.split()[-1] for line in made.stdout.splitlines() if line.strip()}
    config = tmp_path / "hooks.toml"
    config.write_text("[webhooks]\nallow_loopback = true\n", encoding="utf-8")
    command = [binary(), "serve", *place, "--config", str(config)]
    for listener in ("--issuer-listen", "--listen", "--ops-listen"):
        command += [listener, "127.0.0.1:0"]
    log = tmp_path / "stderr.log"
    with log.open("a", encoding="utf-8") as stderr:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True)
    ready = read_ready(process, log)
    hook = f"http://127.0.0.1:{server.server_address[1]}/hook"
    yield Told(ready["listen"], words["owner key"], words["customer "], hook, came)
    process.terminate()
    process.wait(timeout=10)
    server.shutdown()


def test_the_library_verifies_what_we_sign_through_a_rotation(told: Told) -> None:
    made = told.ask("POST", "/v1/webhooks", {"url": told.hook})
    card = told.ask("POST", "/v1/cards", {"customerId": told.customer})
    body, headers = told.next("card.created")
    event = Webhook(made["secret"]).verify(body, headers)
    assert event["data"]["cardId"] == card["id"]
    assert event["timestamp"].endswith("Z")
    rotated = told.ask("POST", f"/v1/webhooks/{made['id']}/rotate", {})
    told.ask("POST", f"/v1/webhooks/{made['id']}/test", {})
    body, headers = told.next("webhook.test")
    for secret in (made["secret"], rotated["secret"]):
        Webhook(secret).verify(body, headers)


def test_the_library_refuses_what_is_altered(told: Told) -> None:
    made = told.ask("POST", "/v1/webhooks", {"url": told.hook})
    told.ask("POST", f"/v1/webhooks/{made['id']}/test", {})
    body, headers = told.next("webhook.test")
    Webhook(made["secret"]).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(made["secret"]).verify(body + b" ", headers)
