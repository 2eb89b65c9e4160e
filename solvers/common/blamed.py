"""What a user's code raises, in one sentence that names the code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["blamed", "ended"]


@contextmanager
def blamed(what: str, known: tuple[type[Exception], ...]) -> Iterator[None]:
    """Raise an error as ValueError with `what` in its sentence, and the error itself as the cause.

    Args:
        what: the name of the code that runs inside.
        known: errors that pass as they are.
    """
    try:
        yield
    except known:
        raise
    except Exception as error:
        raise ValueError(ended(what, error)) from error


def ended(what: str, error: Exception) -> str:
    """The sentence: how the code ended. Of a long message it has the first line."""
    message = (str(error).splitlines() or ["no message"])[0]
    return f"{what} ended in {type(error).__name__}: {message.rstrip('.')}."
