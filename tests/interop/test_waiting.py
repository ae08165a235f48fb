"""Waiting for a human in the protocol's own ways (behaviour 7.1), by clients that others wrote.

The Inspector waits by tasks through the official package for them; the official Python client has no extension for
tasks, but takes one, and by itself sends its user to a page that the server names.
"""

from __future__ import annotations

import asyncio
import json
import pathlib
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import httpx2
import pytest
from mcp import Client
from mcp.client.extension import ClaimContext, ClientExtension, ResultClaim
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, ElicitRequestParams, ElicitResult, Request, RequestParams, Result
from planes import Plane, person, running
from pydantic import Field, TypeAdapter
from test_agents_door import WISH
from test_oauth import House
from test_typescript_clients import Inspector

TASKS = "io.modelcontextprotocol/tasks"
PATIENCE_S = 30.0
POLICY = {"allowedDomains": ["example.com"], "limits": {"perDay": 30000}}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with running(tmp_path_factory.mktemp("waiting")) as plane:
        person(plane)
        agent = plane.ask("POST", "/v1/agents", {"customerId": plane.customer, "name": "shopper", "policy": POLICY})
        yield House(plane, str(agent["id"]))


def decide(plane: Plane, request: str, word: str) -> None:
    body = {"reason": "Not today"} if word == "deny" else {}
    plane.ask("POST", f"/v1/purchase-requests/{request}/{word}", body)


@asynccontextmanager
async def door(house: House, **more: Any) -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {house.plane.key_of(house.agent)}"}
    async with httpx2.AsyncClient(headers=headers, timeout=20) as http:
        transport = streamable_http_client(house.plane.url + "/api/mcp", http_client=http)
        async with Client(transport, mode="auto", **more) as client:
            yield client


@pytest.mark.parametrize(("word", "status"), [("approve", "approved"), ("deny", "denied"), (None, "pending_review")])
def test_the_python_client_sends_its_user_to_the_review(house: House, word: str | None, status: str) -> None:
    """It calls again when he is back; whatever it says of him, what stands is what was decided."""
    sent: list[str] = []

    async def to_the_page(_context: Any, params: ElicitRequestParams) -> ElicitResult:
        assert params.mode == "url"
        sent.append(params.url)
        if word:
            await asyncio.to_thread(decide, house.plane, params.url.rsplit("/", 1)[1], word)
        return ElicitResult(action="accept" if word else "decline")

    async def buy() -> Any:
        async with door(house, elicitation_callback=to_the_page) as client:
            wish = {**WISH, "idempotency_key": f"page-{word}"}
            return await client.call_tool("request_purchase", wish)

    result = asyncio.run(buy())
    told = result.structured_content
    assert (result.is_error, told["status"]) == (False, status), told
    assert sent == [f"{house.plane.url}/reviews/{told['request_id']}"]


class GetTaskParams(RequestParams):
    task_id: str = Field(alias="taskId")


class GetTask(Request[GetTaskParams, Literal["tasks/get"]]):
    method: Literal["tasks/get"] = "tasks/get"
    params: GetTaskParams
    name_param = "taskId"


class Begun(Result):
    result_type: Literal["task"] = Field(alias="resultType")
    task_id: str = Field(alias="taskId")
    poll_interval_ms: int = Field(alias="pollIntervalMs")


class Tasks(ClientExtension):
    """Looks at a task until it has an outcome; between two looks the human decides."""

    identifier = TASKS

    def __init__(self, plane: Plane) -> None:
        self.plane = plane
        self.seen: list[str] = []

    def claims(self) -> list[ResultClaim[Any]]:
        return [ResultClaim(result_type="task", model=Begun, resolve=self.wait)]

    async def wait(self, begun: Begun, context: ClaimContext) -> CallToolResult:
        assert 0 < begun.poll_interval_ms <= 60_000
        while True:
            ask = GetTask(params=GetTaskParams(taskId=begun.task_id))
            task = await context.session.send_request(ask, TypeAdapter(dict[str, Any]))
            self.seen.append(task["status"])
            if task["status"] == "completed":
                return CallToolResult.model_validate(task["result"])
            assert task["status"] == "working" and len(self.seen) < 3, task
            await asyncio.to_thread(decide, self.plane, begun.task_id, "approve")


def test_the_python_client_waits_by_tasks_where_it_is_given_them(house: House) -> None:
    tasks = Tasks(house.plane)

    async def buy() -> Any:
        async with door(house, extensions=[tasks]) as client:
            return await client.call_tool("request_purchase", {**WISH, "idempotency_key": "task"})

    told = asyncio.run(buy()).structured_content
    assert (told["status"], tasks.seen) == ("approved", ["working", "completed"]), told
    assert told["virtual_card"]["card_id"]


def test_the_inspector_waits_by_tasks(house: House, tmp_path: pathlib.Path) -> None:
    inspector = Inspector(house, tmp_path, "2026-07-28")
    header = ["--header", f"Authorization: Bearer {house.plane.key_of(house.agent)}"]
    wish = json.dumps({**WISH, "amount": "13.00"})
    waits = inspector.start("tools/call", "--tool-name", "request_purchase", "--tool-args-json", wish, *header)
    decide(house.plane, appears(house.plane, "13.00"), "approve")
    told = inspector.heard(waits)["structuredContent"]
    assert told["status"] == "approved", told


def appears(plane: Plane, amount: str) -> str:
    """The request for this amount that waits, once it is there."""
    since = time.monotonic()
    while time.monotonic() - since < PATIENCE_S:
        waits = plane.ask("GET", "/v1/purchase-requests?status=pending_review")["data"]
        if found := [str(it["id"]) for it in waits if it["amount"] == amount]:
            return found[0]
        time.sleep(0.05)
    raise AssertionError("nothing waits")
