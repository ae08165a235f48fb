"""The whole story on one machine: a server with the sandbox issuer, an owner, an agent, a merchant.

    pip install mcp
    COUNTERSIGN_BIN=target/release/countersign python examples/agent/play.py

The agent buys for 8.00 by itself, for 24.00 with its owner's word, and for 90.00 not at all; each card is
charged twice, and the second charge is declined. Everything lives in a temporary directory.
"""

from __future__ import annotations

import asyncio
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from typing import Any

from agent import buy

ANYWHERE = [part for name in ("issuer-listen", "listen", "ops-listen") for part in (f"--{name}", "127.0.0.1:0")]
POLICY = {
    "autoApproveBelow": 1000,
    "allowedDomains": ["example.com"],
    "limits": {"perDay": 5000},
}
# The owner looks this often for what waits, and for this long at most.
LOOK_EVERY_S = 0.2
LOOKS_MAX = 300


class Owner:
    """Makes the agent, and decides what waits for a human."""

    def __init__(self, url: str, key: str, customer: str) -> None:
        self.url, self.key, self.customer = url, key, customer

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.loads(response.read())

    def hires(self) -> str:
        """The key of a new agent."""
        agent = self.ask("POST", "/v1/agents", {"customerId": self.customer, "name": "shopper", "policy": POLICY})
        key = self.ask("POST", "/v1/api-keys", {"scope": "agent", "agentId": agent["id"]})
        return str(key["key"])

    def approves_one(self) -> None:
        """Waits for a request, looks at it, and approves what was looked at."""
        for _ in range(LOOKS_MAX):
            waiting = self.ask("GET", "/v1/purchase-requests?status=pending_review")["data"]
            if waiting:
                it = waiting[0]
                causes = "; ".join(cause["text"] for cause in it["causes"])
                print(f"owner: {it['amount']} {it['currency']} at {it['host']} waits: {causes}", flush=True)
                print(f"owner: the agent says: {it['asked']['justification']!r}", flush=True)
                self.ask("POST", f"/v1/purchase-requests/{it['id']}/approve", {"version": it["version"]})
                print("owner: approved", flush=True)
                return
            time.sleep(LOOK_EVERY_S)
        raise RuntimeError("nothing waits for the owner")


def word_after(said: str, label: str) -> str:
    line = next(line for line in said.splitlines() if line.strip().startswith(label))
    return line.split()[-1]


def story(binary: str, home: pathlib.Path) -> list[str]:
    """Plays it; how each purchase ended."""
    data = ["--data-dir", str(home / "data")]
    made = subprocess.run([binary, "init", *data], capture_output=True, text=True, check=True).stdout
    with (home / "log").open("w", encoding="utf-8") as log:
        server = subprocess.Popen([binary, "serve", *data, *ANYWHERE], stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        line = server.stdout.readline() if server.stdout else ""
        if not line.startswith("ready "):
            raise RuntimeError(f"the server did not start:\n{(home / 'log').read_text(encoding='utf-8')}")
        url = json.loads(line.removeprefix("ready "))["listen"]
        owner = Owner(url, word_after(made, "owner key"), word_after(made, "customer"))
        key = owner.hires()

        def charged(amount: str) -> Any:
            def pay(card: str, shown: dict[str, str]) -> str:
                """The merchant, who has the number and asks the card's issuer."""
                purchase = ["--card", card, "--amount", amount, "--mcc", "5734", "--merchant", "EXAMPLE SHOP"]
                asked = [binary, "sandbox", "authorize", *data, *purchase, "--json"]
                answer = json.loads(subprocess.run(asked, capture_output=True, text=True, check=False).stdout)
                return f"{answer['result']} on the card that ends in {shown['number'][-4:]}"

            return pay

        async def buys() -> list[str]:
            ended = [await buy(url, key, "8.00", charged("8.00"))]
            human = threading.Thread(target=owner.approves_one)
            human.start()
            ended.append(await buy(url, key, "24.00", charged("24.00")))
            human.join()
            ended.append(await buy(url, key, "90.00", charged("90.00")))
            return ended

        return asyncio.run(buys())
    finally:
        server.terminate()
        server.wait(timeout=20)


def main() -> None:
    binary = os.environ.get("COUNTERSIGN_BIN", "target/release/countersign")
    if not os.access(binary, os.X_OK):
        sys.exit(f"play: COUNTERSIGN_BIN={binary} is no program: `cargo build --release --locked` makes it")
    with tempfile.TemporaryDirectory() as home:
        ended = story(binary, pathlib.Path(home))
    if ended != ["bought", "bought", "denied"]:
        sys.exit(f"the purchases ended otherwise: {ended}")


if __name__ == "__main__":
    main()
