"""Files are written whole or not at all; links, pipes and modes stay what they are; nothing is left behind."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fokker.solvers.common import check_writable, files, write_whole

LEFT = f"{files.PREFIX}0{files.SUFFIX}"
IMPORT = (
    "import sys; from pathlib import Path\n"
    f"sys.path.insert(0, {str(Path(files.__file__).parent)!r}); import files"
)
"""The module alone, without torch."""


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "file.json"
    write_whole(file, b"one")
    write_whole(file, b"another")
    assert file.read_bytes() == b"another"
    assert list(file.parent.iterdir()) == [file]


def test_what_cannot_be_written_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    write_whole(file, b"old")

    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(file, b"new")
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_bytes(b"old")
    link.symlink_to(file)
    write_whole(link, b"new")
    assert link.is_symlink()
    assert file.read_bytes() == b"new"


def test_a_pipe_is_written_into(tmp_path: Path) -> None:
    pipe, read = tmp_path / "pipe", list[bytes]()
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()), daemon=True)
    reader.start()
    write_whole(pipe, b"content")
    reader.join(10.0)
    assert read == [b"content"]
    assert pipe.is_fifo()


def test_a_link_that_was_planted_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if its name was guessed: the temporary file gets another one."""
    victim, tokens = tmp_path / "victim", iter(["0", "1"])
    victim.write_bytes(b"precious")
    (tmp_path / LEFT).symlink_to(victim)
    monkeypatch.setattr(files.secrets, "token_hex", lambda _: next(tokens))
    with pytest.raises(FileExistsError):
        write_whole(tmp_path / "file", b"content")
    assert victim.read_bytes() == b"precious"
    write_whole(tmp_path / "file", b"content")
    assert (tmp_path / "file").read_bytes() == b"content"
    assert victim.read_bytes() == b"precious"


def test_names_of_temporary_files_cannot_be_guessed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = set[str]()
    replace = os.replace

    def watched(source: Path, target: Path) -> None:
        names.add(source.name)
        replace(source, target)

    monkeypatch.setattr(os, "replace", watched)
    for _ in range(8):
        write_whole(tmp_path / "file", b"")
    assert len(names) == 8
    assert all(len(name) - len(files.PREFIX + files.SUFFIX) == 16 for name in names)  # 64 bits


@pytest.mark.parametrize("mode", [0o640, 0o600, 0o666, 0o755])
def test_the_mode_of_a_file_is_kept(mode: int, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    file.chmod(mode)
    write_whole(file, b"new")
    assert stat.S_IMODE(file.stat().st_mode) == mode
    assert file.read_bytes() == b"new"


def test_a_new_file_has_the_mode_of_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "file", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


def _read_only(folder: Path) -> Path:
    file = folder / "file"
    file.write_bytes(b"old")
    file.chmod(0o444)
    return file


def _below_a_file(folder: Path) -> Path:
    (folder / "file").write_bytes(b"old")
    return folder / "file" / "below"


@pytest.mark.parametrize(
    ("made", "error"),
    [
        (_read_only, PermissionError),
        (_below_a_file, NotADirectoryError),
        (lambda folder: folder, IsADirectoryError),
        (lambda folder: Path("/proc/fokker/file"), OSError),
        (lambda folder: folder / ("x" * 300), OSError),
    ],
)
@pytest.mark.parametrize("call", [check_writable, lambda file: write_whole(file, b"new")], ids=["check", "write"])
def test_what_cannot_be_written_is_refused_and_named(
    call: Callable[[Path], None], made: Callable[[Path], Path], error: type[OSError], tmp_path: Path
) -> None:
    """A read-only file too, if root writes, to whom nothing is forbidden."""
    file = made(tmp_path)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(error) as raised:
        call(file)
    assert raised.value.filename == str(file)
    assert raised.value.strerror
    assert sorted(tmp_path.iterdir()) == before
    assert all(each.read_bytes() == b"old" for each in before)


@pytest.mark.parametrize("user", ["root", "nobody"])
def test_a_folder_without_permission(user: str, tmp_path: Path) -> None:
    """What the kernel refuses, the check refuses: root may write there, and nobody else."""
    if os.getuid() and user == "root":
        pytest.skip("needs root")
    tmp_path.chmod(0o555)
    program = (
        f"{IMPORT}; import os\n"
        "if sys.argv[1] == 'nobody' and os.getuid() == 0: os.setuid(65534)\n"
        "os.umask(0)\n"
        "try: files.check_writable(Path(sys.argv[2])); print('fine')\n"
        "except PermissionError as error: print(error.filename)\n"
    )
    for folder in [tmp_path, *tmp_path.parents[:2]]:
        kept = stat.S_IMODE(folder.stat().st_mode)
        folder.chmod(kept | 0o555)
    file = tmp_path / "file"
    done = subprocess.run(
        [sys.executable, "-c", program, user, str(file)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ("fine" if user == "root" else str(file))


@pytest.mark.parametrize("call", [check_writable, lambda file: write_whole(file, b"new")], ids=["check", "write"])
def test_a_full_disk_is_noticed(
    call: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"old")

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    class Full(files.FileIO):
        write = full  # type: ignore[assignment]

    monkeypatch.setattr(files, "FileIO", Full)
    with pytest.raises(OSError, match="No space left") as raised:
        call(file)
    assert raised.value.filename == str(file)
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_check_leaves_nothing_behind(tmp_path: Path) -> None:
    check_writable(tmp_path / "a" / "b" / "file")
    check_writable(tmp_path / "file")
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").write_bytes(b"old")
    check_writable(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"old"
    check_writable(Path("/dev/null"))


WRITER = (
    f"{IMPORT}\n"
    "def wait(stream, content):\n"
    "    stream.write(content[:3]); print('half', flush=True); sys.stdin.read(); stream.write(content[3:])\n"
    "if len(sys.argv) > 2: files._write = wait\n"
    "for k in range(50): files.write_whole(Path(sys.argv[1]), b'%d ' % k * 9999)\n"
)
"""Writes a file fifty times, or waits half-way each time until nobody will answer."""


def writer(file: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(file), *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def leftovers(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"{files.PREFIX}*"))


def test_a_writer_that_lives_keeps_its_temporary_file_and_a_killed_one_does_not(tmp_path: Path) -> None:
    file = tmp_path / "file"
    with writer(file, "wait") as alive, writer(tmp_path / "other", "wait") as killed:
        for process in (alive, killed):
            assert process.stdout is not None
            assert process.stdout.readline() == "half\n"
        assert len(leftovers(tmp_path)) == 2
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait()
        write_whole(file, b"content")
        assert len(leftovers(tmp_path)) == 1
        assert file.read_bytes() == b"content"
        assert alive.stdin is not None
        alive.stdin.close()
        assert alive.wait() == 0
    assert file.read_bytes() == b"49 " * 9999
    assert not leftovers(tmp_path)


def test_what_is_no_leftover_of_ours_stays(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / LEFT).symlink_to(victim)
    (tmp_path / f"{files.PREFIX}folder{files.SUFFIX}").mkdir()
    os.mkfifo(tmp_path / f"{files.PREFIX}pipe{files.SUFFIX}")
    write_whole(tmp_path / "file", b"content")
    assert len(leftovers(tmp_path)) == 3
    assert victim.read_bytes() == b"precious"


def test_threads_and_processes_write_one_file(tmp_path: Path) -> None:
    """Whoever reads meanwhile finds a whole content."""
    file = tmp_path / "file"
    write_whole(file, b"0 " * 9999)
    with writer(file) as process, ThreadPoolExecutor(4) as pool:
        done = [pool.submit(write_whole, file, b"%d " % k * 9999) for k in range(200)]
        deadline = time.monotonic() + 60.0
        while (process.poll() is None or not all(each.done() for each in done)) and time.monotonic() < deadline:
            words = file.read_bytes().split()
            assert len(words) == 9999
            assert len(set(words)) == 1
        assert process.wait() == 0
        for each in done:
            each.result()
    assert list(tmp_path.iterdir()) == [file]


def test_a_temporary_file_that_was_taken_for_a_leftover_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its making and its lock nothing tells it from a leftover."""
    lock, removed = files._lock, list[Path]()

    def late(descriptor: int, *, wait: bool) -> bool:
        if wait and not removed:
            removed.extend(leftovers(tmp_path))
            removed[0].unlink()
        return lock(descriptor, wait=wait)

    monkeypatch.setattr(files, "_lock", late)
    write_whole(tmp_path / "file", b"content")
    assert len(removed) == 1
    assert (tmp_path / "file").read_bytes() == b"content"
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_the_folder_is_synchronised_after_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = list[bool]()
    monkeypatch.setattr(os, "fsync", lambda number: kinds.append(stat.S_ISDIR(os.fstat(number).st_mode)))
    write_whole(tmp_path / "file", b"content")
    assert kinds == [False, True]
