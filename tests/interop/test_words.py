"""No word of an agent changes a decision (S7; behaviour 5.1): texts that talk to models and markup, in every field
that an agent fills, over REST and over the agents' door.

Each text is asked with thrice, where policy approves, where a human has to decide, and where policy denies;
what comes back is what plain words get. A text that a field does not take is refused by the field's name.
"""

from __future__ import annotations

import asyncio
import json
import urllib.error
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from conftest import ROOT
from planes import Plane, running
from test_agents_door import REVISIONS, door

HERE = ROOT / "tests/interop"
PROMPTS = [line.replace("\\n", "\n") for line in (HERE / "prompts.txt").read_text(encoding="utf-8").split("\n") if line]
MARKUP = [line for line in (HERE / "xss.txt").read_text(encoding="utf-8").split("\n") if line]
FIELDS = ["merchant_name", "description", "justification", "category_hint"]
POLICY = {"autoApproveBelow": 500, "unscopedRequests": "allow", "blockedDomains": ["evil.example"]}
WAYS = [("shop.example.com", "4.00"), ("shop.example.com", "9.00"), ("evil.example", "4.00")]
# An agent may ask 60 times in a minute, and 32 requests of one wait for a human.
TEXTS_OF_AGENT = 18

Ask = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with running(tmp_path_factory.mktemp("words")) as plane:
        yield plane


def outcome(told: dict[str, Any]) -> dict[str, Any]:
    """All that is decided, without what names this one request."""
    card = told.get("virtualCard") or told.get("virtual_card")
    if card:
        # The link and the instants are this card's own.
        names = ("amount", "currency", "amountLimit", "amount_limit", "merchant", "merchants", "mccs", "usage", "type")
        card = {name: card[name] for name in names if name in card}
    return {
        "status": told["status"],
        "reason": told.get("reason"),
        "suggestion": told.get("suggestion"),
        "causes": [(it.get("code"), it.get("field")) for it in told.get("causes") or []],
        "amount": told.get("amount"),
        "currency": told.get("currency"),
        "decidedBy": told.get("decidedBy"),
        "card": card,
    }


def wishes(words: dict[str, str]) -> list[dict[str, Any]]:
    return [{**words, "merchant_url": f"https://{host}/x", "amount": amount} for host, amount in WAYS]


async def judged(ask: Ask, words: dict[str, str], name: str) -> list[dict[str, Any]]:
    told = []
    for at, wish in enumerate(wishes(words)):
        # Without a key of its own it would be the same request again.
        told.append(outcome(await ask({**wish, "idempotency_key": f"{name}.{at}"})))
    return told


async def hold(agents: Callable[[], Any], texts: list[str]) -> int:
    """Asks with each text in all fields; how many texts were taken in all four."""
    taken = 0
    for start in range(0, len(texts), TEXTS_OF_AGENT):
        async with agents() as ask:
            plain = await judged(ask, dict.fromkeys(FIELDS, "plain words"), "plain")
            assert [it["status"] for it in plain] == ["approved", "pending_review", "denied"]
            for at, text in enumerate(texts[start : start + TEXTS_OF_AGENT]):
                words = dict.fromkeys(FIELDS, text)
                while True:
                    try:
                        told = await judged(ask, words, f"words.{at}")
                    except Refused as refused:
                        # The field that does not take it has plain words, the others have the text.
                        assert refused.field in words, (text, refused.field)
                        words[refused.field] = "plain words"
                        continue
                    break
                assert told == plain, (text, told)
                taken += all(word == text for word in words.values())
                assert any(word == text for word in words.values()) or looks_like_a_card(text), text
    return taken


class Refused(Exception):
    """A field was not taken."""

    def __init__(self, field: str) -> None:
        super().__init__(field)
        self.field = field


def looks_like_a_card(text: str) -> bool:
    return sum(letter.isdigit() for letter in text) >= 12


def snake(name: str) -> str:
    return "".join("_" + letter.lower() if letter.isupper() else letter for letter in name)


def over_rest(plane: Plane) -> Callable[[], Any]:
    @asynccontextmanager
    async def agents() -> AsyncIterator[Ask]:
        key = plane.buyer(POLICY)

        async def ask(wish: dict[str, Any]) -> dict[str, Any]:
            try:
                return dict(await asyncio.to_thread(plane.ask, "POST", "/v1/purchase-requests", wish, key))
            except urllib.error.HTTPError as error:
                problem = json.loads(error.read())
                assert (error.code, problem["code"]) == (400, "invalid_request"), problem
                raise Refused(snake(problem["errors"][0]["field"])) from None

        yield ask

    return agents


def over_mcp(plane: Plane) -> Callable[[], Any]:
    @asynccontextmanager
    async def agents() -> AsyncIterator[Ask]:
        async with door(plane, plane.buyer(POLICY), REVISIONS[0]) as client:

            async def ask(wish: dict[str, Any]) -> dict[str, Any]:
                result = await client.call_tool("request_purchase", wish)
                if result.is_error:
                    said = result.content[0].text
                    named = [field for field in FIELDS if field in said.split(": ", 2)[1:2] or f"{field}: " in said]
                    assert "invalid_request" in said and named, said
                    raise Refused(named[0])
                return dict(result.structured_content)

            yield ask

    return agents


def test_s7_no_words_of_an_agent_change_what_is_decided_over_rest(plane: Plane) -> None:
    assert len(PROMPTS) >= 200 and len(MARKUP) >= 200
    assert asyncio.run(hold(over_rest(plane), PROMPTS + MARKUP)) >= 400


def test_s7_no_words_of_an_agent_change_what_is_decided_at_the_door(plane: Plane) -> None:
    assert asyncio.run(hold(over_mcp(plane), PROMPTS)) >= 200
