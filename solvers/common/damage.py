"""Files that tell when they are damaged, because they hold the SHA-256 of themselves.

The digest is that of the whole file with zeros in its place, so that it covers every bit of the file: the content, what
is said of it, and the digest.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["UNSEALED", "check_seal", "naming", "sealed", "warn_unsealed"]

UNSEALED = "0" * 64
"""What stands in the place of the digest until it is known."""


def sealed(content: bytes) -> bytes:
    """The content of a file, with its digest in the place of the first `UNSEALED`."""
    return content.replace(UNSEALED.encode(), hashlib.sha256(content).hexdigest().encode(), 1)


def check_seal(file: Path, content: bytes, digest: Any) -> None:
    """Raise ValueError unless a file is as it was written.

    Args:
        file: its name.
        content: the bytes of the file.
        digest: the digest that it states, first of all in its bytes.
    """
    intact = isinstance(digest, str) and len(digest) == len(UNSEALED) and hashlib.sha256(
        content.replace(digest.encode(), UNSEALED.encode(), 1)
    ).hexdigest() == digest
    if not intact:
        raise ValueError(f"{file} is damaged: its content does not have the digest that it states; get it anew.")


def warn_unsealed(file: Path, again: str) -> None:
    """Warn of a file that was written before files had digests; `again` writes it anew."""
    warnings.warn(
        f"{file} has no digest, so that damage to it would not be noticed; write it anew: {again}.", stacklevel=4
    )


@contextmanager
def naming(file: Path) -> Iterator[None]:
    """Errors in what a file says become a ValueError that names the file."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise ValueError(f"{file}: {error}") from None
