"""Starts the real binary, and speaks to it as issuers do.

Run from the root of the repository:

    python3 -m venv .venv && .venv/bin/pip install --requirement tests/interop/requirements.txt
    COUNTERSIGN_BIN=target/release/countersign .venv/bin/pytest tests/interop
"""

from __future__ import annotations

import http.client
import json
import os
import pathlib
import select
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import urlsplit

import pytest
from standardwebhooks import Webhook

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "fixtures"
CONNECTION = "acme"
CARD_TOKEN = "5a0f2c1e-9d34-4b7e-8f7c-2f6f1c9e4142"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NEXT_SECRET = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBk="
FOREIGN_SECRET = "whsec_dGhpcmQgc2VjcmV0IG9mIHRoZSB0ZXN0cw=="
START_TIMEOUT_S = 20.0
STRIPE = "striped"
STRIPE_CARD = "ic_1QwErTyUiOpAsDfGhJkLzXcV"
STRIPE_SECRET = "whsec_4f1c2d3e4b5a69788796a5b4c3d2e1f0"
STRIPE_OLD_SECRET = "whsec_00112233445566778899aabbccddeeff"
MARQETA = "mq"
MARQETA_CREDENTIALS = "countersign:Correct-Horse-Battery-9"

Header = tuple[str, str]


def request_names(issuer: str = "lithic") -> list[str]:
    """The fixtures that are requests; events are answered without words."""
    names = [path.name for path in sorted((FIXTURES / issuer).glob("*.reply.json"))]
    return [name.removesuffix(".reply.json") for name in names]


def fixture_text(name: str, issuer: str = "lithic") -> str:
    return (FIXTURES / issuer / f"{name}.json").read_text(encoding="utf-8")


def new_authorization(name: str = "purchase") -> str:
    """The fixture under a token of its own, so that no other test has asked it before."""
    body = fixture_text(name)
    token = json.loads(body)["token"]
    assert body.count(token) == 1
    return body.replace(token, str(uuid.uuid4()))


def signed(
    body: str,
    *,
    secret: str = SECRET,
    offset_s: int = 0,
    delivery: str | None = None,
) -> dict[str, str]:
    """The three headers, made by the independent signer."""
    delivery = delivery or str(uuid.uuid4())
    at = datetime.now(tz=timezone.utc) + timedelta(seconds=offset_s)
    return {
        "webhook-id": delivery,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(delivery, at, body),
    }


@dataclass
class Answer:
    status: int
    content_type: str
    body: bytes
    version: str | None = None

    def json(self) -> Any:
        return json.loads(self.body)


class Server:
    """One running engine."""

    def __init__(self, process: subprocess.Popen[str], ready: dict[str, Any]) -> None:
        self.process = process
        self.ready = ready

    def post(
        self,
        body: str | bytes,
        headers: dict[str, str] | list[Header],
        issuer: str = CONNECTION,
    ) -> Answer:
        """One authorization over a connection of its own; a list may repeat a header."""
        payload = body.encode() if isinstance(body, str) else body
        pairs = list(headers.items()) if isinstance(headers, dict) else headers
        address = urlsplit(self.ready["issuer"])
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=10)
        try:
            connection.putrequest("POST", f"/issuers/{issuer}/authorizations")
            connection.putheader("Content-Type", "application/json")
            connection.putheader("Content-Length", str(len(payload)))
            for name, value in pairs:
                connection.putheader(name, value)
            connection.endheaders(payload)
            response = connection.getresponse()
            return Answer(
                response.status,
                response.getheader("Content-Type", ""),
                response.read(),
                response.getheader("Stripe-Version"),
            )
        finally:
            connection.close()

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def card(name: str, connection: str, token: str) -> dict[str, Any]:
    return {
        "id": name,
        "connection": connection,
        "issuerToken": token,
        "customerId": "cus_1",
        "agentId": "agt_1",
        "usage": "multi",
        "status": "active",
        "createdAt": "2026-11-20T16:00:00Z",
        "policy": {},
    }


def snapshot() -> dict[str, Any]:
    """A card per issuer, without limits; cash is not allowed, which is the default."""
    return {
        "schema": 1,
        "customers": [
            {
                "id": "cus_1",
                "status": "active",
                "timezone": "UTC",
                "currency": "USD",
                "policy": {},
            }
        ],
        "agents": [{"id": "agt_1", "customerId": "cus_1", "status": "active", "policy": {}}],
        "cards": [
            card("card_1", CONNECTION, CARD_TOKEN),
            card("card_stripe", STRIPE, STRIPE_CARD),
            card("card_marqeta", MARQETA, CARD_TOKEN),
        ],
    }


def config(n_secrets: int, unsigned: str) -> str:
    secrets = ", ".join(f'"env:INTEROP_SECRET_{index}"' for index in range(n_secrets))
    return f"""\
[ledger]
durability = "relaxed"
[[issuer]]
name = "{CONNECTION}"
kind = "lithic"
secrets = [{secrets}]
tolerance_s = 300
deadline_ms = 300
unsigned = "{unsigned}"
[[issuer]]
name = "{STRIPE}"
kind = "stripe"
secrets = ["env:INTEROP_STRIPE_OLD", "env:INTEROP_STRIPE"]
[[issuer]]
name = "{MARQETA}"
kind = "marqeta"
secrets = ["env:INTEROP_MARQETA"]
"""


def read_ready(process: subprocess.Popen[str], log: pathlib.Path) -> dict[str, Any]:
    """Waits for the line that the engine prints once it answers."""
    assert process.stdout is not None
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        readable, _, _ = select.select([process.stdout], [], [], 0.1)
        if readable:
            line = process.stdout.readline()
            if line.startswith("ready "):
                return dict(json.loads(line.removeprefix("ready ")))
            if not line:
                break
    process.kill()
    last = log.read_text(encoding="utf-8", errors="replace")[-2000:]
    raise RuntimeError(f"no ready line; exit status {process.wait()}\n{last}")


def binary() -> str:
    path = os.environ.get("COUNTERSIGN_BIN")
    if not path:
        pytest.fail("set COUNTERSIGN_BIN: cargo build --release makes target/release/countersign")
    if not os.access(path, os.X_OK):
        pytest.fail(f"{path} is no program: cargo build --release makes target/release/countersign")
    return str(pathlib.Path(path).resolve())


def launch(directory: pathlib.Path, secrets: list[str], unsigned: str) -> Server:
    (directory / "config.toml").write_text(config(len(secrets), unsigned), encoding="utf-8")
    (directory / "snapshot.json").write_text(json.dumps(snapshot()), encoding="utf-8")
    command = [binary(), "serve"]
    command += ["--config", str(directory / "config.toml")]
    command += ["--snapshot", str(directory / "snapshot.json")]
    command += ["--data-dir", str(directory / "data")]
    for listener in ("--issuer-listen", "--listen", "--ops-listen"):
        command += [listener, "127.0.0.1:0"]
    active = {f"INTEROP_SECRET_{index}": secret for index, secret in enumerate(secrets)}
    active["INTEROP_STRIPE"] = STRIPE_SECRET
    active["INTEROP_STRIPE_OLD"] = STRIPE_OLD_SECRET
    active["INTEROP_MARQETA"] = MARQETA_CREDENTIALS
    log = directory / "stderr.log"
    with log.open("a", encoding="utf-8") as stderr:
        process = subprocess.Popen(
            command,
            env={**os.environ, **active},
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    return Server(process, read_ready(process, log))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An engine with one secret that wants signatures."""
    running = launch(tmp_path_factory.mktemp("engine"), [SECRET], "refuse")
    yield running
    running.stop()


@pytest.fixture
def start(tmp_path: pathlib.Path) -> Iterator[Callable[..., Server]]:
    """Starts engines over one data directory, one after the other."""
    running: list[Server] = []

    def starter(secrets: list[str], unsigned: str = "refuse") -> Server:
        for server in running:
            server.stop()
        running.clear()
        running.append(launch(tmp_path, secrets, unsigned))
        return running[0]

    yield starter
    for server in running:
        server.stop()
