"""Our fixtures against Lithic's own types. Needs no server."""

from __future__ import annotations

import json
from typing import Any

import pytest
from conftest import SECRET, fixture_text, request_names, signed
from jsonschema import Draft202012Validator
from lithic import Lithic
from lithic.types import CardAuthorizationApprovalRequestWebhookEvent
from pydantic import ValidationError
from schema import SCHEMAS, refusal, validate_reply

# Fixtures that today's types rightly refuse, and what they miss.
NOT_IN_THE_SDK = {
    "purchase.2021_shape": {"amounts", "event_type", "cash_amount", "transaction_initiator"},
}


@pytest.mark.parametrize("name", request_names())
def test_every_request_is_one_for_the_sdk(name: str) -> None:
    body = json.loads(fixture_text(name))
    if name in NOT_IN_THE_SDK:
        with pytest.raises(ValidationError) as refused:
            CardAuthorizationApprovalRequestWebhookEvent.model_validate(body)
        missing = {str(error["loc"][0]) for error in refused.value.errors()}
        assert missing >= NOT_IN_THE_SDK[name]
    else:
        event = CardAuthorizationApprovalRequestWebhookEvent.model_validate(body)
        assert event.token == body["token"]
        assert event.amounts.cardholder.amount == body["amounts"]["cardholder"]["amount"]


def test_the_exceptions_are_fixtures() -> None:
    assert set(NOT_IN_THE_SDK) <= set(request_names())


@pytest.mark.parametrize("name", request_names())
def test_the_sdk_takes_the_request_from_the_wire(name: str) -> None:
    """Signed by one library, unwrapped by another: the fixture survives both as it stands."""
    body = fixture_text(name)
    client = Lithic(api_key="unused", base_url="http://127.0.0.1:9")
    headers = signed(body)
    client.webhooks.verify_signature(body, headers, secret=SECRET)
    if name not in NOT_IN_THE_SDK:
        event = client.webhooks.parse(body, headers=headers, secret=SECRET)
        assert isinstance(event, CardAuthorizationApprovalRequestWebhookEvent)


@pytest.mark.parametrize("name", request_names())
def test_every_expected_reply_is_documented(name: str) -> None:
    reply = json.loads(fixture_text(f"{name}.reply"))
    validate_reply(reply)
    assert ("balance" in reply) == name.startswith("balance_inquiry")


@pytest.mark.parametrize(
    "reply",
    [
        {},
        [],
        {"result": "DECLINED"},
        {"result": "approved"},
        {"result": None},
        {"approved": True},
        {"result": "APPROVED", "amount": 1},
        {"result": "APPROVED", "approved_amount": 0},
        {"result": "APPROVED", "approved_amount": -1},
        {"result": "APPROVED", "approved_amount": "1"},
        {"result": "APPROVED", "approved_amount": 1.5},
        {"result": "CARD_PAUSED", "approved_amount": 1},
        {"result": "APPROVED", "balance": {"available": 1}},
        {"result": "APPROVED", "balance": {"amount": 1, "available": "1"}},
        {"result": "APPROVED", "token": "not-a-uuid"},
        {"result": "APPROVED", "reason": "because"},
    ],
)
def test_the_schema_refuses_what_is_not_documented(reply: Any) -> None:
    assert refusal(reply)


@pytest.mark.parametrize("issuer", ["lithic", "marqeta", "stripe"])
def test_the_schemas_are_schemas(issuer: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[issuer])
