"""Marqeta: asked as its gateway asks, decided by the running engine."""

from __future__ import annotations

import base64
import json
import re
import uuid
from decimal import Decimal
from typing import Any

import pytest
from conftest import MARQETA, MARQETA_CREDENTIALS, Answer, Server, fixture_text, request_names
from schema import refusal, validate_reply

# The customer's budget is in USD and has no rates (behaviour 1.4); cash is not allowed (2.14 g).
DECLINED = {
    "atm": "transaction_type_not_allowed",
    "atm.pindebit": "transaction_type_not_allowed",
    "financial.pindebit_cashback": "transaction_type_not_allowed",
    "financial.pindebit_quasi_cash": "transaction_type_not_allowed",
    "purchase.cashback": "transaction_type_not_allowed",
    "purchase.dinar": "currency_not_supported",
    "purchase.quasi_cash": "transaction_type_not_allowed",
    "purchase.yen": "currency_not_supported",
}


def funding(body: str | bytes) -> dict[str, Any]:
    """Money as decimals, as no float would keep it."""
    document = json.loads(body, parse_float=Decimal)
    order = document.get("gpa_order") or document.get("gpa_order_unload")
    return dict(order["jit_funding"] if order else document["jit_funding"])


def new_request(name: str = "purchase") -> str:
    """The fixture under a token of its own, so that no other test has asked it before."""
    body = fixture_text(name, "marqeta")
    token = json.dumps(funding(body)["token"], ensure_ascii=False)
    assert body.count(token) == 1
    return body.replace(token, f'"{uuid.uuid4()}"')


def basic(credentials: str = MARQETA_CREDENTIALS) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(credentials.encode()).decode()}


def post(server: Server, body: str, headers: dict[str, str] | None = None) -> Answer:
    return server.post(body, basic() if headers is None else headers, MARQETA)


def assert_decided(answer: Answer, body: str) -> dict[str, Any]:
    assert answer.status in (200, 402), answer
    assert answer.content_type == "application/json", answer
    validate_reply(answer.json(), "marqeta")
    reply, asked = funding(answer.body), funding(body)
    assert (reply["token"], reply["method"]) == (asked["token"], asked["method"])
    assert ("decline_reason" in reply) == (answer.status == 402)
    return reply


@pytest.mark.parametrize("name", request_names("marqeta"))
def test_every_fixture_is_decided_in_documented_words(server: Server, name: str) -> None:
    body = new_request(name)
    answer = post(server, body)
    reply = assert_decided(answer, body)
    reason = DECLINED.get(name)
    assert answer.status == (402 if reason else 200)
    assert reply.get("memo") == reason
    assert Decimal(reply["amount"]) == abs(Decimal(funding(body)["amount"]))
    # Without limits there is no balance to tell.
    assert "balances" not in reply


@pytest.mark.parametrize("name", request_names("marqeta"))
def test_every_expected_reply_is_documented(name: str) -> None:
    text = fixture_text(f"{name}.reply", "marqeta")
    validate_reply(json.loads(text), "marqeta")
    assert re.search(r'"amount":[0-9]+(\.[0-9]+)?[,}]', text)


def test_b1_the_same_message_has_the_same_reply(server: Server) -> None:
    body = new_request()
    assert post(server, body).body == post(server, body).body


def test_b4_the_same_message_with_another_amount_is_a_duplicate(server: Server) -> None:
    body = new_request()
    assert post(server, body).status == 200
    reply = assert_decided(post(server, body.replace("25.99", "26.00")), body)
    assert reply["decline_reason"] == "DUPLICATE_TRANSACTION"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        basic("countersign:Correct-Horse-Battery-8"),
        basic("countersign"),
        basic(""),
        {"Authorization": "Basic"},
        {"Authorization": "Basic " + MARQETA_CREDENTIALS},
        {"Authorization": basic()["Authorization"].replace("Basic", "Bearer")},
        {"Authorization": basic()["Authorization"].replace(" ", "  ")},
        {"Authorization": basic()["Authorization"] + "="},
    ],
)
def test_w1_any_other_credentials_are_refused(server: Server, headers: dict[str, str]) -> None:
    answer = post(server, new_request(), headers)
    assert answer.status == 401, answer
    assert b"jit_funding" not in answer.body


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("25.99", "25.999"),
        ("25.99", '"25.99"'),
        ('"USD"', '"ZZZ"'),
        ("pgfs.authorization", "pgfs.authorization.clearing"),
        ("card_token", "card_tokens"),
    ],
)
def test_what_is_not_understood_is_declined(server: Server, old: str, new: str) -> None:
    body = new_request().replace(old, new)
    answer = post(server, body)
    assert answer.status == 402
    validate_reply(answer.json(), "marqeta")
    reply = funding(answer.body)
    assert reply["memo"] == "not_understood"
    assert reply["token"] == funding(body)["token"]


@pytest.mark.parametrize("body", ["", "{}", "[]", "not JSON"])
def test_what_names_no_request_is_a_400(server: Server, body: str) -> None:
    answer = post(server, body)
    assert answer.status == 400
    assert answer.json()["code"] == "not_understood"


@pytest.mark.parametrize(
    "change",
    [
        {"amount": -1},
        {"amount": "25.99"},
        {"decline_reason": "BECAUSE"},
        {"memo": "x" * 100},
        {"token": None},
        {"reason": "because"},
        {"balances": {"USD": {"available_balance": 1}}},
    ],
)
def test_the_schema_refuses_what_is_not_documented(change: dict[str, Any]) -> None:
    reply = json.loads(fixture_text("purchase.reply", "marqeta"))
    assert refusal(reply, "marqeta") is None
    reply["jit_funding"].update(change)
    assert refusal(reply, "marqeta")
