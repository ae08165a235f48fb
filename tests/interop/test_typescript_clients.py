"""The agents' door, asked by the official TypeScript clients and by the Inspector's command line, with a key and
let in by their own OAuth.

`sdk` is the package that mcp-remote has inside, `client` its successor, which speaks both revisions. Both check
each answer against the tool's output schema.
"""

from __future__ import annotations

import asyncio
import json
import os
import pathlib
import re
import select
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import jsonschema
import pytest
from conftest import binary
from planes import free_port, person, running
from test_agents_door import TOOLS, WISH
from test_node_clients import HERE, MODULES, NODE
from test_oauth import House, by_forms

INSPECTOR = MODULES / "@modelcontextprotocol" / "inspector" / "clients" / "launcher" / "build" / "index.js"
PATIENCE_S = 30.0
UNKNOWN = "preq_1"
CLIENTS = [("sdk", "2025-11-25"), ("client", "2025-11-25"), ("client", "2026-07-28")]
POLICY = {"autoApproveBelow": 1000, "allowedDomains": ["example.com"], "limits": {"perDay": 30000}}

Call = Callable[[str, dict[str, Any]], dict[str, Any]]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with running(tmp_path_factory.mktemp("typescript")) as plane:
        person(plane)
        agent = plane.ask("POST", "/v1/agents", {"customerId": plane.customer, "name": "shopper", "policy": POLICY})
        yield House(plane, str(agent["id"]))


def charged(house: House, card: str) -> str:
    """A merchant asks for 4.00; what the issuer hears."""
    purchase = ["--card", card, "--amount", "4.00", "--mcc", "5734", "--merchant", "EXAMPLE SHOP"]
    command = [binary(), "sandbox", "authorize", "--data-dir", house.plane.data, *purchase, "--json"]
    return str(json.loads(subprocess.run(command, capture_output=True, text=True, check=False).stdout)["result"])


def story(house: House, call: Call) -> None:
    """Buys, is charged twice, and looks at everything."""
    before = house.plane.ask("GET", "/v1/agents/me/spending", key=house.plane.key_of(house.agent))
    wish = {**WISH, "amount": "4.00", "idempotency_key": str(uuid.uuid4())}
    bought = told(call("request_purchase", wish))
    assert bought["status"] == "approved", bought
    card = bought["virtual_card"]["card_id"]
    assert told(call("check_status", {"request_id": bought["request_id"]}))["virtual_card"]["card_id"] == card
    assert [charged(house, card), charged(house, card)] == ["APPROVED", "VELOCITY_EXCEEDED"]
    declined = told(call("explain_decline", {"card_id": card}))
    assert (declined["found"], bool(declined["message"])) == (True, True), declined
    assert told(call("list_my_cards", {}))["cards"][0]["card_id"] == card
    after = told(call("get_spending_summary", {}))
    assert cents(after["daily_spent"]) == cents(before["daily_spent"]) + 400
    assert (after["daily_limit"], cents(after["daily_remaining"])) == ("300.00", 30000 - cents(after["daily_spent"]))
    refused = call("check_status", {"request_id": UNKNOWN})
    assert refused["isError"] is True and "not_found" in refused["content"][0]["text"], refused


def told(result: dict[str, Any]) -> dict[str, Any]:
    """What a tool answered; a client that misses the promised form has thrown."""
    assert "thrown" not in result and not result.get("isError"), result
    return dict(result["structuredContent"])


def cents(amount: str) -> int:
    whole, part = amount.split(".")
    return int(whole) * 100 + int(part)


class Talk:
    """A program of Node.js that says lines of JSON."""

    def __init__(self, home: pathlib.Path, *command: str) -> None:
        self.errors = home / f"said-{uuid.uuid4()}"
        self.process = subprocess.Popen(
            [str(NODE), *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors.open("w", encoding="utf-8"),
            text=True,
            cwd=home,
        )

    def hear(self) -> dict[str, Any]:
        assert self.process.stdout
        if select.select([self.process.stdout], [], [], PATIENCE_S)[0] and (line := self.process.stdout.readline()):
            return dict(json.loads(line))
        raise AssertionError(self.errors.read_text(encoding="utf-8"))

    def say(self, what: dict[str, Any]) -> dict[str, Any]:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()
        return self.hear()

    def call(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        return self.say({"name": name, "arguments": arguments})

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=20)


@pytest.mark.parametrize("oauth", [False, True], ids=["key", "oauth"])
@pytest.mark.parametrize(("package", "revision"), CLIENTS)
def test_the_official_typescript_clients_buy_and_look(
    house: House, tmp_path: pathlib.Path, package: str, revision: str, oauth: bool
) -> None:
    """Behaviour 7.1."""
    key = [] if oauth else [house.plane.key_of(house.agent)]
    talk = Talk(tmp_path, str(HERE / "typescript.mjs"), package, revision, house.plane.url + "/api/mcp", *key)
    try:
        if oauth:
            asyncio.run(by_forms(house, limit="300.00")(str(talk.hear()["open"])))
        assert talk.hear() == {"revision": revision, "server": "countersign", "tools": TOOLS}
        story(house, talk.call)
        if oauth:
            # Nobody is asked again: a line with `open` would be no result.
            talk.say({"expire": True})
            assert told(talk.call("get_spending_summary", {}))["daily_limit"] == "300.00"
    finally:
        talk.end()


class Inspector:
    """Its command line: each call is a run, and what it keeps is in a directory of ours."""

    def __init__(self, house: House, home: pathlib.Path, revision: str) -> None:
        era = "modern" if revision == "2026-07-28" else "legacy"
        url = house.plane.url + "/api/mcp"
        flags = ["--server-url", url, "--transport", "http", "--protocol-era", era, "--format", "json"]
        self.command = [str(NODE), str(INSPECTOR), "--cli", *flags]
        kept = {"HOME": str(home), "MCP_STORAGE_DIR": str(home / "kept"), "MCP_INSPECTOR_SECRET_STORE": "file"}
        # It signs in without a terminal where it may open a browser; `true` is one that shows nothing.
        self.environment = {**os.environ, **kept, "MCP_AUTO_OPEN_ENABLED": "true", "BROWSER": "true"}
        self.said = home / "said"

    def start(self, *words: str) -> subprocess.Popen[str]:
        errors = self.said.open("w", encoding="utf-8")
        command = [*self.command, "--method", *words]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=self.environment)

    def run(self, *words: str, status: int = 0) -> dict[str, Any]:
        return self.heard(self.start(*words), status)

    def heard(self, process: subprocess.Popen[str], status: int = 0) -> dict[str, Any]:
        told, _ = process.communicate(timeout=60)
        assert process.returncode == status, (process.returncode, self.said.read_text(encoding="utf-8"))
        return dict(json.loads(told)["result"])

    def sends_its_user_to(self) -> str:
        since = time.monotonic()
        while time.monotonic() - since < PATIENCE_S:
            if found := re.search(r"http://\S+/oauth/authorize\?\S+", self.said.read_text(encoding="utf-8")):
                return found.group(0)
            time.sleep(0.05)
        raise AssertionError(self.said.read_text(encoding="utf-8"))

    def calls(self, tools: dict[str, Any], *more: str) -> Call:
        """How it calls these tools; it tells an error of the tool by its exit status, too."""

        def call(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
            words = ["--tool-name", name, "--tool-args-json", json.dumps(arguments), *more]
            is_wrong = arguments.get("request_id") == UNKNOWN
            result = self.run("tools/call", *words, status=5 if is_wrong else 0)
            if not is_wrong:
                jsonschema.validate(result["structuredContent"], tools[name])
            return result

        return call


def schemas(listed: dict[str, Any]) -> dict[str, Any]:
    tools = {tool["name"]: tool["outputSchema"] for tool in listed["tools"]}
    assert sorted(tools) == TOOLS
    return tools


def test_the_inspector_buys_and_looks_with_a_key(house: House, tmp_path: pathlib.Path) -> None:
    """It finds no tool's schema that would be an error elsewhere (`--strict`)."""
    inspector = Inspector(house, tmp_path, "2026-07-28")
    header = ["--header", f"Authorization: Bearer {house.plane.key_of(house.agent)}"]
    tools = schemas(inspector.run("tools/list", "--strict", *header))
    story(house, inspector.calls(tools, *header))


def test_the_inspector_is_let_in_by_oauth_and_asks_nobody_twice(house: House, tmp_path: pathlib.Path) -> None:
    inspector = Inspector(house, tmp_path, "2025-11-25")
    back = f"http://127.0.0.1:{free_port()}/oauth/callback"
    first = inspector.start("tools/list", "--callback-url", back)
    asyncio.run(by_forms(house, limit="300.00")(inspector.sends_its_user_to()))
    call = inspector.calls(schemas(inspector.heard(first)), "--stored-auth-only")
    assert told(call("get_spending_summary", {}))["daily_limit"] == "300.00"
