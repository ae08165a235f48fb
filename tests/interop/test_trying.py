"""The code of docs/issuers/trying.md, run as it stands against the running engine."""

from __future__ import annotations

import json
import re
import urllib.error
import uuid
from typing import Any

import pytest
from conftest import (
    CONNECTION,
    MARQETA,
    MARQETA_CREDENTIALS,
    ROOT,
    SECRET,
    STRIPE,
    STRIPE_SECRET,
    Server,
    fixture_text,
)


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    """What the page defines."""
    text = (ROOT / "docs/issuers/trying.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 4
    names: dict[str, Any] = {}
    exec("\n".join(blocks), names)
    return names


def fresh(issuer: str, found: str) -> bytes:
    """The purchase under an id of its own."""
    body = fixture_text("purchase", issuer)
    assert body.count(found) == 1
    return body.replace(found, str(uuid.uuid4())).encode()


def ids(issuer: str) -> str:
    body = json.loads(fixture_text("purchase", issuer))
    if issuer == "lithic":
        return str(body["token"])
    if issuer == "stripe":
        return str(body["data"]["object"]["id"])
    return str(body["gpa_order"]["jit_funding"]["token"])


def test_the_page_asks_as_each_issuer_asks(server: Server, page: dict[str, Any]) -> None:
    address = server.ready["issuer"]
    rows = [
        ("lithic", CONNECTION, lambda body: page["lithic"](SECRET, body), b"APPROVED"),
        ("stripe", STRIPE, lambda body: page["stripe"](STRIPE_SECRET, body), b'"approved":true'),
        ("marqeta", MARQETA, lambda _body: page["marqeta"](MARQETA_CREDENTIALS, {}), b"jit_funding"),
    ]
    for issuer, connection, sign, approved in rows:
        body = fresh(issuer, ids(issuer))
        answer = page["ask"](address, connection, body, sign(body))
        assert approved in answer, (issuer, answer)
        with pytest.raises(urllib.error.HTTPError) as refused:
            page["ask"](address, connection, body + b" ", {**sign(body), "Authorization": "Basic eDp5"})
        assert refused.value.code == 401, issuer
