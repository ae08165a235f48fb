"""A server whose database rules, the people who sign in to it, and the browser that plays them."""

from __future__ import annotations

import json
import pathlib
import shutil
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from conftest import binary, read_ready

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
ANYWHERE = [part for name in ("issuer-listen", "listen", "ops-listen") for part in (f"--{name}", "127.0.0.1:0")]
EMAIL = "ada@example.com"
PASSWORD = "correct horse battery"


@dataclass
class Plane:
    url: str
    owner: str
    customer: str
    data: str
    ops: str

    def ask(self, method: str, path: str, body: Any = None, key: str | None = None) -> Any:
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {key or self.owner}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.loads(response.read())

    def key_of(self, agent: str) -> str:
        return str(self.ask("POST", "/v1/api-keys", {"scope": "agent", "agentId": agent})["key"])

    def buyer(self, policy: dict[str, Any]) -> str:
        """The key of a new agent."""
        agent = self.ask("POST", "/v1/agents", {"customerId": self.customer, "policy": policy})
        return self.key_of(agent["id"])


@contextmanager
def running(home: pathlib.Path, *flags: str) -> Iterator[Plane]:
    """Initialised in this folder, and running with these flags until the block ends."""
    data = str(home / "data")
    made = subprocess.run([binary(), "init", "--data-dir", data], capture_output=True, text=True, check=True)
    owner, customer = (word_after(made.stdout, label) for label in ("owner key", "customer"))
    with serving(home, *flags) as ready:
        yield Plane(ready["listen"], owner, customer, data, ready["ops"])


@contextmanager
def serving(home: pathlib.Path, *flags: str) -> Iterator[dict[str, Any]]:
    """Running on what this folder has until the block ends; what it said when it was ready."""
    data, log = str(home / "data"), home / "log"
    command = [binary(), "serve", "--data-dir", data, *ANYWHERE, *flags]
    with log.open("w", encoding="utf-8") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
    try:
        yield read_ready(process, log)
    finally:
        process.terminate()
        process.wait(timeout=20)


def person(plane: Plane, scope: str = "owner", email: str = EMAIL) -> str:
    """Somebody who signs in with `PASSWORD`."""
    command = [binary(), "user", "add", "--data-dir", plane.data, "--ops-listen", plane.ops.removeprefix("http://")]
    words = ["--email", email, "--scope", scope]
    subprocess.run(command + words, input=PASSWORD + "\n", text=True, check=True, capture_output=True)
    return email


def word_after(said: str, label: str) -> str:
    """The word that stands behind a label."""
    return said.split(label, 1)[1].split()[0].strip()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
