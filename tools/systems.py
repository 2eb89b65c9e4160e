"""docs/coverage.md: every system that the source documents describe, with what shows it, or why it is absent.

The rows are in systems.toml. `make coverage` writes the page.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "coverage.md"
STATES = ("works", "partial", "missing")
HEAD = """# What the source documents describe, and where it is

The lecture notes of 2025 and 2026, the tutorial, the slides and the blog post describe {count} systems. {works} work,
{partial} work in part, {missing} are missing. A row that works names the claims that measure it (`fokker verify --claim
A018`) or its tests. The others say what is missing. `make coverage` writes this page from `tools/systems.toml`.
"""


@dataclass(frozen=True)
class System:
    """A row.

    Args:
        number: its number, from 1 on.
        group: the heading above it.
        title: what it is.
        sources: the documents that describe it.
        state: one of STATES.
        claims: ids of the catalogue that measure it.
        tests: files of tests that show it.
        reason: what is missing; "" where it works.
    """

    number: int
    group: str
    title: str
    sources: tuple[str, ...]
    state: str
    claims: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    reason: str = ""

    @property
    def shown(self) -> str:
        """What shows it, and what is missing."""
        tests = (f"[{Path(test).stem}](../{test})" for test in self.tests)
        proofs = ", ".join([*self.claims, *tests])
        return ". ".join(filter(None, [proofs, self.reason.rstrip(".")]))


def systems() -> list[System]:
    """The rows of systems.toml."""
    rows = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))["system"]
    return [System(**{key: tuple(each) if isinstance(each, list) else each for key, each in row.items()})
            for row in rows]  # fmt: skip


def page(rows: list[System]) -> str:
    """The page as Markdown."""
    return "\n".join(_lines(rows)) + "\n"


def _lines(rows: list[System]) -> Iterator[str]:
    counts = Counter(row.state for row in rows)
    yield HEAD.format(count=len(rows), **{state: counts[state] for state in STATES})
    for group, members in groupby(rows, lambda row: row.group):
        yield from (f"## {group}", "", "| | system | described in | state | claims, tests, what is missing |")
        yield "|---:|---|---|---|---|"
        for row in members:
            cells = (str(row.number), row.title, ", ".join(row.sources), row.state, row.shown)
            yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
        yield ""


if __name__ == "__main__":
    PAGE.write_text(page(systems()), encoding="utf-8")
    print(f"written: {PAGE.relative_to(ROOT)}")
