"""The running engine against signers and types that are not ours."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from conftest import (
    FOREIGN_SECRET,
    NEXT_SECRET,
    SECRET,
    Answer,
    Server,
    fixture_text,
    new_authorization,
    request_names,
    signed,
)
from lithic import Lithic
from schema import validate_reply

# The customer's budget is in USD and has no rates (behaviour 1.4); cash is not allowed (2.14 g).
DECLINED = {
    "atm": {"result": "UNAUTHORIZED_MERCHANT"},
    "atm.authorization": {"result": "UNAUTHORIZED_MERCHANT"},
    "purchase.cashback": {"result": "UNAUTHORIZED_MERCHANT"},
    "purchase.kosovo_yen": {"result": "UNAUTHORIZED_MERCHANT"},
}
BALANCE_WITHOUT_LIMITS = {
    "result": "APPROVED",
    "balance": {"amount": None, "available": None},
}


def assert_refused(answer: Answer) -> None:
    """401 as problem details, with nothing in it that reads as an approval."""
    assert answer.status == 401, answer
    assert answer.content_type.startswith("application/problem+json"), answer
    assert "result" not in answer.json()
    assert b"APPROVED" not in answer.body


def assert_decided(answer: Answer) -> Any:
    assert answer.status == 200, answer
    assert answer.content_type.startswith("application/json"), answer
    reply = answer.json()
    validate_reply(reply)
    return reply


@pytest.mark.parametrize("name", request_names())
def test_every_fixture_is_decided_in_documented_words(server: Server, name: str) -> None:
    body = new_authorization(name)
    reply = assert_decided(server.post(body, signed(body)))
    if name.startswith("balance_inquiry"):
        assert reply == BALANCE_WITHOUT_LIMITS
    else:
        assert reply == DECLINED.get(name, json.loads(fixture_text(f"{name}.reply")))


def test_what_the_issuers_own_library_accepts_is_accepted(server: Server) -> None:
    body = new_authorization()
    headers = signed(body)
    client = Lithic(api_key="unused", base_url="http://127.0.0.1:9")
    client.webhooks.verify_signature(body, headers, secret=SECRET)
    assert assert_decided(server.post(body, headers)) == {"result": "APPROVED"}


@pytest.mark.parametrize("offset_s", [-270, 0, 270])
def test_w3_within_the_tolerance(server: Server, offset_s: int) -> None:
    body = new_authorization()
    assert_decided(server.post(body, signed(body, offset_s=offset_s)))


@pytest.mark.parametrize("offset_s", [-86_400, -330, 330, 86_400])
def test_w3_outside_the_tolerance(server: Server, offset_s: int) -> None:
    body = new_authorization()
    assert_refused(server.post(body, signed(body, offset_s=offset_s)))


def test_w8_another_secret(server: Server) -> None:
    body = new_authorization()
    assert_refused(server.post(body, signed(body, secret=FOREIGN_SECRET)))


def altered(body: str) -> list[bytes]:
    """The same question in other bytes, and other questions."""
    raw = body.encode()
    question = json.loads(body)
    cheaper = body.replace('"amount": 2599', '"amount": 2598')
    assert cheaper != body
    return [
        json.dumps(question).encode(),
        json.dumps(question, sort_keys=True, separators=(",", ":")).encode(),
        raw + b" ",
        raw[:-1],
        cheaper.encode(),
        raw[:20] + bytes([raw[20] ^ 1]) + raw[21:],
        b"",
    ]


@pytest.mark.parametrize("at", range(7))
def test_w6_an_altered_body(server: Server, at: int) -> None:
    body = new_authorization()
    assert_refused(server.post(altered(body)[at], signed(body)))


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
@pytest.mark.parametrize("how", ["missing", "empty", "other", "twice"])
def test_w1_each_header_counts(server: Server, name: str, how: str) -> None:
    body = new_authorization()
    headers = signed(body)
    other = signed(body, secret=FOREIGN_SECRET, offset_s=-1)
    pairs = [(key, value) for key, value in headers.items() if key != name]
    if how == "empty":
        pairs.append((name, ""))
    elif how == "other":
        pairs.append((name, other[name]))
    elif how == "twice":
        pairs += [(name, headers[name]), (name, headers[name])]
    assert_refused(server.post(body, pairs))


def test_w1_no_header_at_all(server: Server) -> None:
    assert_refused(server.post(new_authorization(), {}))


def test_header_names_in_any_case(server: Server) -> None:
    body = new_authorization()
    headers = {name.title(): value for name, value in signed(body).items()}
    assert_decided(server.post(body, headers))


def test_w2_one_good_signature_among_others(server: Server) -> None:
    body = new_authorization()
    headers = signed(body)
    wrong = "v1," + base64.b64encode(bytes(32)).decode()
    good = headers["webhook-signature"]
    for entries in ([wrong, good], [good, wrong], ["v1a,x", "v2,y", good], [wrong] * 7 + [good]):
        headers["webhook-signature"] = " ".join(entries)
        assert_decided(server.post(body, headers))
    for entries in ([wrong], [wrong] * 8 + [good], [good.replace("v1", "v2")]):
        headers["webhook-signature"] = " ".join(entries)
        assert_refused(server.post(body, headers))


def test_b2_a_redelivery_has_the_same_reply(server: Server) -> None:
    body = new_authorization()
    first = server.post(body, signed(body))
    again = server.post(body, signed(body))
    assert (again.status, again.body) == (first.status, first.body)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ("{}", "token"),
        ("[]", "body"),
        ("not JSON", "body"),
        (fixture_text("purchase").replace('"AUTHORIZATION"', '"SURPRISE"'), "status"),
        (fixture_text("purchase").replace('"amount": 2599', '"amount": 25.99'), "amount"),
    ],
)
def test_what_is_not_understood_is_a_400_that_names_the_field(
    server: Server, body: str, field: str
) -> None:
    answer = server.post(body, signed(body))
    assert answer.status == 400
    assert answer.content_type.startswith("application/problem+json")
    problem = answer.json()
    assert problem["code"] == "not_understood"
    assert problem["status"] == 400
    assert field in problem["detail"]
    assert "SURPRISE" not in problem["detail"]


def test_w5_two_secrets_while_rotating_then_the_new_one_alone(
    start: Callable[..., Server],
) -> None:
    def outcomes(server: Server) -> list[int]:
        statuses = []
        for secret in (SECRET, NEXT_SECRET, FOREIGN_SECRET):
            body = new_authorization()
            statuses.append(server.post(body, signed(body, secret=secret)).status)
        return statuses

    assert outcomes(start([SECRET])) == [200, 401, 401]
    rotating = start([SECRET, NEXT_SECRET])
    assert outcomes(rotating) == [200, 200, 401]
    body = new_authorization()
    old, new = signed(body, delivery="both"), signed(body, secret=NEXT_SECRET, delivery="both")
    # The issuer signs with both for a day; a second may pass between the two.
    if old["webhook-timestamp"] == new["webhook-timestamp"]:
        new["webhook-signature"] += " " + old["webhook-signature"]
    assert_decided(rotating.post(body, new))
    assert outcomes(start([NEXT_SECRET])) == [401, 200, 401]


def test_unsigned_is_accepted_where_the_connection_says_so(start: Callable[..., Server]) -> None:
    server = start([SECRET], unsigned="accept")
    assert_decided(server.post(new_authorization(), {}))
    body = new_authorization()
    assert_refused(server.post(body, signed(body, secret=FOREIGN_SECRET)))
