"""The pages for people in a real Chromium: the card behind its link, and the review of what waits.

A phone's screen, the keyboard alone, no word on the console, nothing that the policy of the page forbids, and
nothing of what an agent writes runs or changes the page.
"""

from __future__ import annotations

import json
import pathlib
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import ROOT, SECRET
from planes import CHROMIUM, EMAIL, PASSWORD, Plane, person, running
from played_issuer import CVV, KEY, NUMBER, PlayedIssuer, playing
from playwright.sync_api import Browser, Page, sync_playwright
from test_agents_door import WISH

PHONE = {"width": 360, "height": 640}
CORPUS = [line for line in (ROOT / "tests/interop/xss.txt").read_text(encoding="utf-8").split("\n") if line]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    context = chromium.new_context(viewport=PHONE)
    page = context.new_page()
    said: list[str] = []
    elsewhere: list[str] = []
    page.on("console", lambda it: said.append(it.text))
    page.on("pageerror", lambda it: said.append(str(it)))
    page.on("dialog", lambda it: said.append(it.message))
    page.on("request", lambda it: elsewhere.append(it.url) if "127.0.0.1" not in it.url else None)
    yield page
    assert said == []
    assert elsewhere == []
    context.close()


def fits(page: Page) -> None:
    """Nothing lies beside the phone's screen, and what is pressed is large enough for a thumb."""
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    for button in page.locator("button").all():
        box = button.bounding_box()
        assert box and box["height"] >= 44


def facts_above_words(page: Page) -> None:
    facts = page.get_by_role("region", name="What we know").bounding_box()
    words = page.get_by_role("region", name="What the agent says").bounding_box()
    assert facts and words and facts["y"] + facts["height"] <= words["y"]


def by_keyboard(page: Page, role: str, name: str) -> None:
    """Goes to it with the tabulator, where it is seen to be chosen."""
    wanted = page.get_by_role(role, name=name, exact=False)  # type: ignore[arg-type]
    for _ in range(40):
        page.keyboard.press("Tab")
        if wanted.evaluate("it => it === document.activeElement"):
            assert wanted.evaluate("it => getComputedStyle(it).outlineStyle") != "none"
            return
    raise AssertionError(f"{name} is not reached")


def sign_in(page: Page, plane: Plane, path: str) -> None:
    page.goto(plane.url + path)
    page.get_by_label("E-mail address").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(plane.url + path)


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with running(tmp_path_factory.mktemp("pages")) as plane:
        yield plane


@pytest.fixture(scope="module")
def owner(plane: Plane) -> str:
    return person(plane)


def ask(plane: Plane, key: str, more: dict[str, Any]) -> dict[str, Any]:
    return dict(plane.ask("POST", "/v1/purchase-requests", {**WISH, **more}, key))


def test_a_card_is_shown_by_a_key_press_and_not_before(page: Page, plane: Plane) -> None:
    made = ask(plane, plane.buyer({"autoApproveBelow": 5000}), {})
    card = made["virtualCard"]
    page.goto(card["viewUrl"])
    assert page.get_by_role("heading", level=1).inner_text() == f"Card ending in {card['last4']}"
    assert "4242424242" not in page.content()
    fits(page)
    by_keyboard(page, "button", "Show the card")
    page.keyboard.press("Enter")
    number = page.locator("[data-field=number]")
    number.wait_for()
    assert number.inner_text().endswith(card["last4"])
    assert len(page.locator("[data-field=cvv]").inner_text()) == 3
    fits(page)
    # The same as its own owner is shown, and another address shows nothing.
    shown = plane.ask("POST", f"/v1/cards/{card['id']}/reveal", {})
    assert shown["number"] == number.inner_text()


@pytest.fixture(scope="module")
def issuer() -> Iterator[PlayedIssuer]:
    with playing() as played:
        yield played


@pytest.fixture(scope="module")
def framed(tmp_path_factory: pytest.TempPathFactory, issuer: PlayedIssuer) -> Iterator[Plane]:
    """A server whose cards are shown by their issuer's own page."""
    home = tmp_path_factory.mktemp("framed")
    for name, text in {"acme.secret": SECRET, "acme.key": KEY}.items():
        (home / name).write_text(text, encoding="utf-8")
    config = home / "framed.toml"
    config.write_text(
        f"""\
[[issuer]]
name = "acme"
kind = "lithic"
secrets = ["file:{home}/acme.secret"]
[issuer.cards]
mode = "test"
url = "{issuer.url}"
key = "file:{home}/acme.key"
poll_s = 0
reveal = "frame"
reveal_to_agents = true
""",
        encoding="utf-8",
    )
    with running(home, "--config", str(config)) as plane:
        yield plane


def test_a_card_is_shown_by_its_issuers_own_page_and_its_number_never_comes_here(
    page: Page, framed: Plane, issuer: PlayedIssuer
) -> None:
    ours: list[str] = []
    page.on("response", lambda it: ours.append(it.text()) if it.url.startswith(framed.url) else None)
    made = ask(framed, framed.buyer({"autoApproveBelow": 5000}), {})["virtualCard"]
    page.goto(made["viewUrl"])
    assert page.locator("iframe").count() == 0
    by_keyboard(page, "button", "Show the card")
    page.keyboard.press("Enter")
    within = page.frame_locator("iframe[title='The card, shown by its issuer']")
    within.locator("#pan").get_by_text(NUMBER).wait_for()
    assert within.locator("#cvv").inner_text() == CVV
    assert page.locator("iframe").bounding_box()["height"] > 100  # type: ignore[index]
    fits(page)
    # The browser has asked the issuer; nothing of ours had the number, and we never asked for it.
    assert [target.split("?")[0] for method, target in issuer.asked if method == "GET"] == ["/v1/embed/card"]
    assert len(ours) >= 2
    for text in [*ours, page.content()]:
        assert NUMBER not in text and KEY not in text
    for file in pathlib.Path(framed.data).parent.rglob("*"):
        assert not file.is_file() or NUMBER.encode() not in file.read_bytes(), file


def test_no_other_page_is_let_into_the_frame_and_a_stopped_card_says_why(
    chromium: Browser, framed: Plane, plane: Plane
) -> None:
    made = ask(framed, framed.buyer({"autoApproveBelow": 5000}), {})["virtualCard"]
    with pytest.raises(urllib.error.HTTPError) as refused:
        as_program = urllib.request.Request(
            made["viewUrl"], method="POST", data=b"{}", headers={"Content-Type": "application/json"}
        )
        urllib.request.urlopen(as_program, timeout=10)
    answer = json.loads(refused.value.read())
    assert (refused.value.code, answer["code"]) == (422, "not_supported")
    assert "view_url" in answer["detail"]
    context = chromium.new_context(viewport=PHONE)
    page = context.new_page()
    page.goto(made["viewUrl"])
    page.get_by_role("button", name="Show the card").click()
    page.frame_locator("iframe").locator("#pan").get_by_text(NUMBER).wait_for()
    # The frame may lead to its issuer and to nobody else, this server's own pages neither.
    leads = """to => new Promise(resolve => {
        document.addEventListener("securitypolicyviolation", it => resolve(it.effectiveDirective), {once: true});
        const frame = document.createElement("iframe");
        frame.addEventListener("load", () => setTimeout(() => resolve("let in"), 500));
        frame.src = to;
        document.body.append(frame);
    })"""
    for elsewhere in [plane.url + "/login", framed.url + "/login"]:
        assert page.evaluate(leads, elsewhere) == "frame-src", elsewhere
    framed.ask("POST", f"/v1/cards/{made['id']}/freeze", {})
    page.goto(made["viewUrl"])
    assert page.locator("iframe").count() == 0
    assert "frozen" in page.get_by_role("main").inner_text()
    context.close()


def test_a_reviewer_decides_on_a_phone_with_the_keyboard(page: Page, plane: Plane, owner: str) -> None:
    assert owner
    key = plane.buyer({"autoApproveBelow": 500})
    waits = ask(plane, key, {"amount": "31.00"})
    sign_in(page, plane, f"/reviews/{waits['id']}")
    fits(page)
    facts_above_words(page)
    by_keyboard(page, "textbox", "Type the amount again")
    page.keyboard.type("31.00")
    by_keyboard(page, "button", "Approve 31.00 USD")
    page.keyboard.press("Enter")
    page.locator("[data-field=status]", has_text="approved").wait_for()
    assert plane.ask("GET", f"/v1/purchase-requests/{waits['id']}", key=key)["status"] == "approved"
    second = ask(plane, key, {"amount": "32.00"})
    page.goto(plane.url + "/reviews")
    page.get_by_role("link", name="32.00 USD at shop.example.com").click()
    page.get_by_label("Why not").fill("We have one")
    page.get_by_role("button", name="Deny").click()
    page.locator("[data-field=status]", has_text="denied").wait_for()
    after = plane.ask("GET", f"/v1/purchase-requests/{second['id']}", key=key)
    assert (after["status"], after["message"]) == ("denied", "We have one")


def test_an_owner_puts_an_agent_to_work_on_a_phone(page: Page, plane: Plane, owner: str) -> None:
    assert owner
    agent = plane.ask("POST", "/v1/agents", {"customerId": plane.customer, "name": "clerk", "policy": {}})
    key, path = plane.key_of(agent["id"]), f"/v1/agents/{agent['id']}"
    plane.ask("PATCH", path, {"status": "paused"})
    asked = plane.ask("POST", "/v1/access-requests", {"reason": "To book the train " + "x" * 200}, key)
    sign_in(page, plane, "/reviews")
    page.get_by_role("link", name="clerk").click()
    page.wait_for_url(f"**/access-requests/{asked['id']}")
    fits(page)
    facts_above_words(page)
    by_keyboard(page, "button", "Put it to work")
    page.keyboard.press("Enter")
    page.locator("[data-field=status]", has_text="granted").wait_for()
    assert plane.ask("GET", path)["status"] == "active"


def test_s8_nothing_that_an_agent_writes_runs_or_changes_the_page(page: Page, plane: Plane, owner: str) -> None:
    """Several texts on one page: one in each field that an agent fills."""
    assert owner and len(CORPUS) >= 200
    sign_in(page, plane, "/reviews")
    shape = "[...document.querySelectorAll('*')].map(it => it.tagName).join()"
    shapes = set()
    keys = [plane.buyer({"autoApproveBelow": 500}) for _ in range(3)]
    fields = ["merchant_name", "description", "justification"]
    groups = [CORPUS[at : at + 3] for at in range(0, len(CORPUS), 3)]
    for at, group in enumerate(groups):
        words = dict(zip(fields, [*group, "plain", "plain"], strict=False))
        waits = ask(plane, keys[at % 3], {**words, "amount": f"{20 + at}.00"})
        assert waits["status"] == "pending_review"
        page.goto(f"{plane.url}/reviews/{waits['id']}")
        shapes.add(page.evaluate(shape))
        assert page.evaluate("window.pwned") is None
        assert page.locator("[data-field=status]").inner_text() == "waits for a decision"
        plane.ask("POST", f"/v1/purchase-requests/{waits['id']}/deny", {})
    assert len(shapes) == 1
