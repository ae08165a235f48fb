"""The agents' door, asked by the official client of the Model Context Protocol, in both of its revisions.

An agent asks for a purchase; policy approves, denies or sends it to review; a person approves over REST;
the card exists at the sandbox; check_status tells it. No answer holds a card's number.
"""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from planes import Plane, running

REVISIONS = ["2026-07-28", "2025-11-25"]
TOOLS = ["check_status", "explain_decline", "get_spending_summary", "list_my_cards", "request_purchase"]
WISH = {
    "merchant_url": "https://shop.example.com/thing",
    "amount": "12.00",
    "description": "A thing",
    "justification": "It is needed",
    "category_hint": "software",
}


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with running(tmp_path_factory.mktemp("door")) as plane:
        yield plane


@asynccontextmanager
async def door(plane: Plane, key: str, revision: str) -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {key}"}
    mode = "legacy" if revision == "2025-11-25" else "auto"
    async with httpx2.AsyncClient(headers=headers, timeout=20) as http:
        transport = streamable_http_client(plane.url + "/api/mcp", http_client=http)
        async with Client(transport, mode=mode) as client:
            assert client.protocol_version == revision
            yield client


async def call(client: Client, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    result = await client.call_tool(name, arguments)
    assert not result.is_error, result
    assert isinstance(result.structured_content, dict)
    return result.structured_content


def shown(link: str) -> str:
    """The page behind a link."""
    with urllib.request.urlopen(link, timeout=10) as response:
        return str(response.read().decode())


@pytest.mark.parametrize("revision", REVISIONS)
def test_the_tools_say_what_they_do(plane: Plane, revision: str) -> None:
    async def look() -> None:
        async with door(plane, plane.buyer({}), revision) as client:
            tools = (await client.list_tools()).tools
            assert sorted(tool.name for tool in tools) == TOOLS
            for tool in tools:
                assert tool.output_schema and tool.annotations and tool.description
                assert tool.annotations.read_only_hint is (tool.name != "request_purchase")
            asks = next(tool for tool in tools if tool.name == "request_purchase")
            assert asks.annotations.destructive_hint and asks.annotations.open_world_hint
            about = asks.input_schema["properties"]["idempotency_key"]["description"]
            assert "REUSE the same key" in about

    asyncio.run(look())


@pytest.mark.parametrize("revision", REVISIONS)
def test_an_agent_asks_a_person_approves_and_the_card_is_there(plane: Plane, revision: str) -> None:
    """Behaviour 5.3, 5.7, 5.10, 5.11."""
    rules = {"autoApproveBelow": 2000, "allowedDomains": ["example.com"], "limits": {"perDay": 10000}}

    async def buy() -> None:
        async with door(plane, plane.buyer(rules), revision) as client:
            small = await call(client, "request_purchase", WISH)
            assert small["status"] == "approved"
            assert len(small["virtual_card"]["last4"]) == 4
            link = small["virtual_card"]["view_url"]
            assert link.startswith(f"{plane.url}/view/{small['virtual_card']['card_id']}."), link
            assert small["virtual_card"]["last4"] in await asyncio.to_thread(shown, link)
            again = await call(client, "request_purchase", WISH)
            assert again["request_id"] == small["request_id"]
            denied = await call(client, "request_purchase", {**WISH, "merchant_url": "example.com.evil.net"})
            assert (denied["status"], denied["reason"]) == ("denied", "domain_not_allowed")
            waits = await call(client, "request_purchase", {**WISH, "amount": 50, "idempotency_key": "big"})
            assert (waits["status"], "virtual_card" in waits) == ("pending_review", False)
            assert "estimated_wait" in waits
            which = {"request_id": waits["request_id"]}
            assert (await call(client, "check_status", which))["status"] == "pending_review"
            path = f"/v1/purchase-requests/{waits['request_id']}/approve"
            approved = await asyncio.to_thread(plane.ask, "POST", path, {})
            assert approved["status"] == "approved"
            told = await call(client, "check_status", which)
            assert told["status"] == "approved"
            assert told["virtual_card"]["last4"] == approved["virtualCard"]["last4"]
            cards = (await call(client, "list_my_cards", {}))["cards"]
            assert [card["card_id"] for card in cards][0] == told["virtual_card"]["card_id"]
            left = await call(client, "get_spending_summary", {})
            assert (left["daily_spent"], left["daily_remaining"]) == ("62.00", "38.00")
            over = await call(client, "request_purchase", {**WISH, "amount": "38.01", "idempotency_key": "over"})
            assert over["reason"] == "agent_limit_exceeded"
            assert over["suggestion"].startswith("Ask for at most 38.00 USD")
            none = await call(client, "explain_decline", {})
            assert none["found"] is False

    asyncio.run(buy())


@pytest.mark.parametrize("revision", REVISIONS)
def test_what_is_wrong_is_told_to_the_model(plane: Plane, revision: str) -> None:
    """Behaviour 5.15: no argument names an agent, and foreign and unknown are the same."""

    async def ask() -> None:
        async with door(plane, plane.buyer({}), revision) as client:
            for wrong, word in [
                ({**WISH, "agent_id": "agt_1"}, "agent_id"),
                ({**WISH, "amount": "12.345"}, "amount"),
                ({**WISH, "merchant_url": "http://127.0.0.1/"}, "merchant_url"),
                ({**WISH, "description": "4242 4242 4242 4242"}, "card number"),
            ]:
                result = await client.call_tool("request_purchase", wrong)
                assert result.is_error
                assert word in result.content[0].text
            foreign = await client.call_tool("check_status", {"request_id": "preq_1"})
            assert foreign.is_error
            assert "not_found" in foreign.content[0].text

    asyncio.run(ask())


def raw(plane: Plane, headers: dict[str, str]) -> int:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    always = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    request = urllib.request.Request(
        plane.url + "/api/mcp", data=json.dumps(body).encode(), headers={**always, **headers}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_the_door_opens_to_an_agents_key_from_a_known_host_alone(plane: Plane) -> None:
    """Hazard S5: a foreign origin or host, a missing or foreign key; a session authenticates nobody."""
    key = plane.buyer({})
    own = {"Authorization": f"Bearer {key}"}
    assert raw(plane, own) == 200
    assert raw(plane, {}) == 401
    assert raw(plane, {"Mcp-Session-Id": "00000000-0000-0000-0000-000000000000"}) == 401
    assert raw(plane, {"Authorization": "Bearer cs_test_nonsense"}) == 401
    assert raw(plane, {"Authorization": f"Bearer {plane.owner}"}) == 403
    assert raw(plane, {**own, "Origin": "https://evil.example"}) == 403
    assert raw(plane, {**own, "Host": "evil.example"}) == 403
