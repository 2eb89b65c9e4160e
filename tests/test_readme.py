"""What the pages show runs as it stands there, and the numbers that they state are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from source import ROOT

from fokker.cli import app
from fokker.generative.sampling import PUBLISHED
from fokker.verification.certificates import cases
from fokker.verification.claims import CATALOGUE

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
README, TOUR = (" ".join((ROOT / name).read_text().split()) for name in ("README.md", "docs/tour.md"))
CLAIMS = CATALOGUE.values()
COUNTS = {
    "The catalogue has {} entries.": len(CLAIMS),
    "{} of them are measured": sum(each.function is not None for each in CLAIMS),
    "{} are listed with the reason why they are not": sum(each.function is None for each in CLAIMS),
    "{} of the measured entries are errata": sum(each.erratum and each.function is not None for each in CLAIMS),
    "{} certificates of order": len(list(cases())),
}


PRINTED = {
    "README.md": [
        r"pass +ExponentialAdams\(2\) on .* Order 1\.99 ± 0\.01 over 8 to 64 steps, as declared \(2\)\.",
        r".*\(W2, exact laws\)",
    ],
    "tour.md": [
        r"ddim: ExponentialAdams\(1\), holds x0",
        r"ExponentialAdams\(1\): 20 steps, .*",
        "the same method",
        r"They part in step 0, the state, term start: .*",
    ],
}


def blocks(page: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_code_runs_and_prints_what_is_said(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in blocks(page):
        exec(compile(block, page.name, "exec"), names)
    lines = capsys.readouterr().out.splitlines()
    for sentence in PRINTED.get(page.name, []):
        assert any(re.fullmatch(sentence, line) for line in lines), (sentence, lines)


def test_the_quickstart_has_ten_lines_at_most() -> None:
    quickstart = blocks(ROOT / "README.md")[0]
    assert len([line for line in quickstart.splitlines() if line]) <= 10


@pytest.mark.parametrize(("sentence", "count"), COUNTS.items())
def test_the_counts_are_those_of_the_catalogue_and_of_the_certificates(sentence: str, count: int) -> None:
    stated = re.findall(re.escape(sentence).replace(r"\{\}", r"(\d+)"), README)
    assert stated == [str(count)], f'README.md must say once: "{sentence.format(count)}"; it says {stated}.'


def test_the_tour_lists_every_published_sampler() -> None:
    sentence = re.search(r"`named` knows these samplers: ([^.]*)\.", TOUR)
    assert sentence is not None
    assert re.findall(r"`([^`]+)`", sentence[1]) == list(PUBLISHED)


def test_the_readme_lists_every_command() -> None:
    sentence = re.search(r"lists the commands: ([^.]*)\.", README)
    assert sentence is not None
    names = [command.callback.__name__ for command in app.registered_commands if command.callback]
    assert re.findall(r"`([^`]+)`", sentence[1]) == [name.replace("_", "-") for name in names]
