"""The issuers' documented replies as schemas."""

from __future__ import annotations

import json
import pathlib
from typing import Any

from jsonschema import Draft202012Validator

_FILES = {
    "lithic": "asa_response.schema.json",
    "marqeta": "marqeta_response.schema.json",
    "stripe": "stripe_response.schema.json",
}
_HERE = pathlib.Path(__file__).parent
SCHEMAS = {
    issuer: json.loads((_HERE / name).read_text(encoding="utf-8"))
    for issuer, name in _FILES.items()
}
_VALIDATORS = {
    issuer: Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    for issuer, schema in SCHEMAS.items()
}


def refusal(reply: Any, issuer: str = "lithic") -> str | None:
    """Why the reply is not a documented one."""
    return next((error.message for error in _VALIDATORS[issuer].iter_errors(reply)), None)


def validate_reply(reply: Any, issuer: str = "lithic") -> None:
    assert refusal(reply, issuer) is None, refusal(reply, issuer)
