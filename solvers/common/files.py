"""Files that are written whole or not at all.

The content goes into a temporary file in the same folder, which then takes the name of the file. Its writer holds a
lock on it, which ends with the writer: a temporary file without a lock is the leftover of a writer that was killed, and
the next writer in the folder removes it. A temporary file has a name that nobody can guess, and is opened only if
nothing has this name, so that a link that was planted there is never followed.
"""

from __future__ import annotations

import os
import secrets
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EACCES, EISDIR, ENOTDIR
from io import FileIO
from pathlib import Path

if sys.platform != "win32":
    import fcntl

__all__ = ["check_writable", "is_file", "write_whole"]

PREFIX, SUFFIX = ".fokker-", ".part"
BLOCK = bytes(4096)
"""A full disk has no room for so many bytes."""


def write_whole(file: Path, content: bytes) -> None:
    """Write a file atomically: even if the machine stops, the file has its old content or the new one.

    Several threads and processes may write one file: it has the content of one of them. A file that is there keeps its
    mode. A link stays a link, and the file that it leads to is written. A device or a pipe, such as /dev/stdout, is
    written directly.

    Args:
        file: the path of the file. Its folder is made if it does not exist.
        content: the bytes.

    Raises:
        OSError: the file is read-only or a folder, or cannot be written; its `filename` is the file's.
        ValueError: no file can have the name.
    """
    with _named(file):
        mode = _mode(file)
        if mode is None and file.exists():
            file.write_bytes(content)
            return
        target = file.resolve()
        _nearest_folder(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(target.parent)
        with _temporary(target.parent) as (stream, temporary):
            if mode is not None:
                temporary.chmod(mode)
            _write(stream, content)
            if sys.platform == "win32":
                stream.close()  # an open file keeps its name there
            os.replace(temporary, target)
        with suppress(OSError):  # of a file system whose folders cannot be synchronised; the file is there
            _synchronise(target.parent)


def check_writable(file: Path) -> None:
    """Raise the OSError that `write_whole` would raise now, before the work whose result it writes.

    A temporary file is written and removed. No folder is made.

    Args:
        file: the path of the file.

    Raises:
        OSError: the file cannot be written; its `filename` is the file's.
        ValueError: no file can have the name.
    """
    with _named(file):
        if _mode(file) is None and file.exists():
            if not os.access(file, os.W_OK):
                raise PermissionError(EACCES, "cannot be written")
            return
        with _temporary(_nearest_folder(file.resolve())) as (stream, _):
            _write(stream, BLOCK)


def is_file(file: Path) -> bool:
    """Whether there is such a file; a name that the system does not take has none."""
    try:
        return file.is_file()
    except (OSError, ValueError):
        return False


@contextmanager
def _named(file: Path) -> Iterator[None]:
    """Errors name the file, not what stands in for it. Raises ValueError for a name that no file has."""
    if not file.name or "\0" in str(file):
        raise ValueError(f"file is {str(file)!r}, but must be the name of a file; give for example 'mine.json'.")
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(file)) from error


def _mode(file: Path) -> int | None:
    """The mode of a file that is there; None for none, and for a device or a pipe. Raises OSError for a folder."""
    if file.is_dir():
        raise IsADirectoryError(EISDIR, "is a folder; give a file")
    if not file.is_file():
        return None
    mode = stat.S_IMODE(file.stat().st_mode)
    if not mode & 0o222 or not os.access(file, os.W_OK):  # nothing is forbidden to root, and meant all the same
        raise PermissionError(EACCES, "is read-only")
    return mode


def _nearest_folder(file: Path) -> Path:
    """The folder of a file, or the one in which it is to be made. Raises NotADirectoryError if that is a file."""
    folder = next(each for each in file.parents if each.exists())
    if not folder.is_dir():
        raise NotADirectoryError(ENOTDIR, f"{folder} is a file, no folder")
    return folder


@contextmanager
def _temporary(folder: Path) -> Iterator[tuple[FileIO, Path]]:
    """A new temporary file, locked, and its path. Afterwards it is closed and, if still there, removed.

    Between its making and its lock another writer may take it for a leftover: then there is a second one.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    while True:
        path = folder / f"{PREFIX}{secrets.token_hex(8)}{SUFFIX}"
        stream = FileIO(os.open(path, flags, 0o666), "wb")
        _lock(stream.fileno(), wait=True)
        if os.fstat(stream.fileno()).st_nlink:
            break
        stream.close()
    try:
        yield stream, path
    finally:
        stream.close()
        path.unlink(missing_ok=True)


def _remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of writers that are dead: those that nobody locks."""
    for path in folder.glob(f"{PREFIX}*{SUFFIX}"):
        with suppress(OSError):  # somebody else removed it, or it is no file of ours
            descriptor = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
            try:
                if _lock(descriptor, wait=False) and stat.S_ISREG(os.fstat(descriptor).st_mode):
                    path.unlink()
            finally:
                os.close(descriptor)


def _lock(descriptor: int, *, wait: bool) -> bool:
    """Lock a file until its descriptor is closed. False if another writer has it, and where nothing can be locked."""
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True


def _write(stream: FileIO, content: bytes) -> None:
    """Write all of the content, as far as the disk."""
    left = memoryview(content)
    while left:
        left = left[stream.write(left) :]
    os.fsync(stream.fileno())


def _synchronise(folder: Path) -> None:
    """Bring the names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
