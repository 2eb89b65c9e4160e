"""The page in a real browser: it renders without an error, and its filters show and hide what they should."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from fokker.generative import CondOT
from fokker.solvers import Euler, Heun
from fokker.verification.certificates import certify
from fokker.verification.claims import CATALOGUE, run
from fokker.verification.laws import equivalences
from fokker.verification.report import Report
from fokker.verification.report.page import page

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs Chromium: apt install chromium")

LISTEN = "<script>var errors = []; onerror = message => { errors.push(String(message)); };</script>"
ACT = """<script>
const found = {};
const act = (name, values) => {
  for (const [id, value] of Object.entries(values)) {
    const field = document.getElementById(id);
    field.value = value;
    field.dispatchEvent(new Event("input"));
  }
  const shown = [...document.querySelectorAll(".item")].filter(item => item.offsetParent !== null);
  found[name] = {ids: shown.map(item => item.id || item.querySelector("h3")?.textContent),
                 text: document.getElementById("shown").textContent,
                 sections: [...document.querySelectorAll("section")].filter(s => !s.hidden).map(s => s.id)};
};
act("all", {});
act("text", {text: "ornstein variance"});
act("verdict", {text: "", verdict: "not covered"});
act("chapter", {verdict: "", chapter: "certificates"});
act("nothing", {chapter: "", text: "no such words"});
act("again", {text: ""});
const svg = document.querySelector("svg").getBoundingClientRect();
found.plot = [svg.width, svg.height];
found.wide = document.documentElement.scrollWidth > innerWidth;
found.open = [...document.querySelectorAll("details.item[open]")].map(item => item.id);
document.body.innerHTML = "<pre>" + JSON.stringify({found, errors}) + "</pre>";
</script>"""


@pytest.fixture(scope="module")
def report() -> Report:
    outcomes = run([CATALOGUE[id] for id in ("A001", "A013", "A036", "E01", "E05", "A221")])
    certificates = [certify(solver, apart=False) for solver in (Euler(), Heun())]
    return Report(outcomes, certificates, {}, [equivalences(CondOT())], seconds=1.0)


def dumped(text: str, folder: Path, width: int = 1200, anchor: str = "") -> dict[str, Any]:
    """What the page's script finds in the browser after it has acted."""
    file = folder / "page.html"
    file.write_text(text.replace("<head>", f"<head>{LISTEN}", 1).replace("</body>", f"{ACT}</body>", 1))
    command = [
        BROWSER or "", "--headless", "--no-sandbox", "--disable-gpu", f"--window-size={width},900",
        f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=5000", "--dump-dom", f"file://{file}{anchor}",
    ]  # fmt: skip
    environment = os.environ | {"HOME": str(folder)}
    output = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=True).stdout
    match = re.search(r"<pre>(.*?)</pre>", output, re.DOTALL)
    assert match is not None, output[-2000:]
    found: dict[str, Any] = json.loads(match[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
    return found


def test_the_page_renders_and_its_filters_work(report: Report, tmp_path: Path) -> None:
    result = dumped(page(report), tmp_path)
    assert result["errors"] == []
    found = result["found"]
    assert found["all"]["text"] == "9 of 9"
    assert found["all"]["sections"] == ["claims", "errata", "certificates", "equivalences"]
    assert set(found["all"]["ids"]) >= {"A001", "A013", "A036", "A221", "E01", "E05", "Euler()", "Heun()"}
    assert set(found["text"]["ids"]) == {"A036", "E01"}
    assert found["text"]["sections"] == ["claims", "errata"]
    assert set(found["verdict"]["ids"]) == {"A221", "E05"}
    assert set(found["chapter"]["ids"]) == {"Euler()", "Heun()"}
    assert found["chapter"]["sections"] == ["certificates"]
    assert found["nothing"] == {"ids": [], "text": "0 of 9", "sections": []}
    assert found["again"] == found["all"]
    assert found["plot"][0] > 250
    assert found["plot"][1] > 150
    assert not found["wide"]


def test_on_a_phone_nothing_is_wider_than_the_screen(report: Report, tmp_path: Path) -> None:
    result = dumped(page(report), tmp_path, width=500)
    assert result["errors"] == []
    assert not result["found"]["wide"]


def test_a_link_opens_its_statement(report: Report, tmp_path: Path) -> None:
    result = dumped(page(report), tmp_path, anchor="#A013")
    assert result["found"]["open"] == ["A013"]
