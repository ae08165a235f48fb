"""Lithic's documented reply as a schema."""

from __future__ import annotations

import json
import pathlib
from typing import Any

from jsonschema import Draft202012Validator

SCHEMA = json.loads(
    (pathlib.Path(__file__).parent / "asa_response.schema.json").read_text(encoding="utf-8")
)
_VALIDATOR = Draft202012Validator(SCHEMA, format_checker=Draft202012Validator.FORMAT_CHECKER)


def refusal(reply: Any) -> str | None:
    """Why the reply is not a documented one."""
    return next((error.message for error in _VALIDATOR.iter_errors(reply)), None)


def validate_reply(reply: Any) -> None:
    assert refusal(reply) is None, refusal(reply)
