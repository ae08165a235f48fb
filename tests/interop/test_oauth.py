"""A program is let in by a person and acts as one agent: the official Python client's own OAuth.

The person is played twice: by a script that sends the forms, and in a real Chromium, which holds the pages
to their policies (a form may lead to the program's address and nowhere else).
"""

from __future__ import annotations

import asyncio
import html
import http.server
import re
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from planes import CHROMIUM, EMAIL, PASSWORD, Plane, person, running
from playwright.sync_api import sync_playwright


@dataclass
class House:
    plane: Plane
    agent: str


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with running(tmp_path_factory.mktemp("oauth")) as plane:
        person(plane)
        policy = {"limits": {"perDay": 3000}}
        agent = plane.ask(
            "POST", "/v1/agents", {"customerId": plane.customer, "name": "shopper", "policy": policy}
        )
        yield House(plane, str(agent["id"]))


@dataclass
class Kept:
    """What the program keeps between its runs."""

    tokens: OAuthToken | None = None
    client: OAuthClientInformationFull | None = None
    issued: list[OAuthToken] = field(default_factory=list)

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens
        self.issued.append(tokens)

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client: OAuthClientInformationFull) -> None:
        self.client = client


class Back(http.server.BaseHTTPRequestHandler):
    """Where the program waits for its user."""

    answers: list[dict[str, list[str]]] = []

    def do_GET(self) -> None:
        if urlsplit(self.path).path == "/callback":
            self.answers.append(parse_qs(urlsplit(self.path).query))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"You may close this window.")

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def back() -> Iterator[str]:
    Back.answers.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Back)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/callback"
    server.shutdown()


def hidden(page: str) -> dict[str, str]:
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page)
    return {name: html.unescape(value) for name, value in found}


def by_forms(house: House, decision: str = "allow", limit: str = "30.00") -> Callable[[str], Awaitable[None]]:
    """Somebody who sends forms as a browser would."""

    async def go(url: str) -> None:
        headers = {"Origin": house.plane.url}
        async with httpx2.AsyncClient(base_url=house.plane.url) as browser:
            login = await browser.get(url)
            assert login.status_code == 303, login.text
            login = await browser.get(login.headers["location"])
            fields = {**hidden(login.text), "email": EMAIL, "password": PASSWORD}
            entered = await browser.post("/login", data=fields, headers=headers)
            assert entered.status_code == 303, entered.text
            page = await browser.get(entered.headers["location"])
            assert "shopper" in page.text and limit in page.text, page.text
            fields = {**hidden(page.text), "decision": decision}
            sent = await browser.post("/oauth/authorize", data=fields, headers=headers)
            assert sent.status_code == 303, sent.text
            async with httpx2.AsyncClient() as program:
                await program.get(sent.headers["location"])

    return go


def in_chromium(house: House) -> Callable[[str], Awaitable[None]]:
    """Somebody with a real browser, by keyboard where that is quicker."""

    def play(url: str) -> None:
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 360, "height": 640})
            told: list[str] = []
            page.on("console", lambda line: told.append(line.text))
            page.goto(url)
            page.get_by_label("E-mail address").fill(EMAIL)
            page.get_by_label("Password").fill(PASSWORD)
            page.keyboard.press("Enter")
            page.wait_for_url("**/oauth/authorize?**")
            assert page.get_by_text("30.00").first.is_visible()
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= 360, "it fits a phone"
            page.get_by_role("button", name="Let it act as shopper").click()
            page.wait_for_url("**/callback?**")
            browser.close()
            refused = [line for line in told if "Content Security Policy" in line]
            assert not refused, refused

    async def go(url: str) -> None:
        await asyncio.to_thread(play, url)

    return go


def provider(
    house: House, kept: Kept, back: str, go: Callable[[str], Awaitable[None]]
) -> OAuthClientProvider:
    async def come_back() -> AuthorizationCodeResult:
        answer = {name: values[0] for name, values in Back.answers.pop().items()}
        return AuthorizationCodeResult(code=answer.get("code", ""), state=answer.get("state"), iss=answer.get("iss"))

    return OAuthClientProvider(
        server_url=house.plane.url + "/api/mcp",
        client_metadata=OAuthClientMetadata(client_name="An assistant", redirect_uris=[back]),
        storage=kept,
        redirect_handler=go,
        callback_handler=come_back,
    )


async def summary(house: House, auth: OAuthClientProvider, mode: str = "auto") -> dict[str, Any]:
    # The server ends a connection that was silent for 5 s; a person may take as long.
    limits = httpx2.Limits(keepalive_expiry=2)
    async with httpx2.AsyncClient(auth=auth, timeout=60, limits=limits) as program:
        transport = streamable_http_client(house.plane.url + "/api/mcp", http_client=program)
        async with Client(transport, mode=mode) as door:
            told = await door.call_tool("get_spending_summary", {})
            assert not told.is_error, told
            assert isinstance(told.structured_content, dict)
            return told.structured_content


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_the_official_client_is_let_in_by_forms(house: House, back: str, mode: str) -> None:
    kept = Kept()
    auth = provider(house, kept, back, by_forms(house))

    async def nobody(url: str) -> None:
        raise AssertionError(f"a person is asked again: {url}")

    async def story() -> None:
        assert (await summary(house, auth, mode))["daily_limit"] == "30.00"
        before = kept.tokens
        assert before and before.refresh_token and before.scope == "agent"
        # It refreshes by itself: nobody is asked, and both texts are new.
        auth.context.redirect_handler = nobody
        auth.context.token_expiry_time = 1.0
        assert (await summary(house, auth, mode))["daily_limit"] == "30.00"
        after = kept.tokens
        assert after and after.access_token != before.access_token
        assert after.refresh_token != before.refresh_token

    asyncio.run(story())


def test_the_official_client_is_let_in_in_a_real_browser(house: House, back: str) -> None:
    told = asyncio.run(summary(house, provider(house, Kept(), back, in_chromium(house))))
    assert told["daily_limit"] == "30.00"


def test_a_person_who_says_no_lets_nobody_in(house: House, back: str) -> None:
    kept = Kept()
    told: list[dict[str, list[str]]] = []

    async def say_no(url: str) -> None:
        await by_forms(house, "deny")(url)
        told.extend(Back.answers)

    with pytest.raises(BaseException):
        asyncio.run(summary(house, provider(house, kept, back, say_no)))
    assert kept.tokens is None
    assert [(answer["error"], "code" in answer) for answer in told] == [(["access_denied"], False)]
