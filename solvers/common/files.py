"""Files that are written atomically."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["write_whole"]


def write_whole(file: Path, content: bytes) -> None:
    """Write a file atomically: even if the machine stops, the file has its old content or the new one.

    A link stays a link, and the file that it leads to is written. A device or a pipe, such as /dev/stdout, is written
    directly.

    Args:
        file: the path of the file. Its folder is made if it does not exist.
        content: the bytes.
    """
    if file.exists() and not file.is_file():
        file.write_bytes(content)
        return
    file = file.resolve()
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)
