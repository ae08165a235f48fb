"""A review told by e-mail through a real mail server, and decided in a real Chromium by the link out of the mail.

The server asks for a login under STARTTLS with a certificate of its own; it is down first and up later.
"""

from __future__ import annotations

import email
import pathlib
import re
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from email.message import Message
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from conftest import binary
from planes import EMAIL, Plane, free_port, person, running, serving
from playwright.sync_api import Page
from test_agents_door import WISH
from test_pages import CORPUS, chromium, fits, page  # noqa: F401

USER, MAIL_PASSWORD = "countersign", "mail canary 7f3a91"
PATIENCE_S = 30.0


class Mailbox:
    """What the mail server has taken."""

    def __init__(self) -> None:
        self.mails: list[Message] = []
        self.to: list[list[str]] = []
        self.refuses: dict[str, str] = {}

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        if address in self.refuses:
            return self.refuses[address]
        envelope.rcpt_tos.append(address)
        return "250 known"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        assert session.authenticated and session.ssl
        self.to.append(envelope.rcpt_tos)
        self.mails.append(email.message_from_bytes(envelope.content))
        return "250 taken"

    def until(self, count: int) -> Message:
        since = time.monotonic()
        while time.monotonic() - since < PATIENCE_S:
            if len(self.mails) >= count:
                return self.mails[count - 1]
            time.sleep(0.05)
        raise AssertionError(f"{len(self.mails)} mails of {count}")


def text_of(mail: Message) -> str:
    payload = mail.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload.decode().replace("\r\n", "\n")


def link_of(mail: Message) -> str:
    found = re.search(r"^http://\S+/review/[A-Za-z0-9_-]{43}$", text_of(mail), re.MULTILINE)
    assert found, text_of(mail)
    return found.group()


class House:
    """A plane, its mail server, and an owner who wants mail."""

    def __init__(self, plane: Plane, port: int, context: ssl.SSLContext, log: pathlib.Path) -> None:
        self.plane, self.port, self.context, self.log = plane, port, context, log
        self.mailbox = Mailbox()
        self.controller: Controller | None = None

    def up(self) -> None:
        def login(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
            assert isinstance(data, LoginPassword)
            return AuthResult(success=(data.login, data.password) == (USER.encode(), MAIL_PASSWORD.encode()))

        self.controller = Controller(
            self.mailbox,
            hostname="127.0.0.1",
            port=self.port,
            tls_context=self.context,
            require_starttls=True,
            auth_required=True,
            authenticator=login,
        )
        self.controller.start()

    def down(self) -> None:
        if self.controller:
            self.controller.stop()
        self.controller = None

    def status(self, waits: dict[str, Any]) -> str:
        return str(self.plane.ask("GET", f"/v1/purchase-requests/{waits['id']}")["status"])


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    home = tmp_path_factory.mktemp("mail")
    key, root, port = home / "key.pem", home / "root.pem", free_port()
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", key, "-out", root]
    ext = ["-addext", "basicConstraints=critical,CA:FALSE"]
    subprocess.run([*made, *subject, *ext], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(root, key)
    (home / "password").write_text(MAIL_PASSWORD + "\n", encoding="utf-8")
    config = f"""
[mail]
host = "localhost"
port = {port}
user = "{USER}"
password = "file:{home}/password"
from = "notices@pay.example.com"
ca_file = "{root}"
"""
    (home / "config.toml").write_text(config, encoding="utf-8")
    with running(home, "--config", str(home / "config.toml")) as plane:
        house = House(plane, port, context, home / "log")
        try:
            person(plane, "reviewer")
            plane.ask("POST", "/v1/webhooks", {"channel": "email", "url": f"mailto:{EMAIL}"})
            yield house
        finally:
            house.down()


def ask(house: House, key: str, more: dict[str, Any]) -> dict[str, Any]:
    waits = dict(house.plane.ask("POST", "/v1/purchase-requests", {**WISH, **more}, key))
    assert waits["status"] == "pending_review"
    return waits


def test_a_mail_brings_a_link_that_approves_and_a_mail_server_that_is_down_loses_nothing(house: House, page: Page) -> None:  # noqa: F811
    key = house.plane.buyer({"autoApproveBelow": 500})
    evil = "x\nBcc: everybody@evil.example\n\nAmount: 1.00 USD\nhttps://evil.example/a"
    waits = ask(house, key, {"amount": "31.00", "description": evil})
    # Tried in vain, and then again by the schedule.
    hook = house.plane.ask("GET", "/v1/webhooks")["data"][0]
    deliveries = f"/v1/webhooks/{hook['id']}/deliveries"
    since = time.monotonic()
    while not house.plane.ask("GET", deliveries)["data"][0]["lastError"]:
        assert time.monotonic() - since < PATIENCE_S
        time.sleep(0.05)
    assert house.plane.ask("GET", deliveries)["data"][0]["state"] == "waiting"
    house.up()
    mail = house.mailbox.until(1)
    assert house.mailbox.to == [[EMAIL]]
    assert mail["Subject"] == "31.00 USD at shop[.]example[.]com waits for a decision"
    assert (mail["To"], mail.get_content_type(), mail["Bcc"]) == (EMAIL, "text/plain", None)
    text = text_of(mail)
    ours, theirs = text.split("What the agent says.")
    assert "Amount: 31.00 USD" in ours and "evil" not in ours
    assert "://evil" not in theirs and "\nAmount" not in theirs and "    | Amount: 1.00 USD" in theirs
    link = link_of(mail)
    # What scans mail opens links.
    for method in ("GET", "HEAD", "GET"):
        with urllib.request.urlopen(urllib.request.Request(link, method=method), timeout=10) as response:
            assert response.status == 200
    assert house.status(waits) == "pending_review"
    page.goto(link)
    fits(page)
    page.get_by_label("Type the amount again").fill("31.00")
    page.get_by_role("button", name="Approve 31.00 USD").click()
    page.locator("[data-field=status]", has_text="approved").wait_for()
    assert page.url == link and page.locator("form").count() == 0
    after = house.plane.ask("GET", f"/v1/purchase-requests/{waits['id']}")
    assert after["status"] == "approved" and after["decidedBy"].startswith("usr_")
    # Told once, and what it took is nowhere in the log.
    time.sleep(1)
    assert len(house.mailbox.mails) == 1
    log = house.log.read_text(encoding="utf-8")
    assert MAIL_PASSWORD not in log and link.rsplit("/", 1)[1] not in log


def test_a_mail_brings_a_link_that_denies_and_is_of_no_use_to_whoever_may_decide_no_more(house: House, page: Page) -> None:  # noqa: F811
    house.down()
    house.up()
    key = house.plane.buyer({"autoApproveBelow": 500})
    count = len(house.mailbox.mails)
    waits = ask(house, key, {"amount": "41.00"})
    link = link_of(house.mailbox.until(count + 1))
    page.goto(link)
    page.get_by_label("Why not").fill("We have one")
    page.get_by_role("button", name="Deny").click()
    page.locator("[data-field=status]", has_text="denied").wait_for()
    after = house.plane.ask("GET", f"/v1/purchase-requests/{waits['id']}", key=key)
    assert (after["status"], after["message"]) == ("denied", "We have one")
    second = ask(house, key, {"amount": "42.00"})
    link = link_of(house.mailbox.until(count + 2))
    ops = ["--ops-listen", house.plane.ops.removeprefix("http://")]
    command = [binary(), "user", "disable", "--data-dir", house.plane.data, *ops, "--email", EMAIL]
    subprocess.run(command, check=True, capture_output=True)
    opened = page.request.get(link)
    assert opened.status == 404
    assert house.status(second) == "pending_review"
    subprocess.run([*command[:2], "enable", *command[3:]], check=True, capture_output=True)
    assert page.request.get(link).status == 200
    hook = house.plane.ask("GET", "/v1/webhooks")["data"][0]
    house.plane.ask("PATCH", f"/v1/webhooks/{hook['id']}", {"url": hook["url"]})
    assert page.request.get(link).status == 200, "it leads where it led"


def test_s7_s8_no_words_of_an_agent_change_a_mail(house: House) -> None:
    """Several texts in one mail: one in each field that an agent fills."""
    house.down()
    house.up()
    keys = [house.plane.buyer({"autoApproveBelow": 500}) for _ in range(3)]
    count = len(house.mailbox.mails)
    fields = ["merchant_name", "description", "justification"]
    groups = [CORPUS[at : at + 3] for at in range(0, 60, 3)]
    names: set[tuple[str, ...]] = set()
    for at, group in enumerate(groups):
        waits = ask(house, keys[at % 3], {**dict(zip(fields, group, strict=False)), "amount": f"{50 + at}.00"})
        mail = house.mailbox.until(count + at + 1)
        assert mail["Subject"] == f"{50 + at}.00 USD at shop[.]example[.]com waits for a decision"
        assert mail.get_content_type() == "text/plain" and not mail.is_multipart()
        names.add(tuple(sorted(mail.keys())))
        addresses = re.findall(r"\S*://\S*", text_of(mail))
        assert len(addresses) == 2 and all(it.startswith(house.plane.url) for it in addresses), addresses
        house.plane.ask("POST", f"/v1/purchase-requests/{waits['id']}/deny", {})
    assert len(names) == 1


def settled(house: House, hook: dict[str, Any]) -> dict[str, Any]:
    """The endpoint's last delivery, once something was said of it."""
    since = time.monotonic()
    while time.monotonic() - since < PATIENCE_S:
        row = dict(house.plane.ask("GET", f"/v1/webhooks/{hook['id']}/deliveries")["data"][0])
        if row["lastError"]:
            return row
        time.sleep(0.05)
    raise AssertionError(row)


def test_a_mailbox_that_is_not_there_is_given_up_at_once_and_one_that_is_full_is_not(house: House) -> None:
    """Behaviour 8.5: the server's word on this mailbox is final; its word on a quota or a login is not."""
    house.down()
    house.up()
    for name, said, state in [
        ("gone", "550 5.1.1 no such mailbox", "dead"),
        ("full", "452 4.2.2 the mailbox is full", "waiting"),
        ("quota", "552 5.2.2 no room for so much", "waiting"),
    ]:
        address = person(house.plane, "reviewer", f"{name}@example.com")
        house.mailbox.refuses[address] = said
        hook = house.plane.ask("POST", "/v1/webhooks", {"channel": "email", "url": f"mailto:{address}"})
        house.plane.ask("POST", f"/v1/webhooks/{hook['id']}/test")
        row = settled(house, hook)
        assert (row["state"], row["attempts"], row["lastStatus"]) == (state, 1, int(said[:3])), row
        assert said[10:] in row["lastError"], row
        assert house.plane.ask("GET", f"/v1/webhooks/{hook['id']}")["enabled"] is True
        # It is replayed as every dead letter is.
        del house.mailbox.refuses[address]
        if state == "dead":
            house.plane.ask("POST", f"/v1/webhooks/{hook['id']}/deliveries/{row['id']}/replay")
            count = len(house.mailbox.mails)
            assert house.mailbox.until(count + 1)["To"] == address
        house.plane.ask("DELETE", f"/v1/webhooks/{hook['id']}")


SPELLINGS = [
    "4539578763621486",
    "4539 5787 6362 1486",
    "4539.5787.6362.1486",
    "4539\u200b5787\u200b6362\u200b1486",
    "pay4539578763621486now",
]


def test_s15_a_card_number_of_an_agents_is_in_no_mail(house: House) -> None:
    """Behaviour 5.13, 8.4."""
    house.down()
    house.up()
    key = house.plane.buyer({"autoApproveBelow": 500})
    count = len(house.mailbox.mails)
    addresses = [f"https://shop.example.com/{it}" for it in (SPELLINGS[0], SPELLINGS[1].replace(" ", "%20"))]
    fields = ["merchant_name", "description", "justification", "category_hint", "idempotency_key"]
    wrong = [(field, text) for field in fields for text in SPELLINGS] + [("merchant_url", it) for it in addresses]
    for field, text in wrong:
        with pytest.raises(urllib.error.HTTPError) as refused:
            house.plane.ask("POST", "/v1/purchase-requests", {**WISH, field: text}, key)
        assert refused.value.code == 400, (field, text)
        assert "card number" in refused.value.read().decode(), (field, text)
    ask(house, key, {"amount": "77.00", "description": "Order 12345"})
    text = text_of(house.mailbox.until(count + 1))
    assert "Order 12345" in text
    for told in [text, house.log.read_text(encoding="utf-8")]:
        assert SPELLINGS[0] not in re.sub(r"\D", "", told)


def test_whoever_starts_without_a_mail_server_hears_of_mailboxes(tmp_path: pathlib.Path) -> None:
    said = "people are to be told by e-mail, and there is no [mail]"
    log = tmp_path / "log"
    config = tmp_path / "config.toml"
    config.write_text('[mail]\nhost = "127.0.0.1"\ntls = "none"\nfrom = "n@example.com"\n', encoding="utf-8")
    with running(tmp_path, "--config", str(config)) as plane:
        address = person(plane, "reviewer")
        hook = plane.ask("POST", "/v1/webhooks", {"channel": "email", "url": f"mailto:{address}"})
        assert said not in log.read_text(encoding="utf-8")
    with serving(tmp_path) as ready:
        since = time.monotonic()
        while said not in (told := log.read_text(encoding="utf-8")):
            assert time.monotonic() - since < PATIENCE_S, told
            time.sleep(0.05)
        assert "mailboxes=1" in told or '"mailboxes":1' in told, told
        again = Plane(ready["listen"], plane.owner, plane.customer, plane.data, ready["ops"])
        again.ask("PATCH", f"/v1/webhooks/{hook['id']}", {"enabled": False})
    with serving(tmp_path) as ready:
        # Nobody is to be told: nothing is said.
        time.sleep(1)
        assert said not in log.read_text(encoding="utf-8")
