"""The agents' door, asked by programs of Node.js: mcp-remote, which is let in by OAuth with the official
TypeScript SDK, and the official conformance suite.

`conformance.yaml` lists what the suite asks of its own example server and not of this one, with reasons.
"""

from __future__ import annotations

import asyncio
import http.server
import json
import os
import pathlib
import platform
import re
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from planes import running
from test_agents_door import TOOLS
from test_oauth import House, by_forms, house

__all__ = ["house"]

HERE = pathlib.Path(__file__).parent
MODULES = HERE / "node_modules"
NODE = MODULES / f"node-linux-{'arm64' if platform.machine() == 'aarch64' else 'x64'}" / "bin" / "node"
REMOTE = MODULES / "mcp-remote" / "dist" / "proxy.js"
SUITE = MODULES / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"


class Remote:
    """mcp-remote as a local program starts it: messages by lines."""

    def __init__(self, url: str, home: pathlib.Path) -> None:
        environment = {**os.environ, "MCP_REMOTE_CONFIG_DIR": str(home), "BROWSER": "true"}
        self.said = home / "said"
        self.process = subprocess.Popen(
            [str(NODE), str(REMOTE), url, "--transport", "http-only"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.said.open("w", encoding="utf-8"),
            text=True,
            env=environment,
        )

    def send(self, message: dict[str, Any]) -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        self.process.stdin.flush()

    def ask(self, number: int, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self.send({"id": number, "method": method, "params": params})
        assert self.process.stdout
        for line in self.process.stdout:
            answer = json.loads(line)
            if answer.get("id") == number:
                assert "result" in answer, answer
                return dict(answer["result"])
        raise AssertionError(self.said.read_text(encoding="utf-8"))

    def sends_its_user_to(self) -> str:
        for _ in range(600):
            found = re.search(r"http://\S+/oauth/authorize\?\S+", self.said.read_text(encoding="utf-8"))
            if found:
                return found.group(0)
            if self.process.poll() is not None:
                break
            threading.Event().wait(0.05)
        raise AssertionError(self.said.read_text(encoding="utf-8"))

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=20)


def talks(remote: Remote) -> None:
    about = {"name": "an assistant", "version": "1"}
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": about}
    assert remote.ask(1, "initialize", hello)["serverInfo"]["name"] == "countersign"
    remote.send({"method": "notifications/initialized"})
    tools = remote.ask(2, "tools/list", {})["tools"]
    assert sorted(tool["name"] for tool in tools) == TOOLS
    told = remote.ask(3, "tools/call", {"name": "get_spending_summary", "arguments": {}})
    assert told["structuredContent"]["daily_limit"] == "30.00", told


def test_mcp_remote_is_let_in_and_refreshes_nothing_that_is_good(house: House, tmp_path: pathlib.Path) -> None:
    door = house.plane.url + "/api/mcp"
    remote = Remote(door, tmp_path)
    try:
        asyncio.run(by_forms(house)(remote.sends_its_user_to()))
        talks(remote)
    finally:
        remote.end()
    # A later run has what it needs.
    later = Remote(door, tmp_path)
    try:
        talks(later)
        assert "/oauth/authorize?" not in later.said.read_text(encoding="utf-8")
    finally:
        later.end()


class WithKey(http.server.BaseHTTPRequestHandler):
    """Adds a key: the suite brings none."""

    protocol_version = "HTTP/1.1"
    door = ""
    key = ""

    def pass_on(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length) if length else None
        headers = {
            name: value
            for name, value in self.headers.items()
            if name.lower() not in ("connection", "content-length")
        }
        headers["Authorization"] = f"Bearer {self.key}"
        request = urllib.request.Request(self.door + self.path, method=self.command, data=body, headers=headers)
        try:
            answer: Any = urllib.request.urlopen(request, timeout=20)
        except urllib.error.HTTPError as error:
            answer = error
        text = answer.read()
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in ("connection", "content-length", "transfer-encoding"):
                self.send_header(name, value)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_DELETE = do_OPTIONS = pass_on

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def suites_door(tmp_path: pathlib.Path) -> Iterator[str]:
    proxy = http.server.ThreadingHTTPServer(("127.0.0.1", 0), WithKey)
    url = f"http://127.0.0.1:{proxy.server_address[1]}"
    config = tmp_path / "config.toml"
    config.write_text(f'[mcp]\norigins = ["{url}"]\n', encoding="utf-8")
    with running(tmp_path, "--config", str(config)) as plane:
        WithKey.door, WithKey.key = plane.url, plane.buyer({})
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        try:
            yield url + "/api/mcp"
        finally:
            proxy.shutdown()


def test_the_official_conformance_suite_fails_where_it_is_expected_to_and_nowhere_else(
    suites_door: str, tmp_path: pathlib.Path
) -> None:
    expected = ["--expected-failures", str(HERE / "conformance.yaml")]
    command = [str(NODE), str(SUITE), "server", "--url", suites_door, *expected]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-4_000:]
    for passed in ("server-initialize", "ping", "tools-list", "dns-rebinding-protection"):
        assert re.search(rf"✓ {passed}: [1-9]\d* passed, 0 failed", done.stdout), done.stdout[-4_000:]
