"""An agent that buys one thing: it asks, waits for a human where one has to decide, and pays with the card
that was made for this purchase alone.

    pip install mcp
    COUNTERSIGN_URL=http://127.0.0.1:8701 COUNTERSIGN_KEY=cs_test_… python examples/agent/agent.py 24.00

The key is an agent's. What the agent says on its way goes to standard output, a line each; the merchant is
played by whoever calls `buy` with a function that pays.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from typing import Any

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

# Between two looks while a human thinks, and how often the agent looks before it gives up.
LOOK_EVERY_S = 0.5
LOOKS_MAX = 1_200

Pay = Callable[[str, dict[str, str]], str]


def reveal(url: str, key: str, card: str) -> dict[str, str]:
    """What a merchant's form wants. It comes from the cards API: no tool ever tells a number."""
    request = urllib.request.Request(
        f"{url}/v1/cards/{card}/reveal",
        method="POST",
        data=b"{}",
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        return dict(json.loads(response.read()))


async def told(door: Client, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    answer = await door.call_tool(tool, arguments)
    if answer.is_error:
        raise RuntimeError(f"{tool}: {answer.content}")
    return dict(answer.structured_content or {})


async def buy(url: str, key: str, amount: str, pay: Pay | None = None) -> str:
    """Buys one licence for that much; how it ended."""
    headers = {"Authorization": f"Bearer {key}"}
    async with (
        httpx2.AsyncClient(headers=headers) as http,
        Client(streamable_http_client(f"{url}/api/mcp", http_client=http)) as door,
    ):
        wish = {
            "merchant_url": "https://shop.example.com/licence",
            "amount": amount,
            "description": "A licence for the build server",
            "justification": "The trial ends today and the build needs it",
            "category_hint": "software",
            # The same for every retry: the same request, card and answer.
            "idempotency_key": str(uuid.uuid4()),
        }
        said = await told(door, "request_purchase", wish)
        print(f"agent: asked for {amount} USD: {said['status']}: {said['message']}", flush=True)
        for _ in range(LOOKS_MAX):
            if said["status"] != "pending_review":
                break
            await asyncio.sleep(LOOK_EVERY_S)
            said = await told(door, "check_status", {"request_id": said["request_id"]})
        print(f"agent: {amount} USD: {said['status']}", flush=True)
        if said["status"] != "approved":
            reason = said.get("reason", "nobody has decided")
            print(f"agent: {amount} USD: not bought: {reason}: {said.get('suggestion', said['message'])}", flush=True)
            return str(said["status"])
        card = said["virtual_card"]
        print(f"agent: the card ends in {card['last4']} and is good until {card['card_expires_at']}", flush=True)
        if pay is None:
            return "approved"
        shown = reveal(url, key, card["card_id"])
        for attempt in ("first", "second"):
            print(f"agent: {attempt} charge of {amount} USD: {pay(card['card_id'], shown)}", flush=True)
        left = await told(door, "get_spending_summary", {})
        print(f"agent: today {left['daily_spent']} of {left['daily_limit']} USD are spent", flush=True)
        return "bought"


def main() -> None:
    url = os.environ.get("COUNTERSIGN_URL", "http://127.0.0.1:8701")
    key = os.environ.get("COUNTERSIGN_KEY")
    if not key:
        sys.exit("agent: COUNTERSIGN_KEY is not set: it is the key of an agent (docs/agents.md says how to make one)")
    try:
        urllib.request.urlopen(url, timeout=10)
    except urllib.error.HTTPError:
        pass
    except OSError as error:
        sys.exit(f"agent: nothing answers at COUNTERSIGN_URL={url}: {error}")
    asyncio.run(buy(url, key, sys.argv[1] if len(sys.argv) > 1 else "24.00"))


if __name__ == "__main__":
    main()
