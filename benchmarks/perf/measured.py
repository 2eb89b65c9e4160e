"""What was measured, table by table, for the summary at the end of the run."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

__all__ = ["enter", "show"]

_TABLES: dict[str, tuple[tuple[str, ...], list[tuple[str, ...]]]] = {}


def enter(title: str, **row: str | float) -> None:
    """Adds a row, whose keywords are the columns, to the table of that title."""
    columns, rows = _TABLES.setdefault(title, (tuple(row), []))
    if columns != tuple(row):
        raise ValueError(f"The table {title!r} has the columns {columns}, but a row has {tuple(row)}.")
    rows.append(tuple(value if isinstance(value, str) else f"{value:.4g}" for value in row.values()))


def show() -> None:
    console = Console(width=120)
    for title, (columns, rows) in _TABLES.items():
        table = Table(title=title)
        for i, column in enumerate(columns):
            table.add_column(column.replace("_", " "), justify="left" if i == 0 or column == "method" else "right")
        for row in rows:
            table.add_row(*row)
        console.print(table)
