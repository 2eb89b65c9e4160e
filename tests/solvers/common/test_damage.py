"""A file that holds its digest tells every change of every bit."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from fokker.solvers.common import UNSEALED, check_seal, naming, sealed

CONTENT = f'{{"sha256": "{UNSEALED}", "values": [0.5, 1.0], "again": "{UNSEALED}"}}'.encode()


def test_the_digest_is_that_of_the_file_with_zeros_in_its_place() -> None:
    content, digest = sealed(CONTENT), hashlib.sha256(CONTENT).hexdigest()
    assert content == CONTENT.replace(UNSEALED.encode(), digest.encode(), 1)
    check_seal(Path("file"), content, digest)


def test_every_bit_counts() -> None:
    content = sealed(CONTENT)
    place = content.index(b": ") + 3
    for bit in range(8 * len(content)):
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        stated = bytes(changed[place : place + 64]).decode("latin-1")
        with pytest.raises(ValueError, match=r"^file is damaged: its content does not have the digest"):
            check_seal(Path("file"), bytes(changed), stated)


@pytest.mark.parametrize("digest", [None, "", 3, "0" * 63, ["0" * 64], "é" * 64])
def test_what_is_no_digest_is_none(digest: object) -> None:
    with pytest.raises(ValueError, match="file is damaged"):
        check_seal(Path("file"), sealed(CONTENT), digest)


def test_an_error_names_the_file() -> None:
    for error in (TypeError("x is no number."), ValueError("x is no number.")):
        with pytest.raises(ValueError, match=r"^file: x is no number\.$"), naming(Path("file")):
            raise error
