"""Count the rooms of every floor, the imports between them, and the circles, from the files alone.

    python tools/rooms.py [ROOT]

A room is a module that lies directly in a floor's folder, or a package there with all that it holds. An arrow leads
from one room to another one that it imports, however often and wherever in its files. A circle is a largest set of
rooms each of which imports all others, directly or through others. Levels are the floor's layers: a room stands one
level above the highest room that it imports, and the rooms of a circle stand on one level. Imports inside the package
are relative, so that no others count.
"""

from __future__ import annotations

import argparse
import ast
from collections.abc import Iterator
from pathlib import Path

FLOORS = ("solvers", "generative", "verification", "verification/claims", "benchmarks")
Arrows = dict[str, set[str]]


def rooms(floor: Path) -> dict[str, list[Path]]:
    """The files of each room."""
    found = {file.stem: [file] for file in floor.glob("*.py") if file.stem != "__init__"}
    return found | {face.parent.name: sorted(face.parent.rglob("*.py")) for face in floor.glob("*/__init__.py")}


def imported(file: Path, root: Path) -> Iterator[tuple[str, ...]]:
    """What a file imports from inside the package, each as a path from the root, a name in a module at its end."""
    package = file.relative_to(root).parts[:-1]
    for node in ast.walk(ast.parse(file.read_text())):
        if not isinstance(node, ast.ImportFrom):
            continue
        module = tuple(node.module.split(".")) if node.module else ()
        if node.level:
            module = package[: len(package) - node.level + 1] + module
            yield from ((*module, alias.name) for alias in node.names)


def arrows(root: Path, floor: str) -> Arrows:
    """The other rooms of the floor that each room imports."""
    here, known = tuple(floor.split("/")), rooms(root / floor)
    depth = len(here)
    found: Arrows = {}
    for room, files in known.items():
        targets = {path[depth] for file in files for path in imported(file, root) if path[:depth] == here}
        found[room] = (targets & known.keys()) - {room}
    return found


def reachable(found: Arrows) -> Arrows:
    """The rooms that each room imports, directly or through others."""
    reach = {room: set(targets) for room, targets in found.items()}
    for middle in reach:
        for targets in reach.values():
            if middle in targets:
                targets |= reach[middle]
    return reach


def counts(found: Arrows) -> dict[str, int]:
    """The columns of the table for one floor."""
    reach = reachable(found)

    def level(room: str) -> int:
        return 1 + max((level(below) for below in reach[room] if room not in reach[below]), default=0)

    return {
        "rooms": len(found),
        "levels": max(map(level, found), default=0),
        "arrows": sum(map(len, found.values())),
        "pairs that import each other": sum(a < b and a in found[b] for a, targets in found.items() for b in targets),
        "circles": len({frozenset(b for b in reach[a] if a in reach[b]) for a in found if a in reach[a]}),
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Count rooms, the imports between them, and circles, floor by floor.")
    parser.add_argument("root", nargs="?", type=Path, default=Path(__file__).parent.parent, help="[default: this one]")
    root = parser.parse_args().root
    table = {floor: counts(arrows(root, floor)) for floor in FLOORS if (root / floor).is_dir()}
    if not table:
        parser.error(f"{root} holds none of the folders {', '.join(FLOORS)}; give the root of the package")
    print(f"{'floor':20}", *next(iter(table.values())), sep="  ")
    for floor, row in table.items():
        print(f"{floor:20}", *(f"{number:{len(name)}}" for name, number in row.items()), sep="  ")


if __name__ == "__main__":
    main()
