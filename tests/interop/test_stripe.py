"""Stripe: signed and read by its own library, decided by the running engine."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

import pytest
import stripe
from conftest import (
    FOREIGN_SECRET,
    STRIPE,
    STRIPE_OLD_SECRET,
    STRIPE_SECRET,
    Answer,
    Server,
    fixture_text,
    request_names,
)
from schema import refusal, validate_reply

VERSION = "2026-10-28.endive"
APPROVED = {"approved": True}

# The customer's budget is in USD and has no rates (behaviour 1.4); cash is not allowed (2.14 g).
DECLINED = {
    "atm": "transaction_type_not_allowed",
    "purchase.cashback": "transaction_type_not_allowed",
    "purchase.cashback_outside": "transaction_type_not_allowed",
    "purchase.yen": "currency_not_supported",
}


def declined(reason: str) -> dict[str, Any]:
    return {"approved": False, "metadata": {"countersign_reason": reason}}


def new_authorization(name: str = "purchase") -> str:
    """The fixture under an id of its own, so that no other test has asked it before."""
    body = fixture_text(name, "stripe")
    authorization = json.loads(body)["data"]["object"]["id"]
    assert body.count(authorization) == 1
    return body.replace(authorization, f"iauth_{uuid.uuid4().hex}")


def signature(body: str, *, secret: str = STRIPE_SECRET, offset_s: int = 0) -> str:
    """Made by Stripe's own library."""
    at = int(time.time()) + offset_s
    return stripe.WebhookSignature.generate_signature_header(body, secret, timestamp=at)


def post(server: Server, body: str, header: str) -> Answer:
    return server.post(body, {"Stripe-Signature": header}, STRIPE)


def assert_decided(answer: Answer) -> Any:
    assert answer.status == 200, answer
    assert answer.content_type == "application/json", answer
    assert answer.version == VERSION, answer
    reply = answer.json()
    validate_reply(reply, "stripe")
    return reply


def assert_refused(answer: Answer) -> None:
    assert answer.status == 401, answer
    assert b"approved" not in answer.body


def test_the_library_is_of_the_version_that_we_name() -> None:
    assert stripe.api_version == VERSION


@pytest.mark.parametrize("name", request_names("stripe"))
def test_the_sdk_takes_every_request_from_the_wire(name: str) -> None:
    body = new_authorization(name)
    event = stripe.Webhook.construct_event(body, signature(body), STRIPE_SECRET)
    authorization = event.data.object
    assert event.type == "issuing_authorization.request"
    assert isinstance(authorization, stripe.issuing.Authorization)
    assert isinstance(authorization.pending_request.amount, int)
    assert isinstance(authorization.card, stripe.issuing.Card)
    assert isinstance(authorization.request_history, list)


@pytest.mark.parametrize("name", request_names("stripe"))
def test_every_fixture_is_decided_in_documented_words(server: Server, name: str) -> None:
    body = new_authorization(name)
    reply = assert_decided(post(server, body, signature(body)))
    reason = DECLINED.get(name)
    assert reply == (declined(reason) if reason else APPROVED)


@pytest.mark.parametrize("name", request_names("stripe"))
def test_every_expected_reply_is_documented(name: str) -> None:
    validate_reply(json.loads(fixture_text(f"{name}.reply", "stripe")), "stripe")


@pytest.mark.parametrize("offset_s", [-270, 0, 270])
def test_w3_within_the_tolerance(server: Server, offset_s: int) -> None:
    body = new_authorization()
    assert_decided(post(server, body, signature(body, offset_s=offset_s)))


@pytest.mark.parametrize("offset_s", [-86_400, -330, 330, 86_400])
def test_w3_outside_the_tolerance(server: Server, offset_s: int) -> None:
    """The library itself lets the future pass; the engine does not."""
    body = new_authorization()
    header = signature(body, offset_s=offset_s)
    if offset_s > 0:
        assert stripe.WebhookSignature.verify_header(body, header, STRIPE_SECRET, tolerance=300)
    assert_refused(post(server, body, header))


def test_w5_both_secrets_pass_while_one_is_rolled(server: Server) -> None:
    for secret in (STRIPE_SECRET, STRIPE_OLD_SECRET):
        body = new_authorization()
        assert assert_decided(post(server, body, signature(body, secret=secret))) == APPROVED
    body = new_authorization()
    foreign = signature(body, secret=FOREIGN_SECRET)
    assert_refused(post(server, body, foreign))
    # Stripe signs with both for a day.
    both = f"{foreign},{signature(body).split(',')[1]}"
    if both.split(",")[0] == signature(body).split(",")[0]:
        assert_decided(post(server, body, both))


@pytest.mark.parametrize(
    "change",
    [
        lambda header: "",
        lambda header: header.upper(),
        lambda header: header.replace("v1=", "v0="),
        lambda header: header + ",",
        lambda header: header + "," + header.split(",")[0],
        lambda header: header.replace(",", ", "),
        lambda header: header.split(",")[0],
        lambda header: header.split(",")[1],
        lambda header: header[:-1],
        lambda header: header + "0",
    ],
)
def test_w1_any_other_header_is_refused(server: Server, change: Any) -> None:
    body = new_authorization()
    assert_refused(post(server, body, change(signature(body))))


def test_w6_an_altered_body_is_refused(server: Server) -> None:
    body = new_authorization()
    for altered in (body + " ", body.replace("2599", "2598"), json.dumps(json.loads(body)), ""):
        assert_refused(post(server, altered, signature(body)))


def test_b2_another_event_for_the_same_step_has_the_same_reply(server: Server) -> None:
    body = new_authorization()
    first = post(server, body, signature(body))
    again = body.replace('"evt_1', '"evt_2')
    assert again != body
    assert post(server, again, signature(again)).body == first.body


@pytest.mark.parametrize(
    "body",
    [
        "{}",
        "[]",
        "not JSON",
        fixture_text("purchase", "stripe").replace('"usd"', '"zzz"'),
        fixture_text("purchase", "stripe").replace("2599", "25.99"),
        fixture_text("purchase", "stripe").replace("authorization.request", "authorization.updated"),
    ],
)
def test_what_is_not_understood_is_a_decline_of_ours(server: Server, body: str) -> None:
    reply = assert_decided(post(server, body, signature(body)))
    assert reply == declined("not_understood")


@pytest.mark.parametrize(
    "reply",
    [
        {},
        {"approved": "true"},
        {"approved": None},
        {"approve": True},
        {"approved": True, "amount": 0},
        {"approved": True, "amount": "1"},
        {"approved": False, "amount": 1},
        {"approved": False, "reason": "card_locked"},
        {"approved": False, "metadata": {"reason": None}},
        {"approved": False, "metadata": {"x" * 41: "a"}},
    ],
)
def test_the_schema_refuses_what_is_not_documented(reply: Any) -> None:
    assert refusal(reply, "stripe")
