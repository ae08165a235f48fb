"""The example agent plays the story of docs/demo.md, line by line as it stands there."""

from __future__ import annotations

import pathlib
import re
import subprocess
import sys

from conftest import ROOT, binary

PLAY = ROOT / "examples" / "agent" / "play.py"
# What differs from run to run: the last digits of a made-up number, and instants.
VARIES = [(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "INSTANT"), (r"ends in \d{4}", "ends in DIGITS")]


def steady(text: str) -> list[str]:
    for pattern, word in VARIES:
        text = re.sub(pattern, word, text)
    return [line for line in text.splitlines() if line.startswith(("agent: ", "owner: "))]


def told_in_docs() -> list[str]:
    text = pathlib.Path(ROOT / "docs" / "demo.md").read_text(encoding="utf-8")
    return steady(text.split("```text\n")[1].split("```")[0])


def test_the_story_goes_as_its_page_tells_it() -> None:
    environment = {"COUNTERSIGN_BIN": binary(), "PATH": "/usr/bin:/bin"}
    played = subprocess.run(
        [sys.executable, str(PLAY)], capture_output=True, text=True, env=environment, check=False, timeout=120
    )
    assert played.returncode == 0, played.stderr
    assert steady(played.stdout) == told_in_docs()
    charges = [line for line in played.stdout.splitlines() if "charge of" in line]
    assert [line.split(": ")[2].split()[0] for line in charges] == ["APPROVED", "VELOCITY_EXCEEDED"] * 2
