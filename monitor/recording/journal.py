"""The journal of a process: what it has seen and not yet stored, on disk.

Numbered files ("segments") of one JSON text a line, filled up with zeros. A segment is
allocated whole and mapped into memory, so appending is a copy into the page cache,
without a system call: it survives the death of the process at any moment (not a power
cut). The reader deletes a segment once all of it is stored and a later one exists.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import shutil
from pathlib import Path
from typing import NamedTuple

READ_SIZE = 2**18  # bytes; well over a thousand messages, stored in a few dozen ms
WORD_SIZE = 2**12  # bytes


class Position(NamedTuple):
    """A place in a journal: everything before it is stored."""

    segment: int
    offset: int  # bytes


class Chunk(NamedTuple):
    """Lines that were read, without their newlines."""

    lines: list[bytes]
    end: Position  # the place behind them
    size: int  # bytes, newlines included


class Lock:
    """A file that a process holds locked for as long as it lives.

    Whoever can take it knows that its owner is dead. It lies beside the journal, not
    in it, so that it outlasts the last segment.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None

    def make(self, word: str) -> None:
        """Make the file, locked, with a word for whoever takes it afterwards.

        Under another name at first: nobody must find it before it is locked.
        """
        unready = self.path.with_suffix(".unready")
        file = os.open(unready, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.pwrite(file, word.encode(), 0)
            os.rename(unready, self.path)
        except OSError:
            os.close(file)
            raise
        self._file = file

    def take(self) -> str | None:
        """Take the lock of one who has died; return the word that was left.

        None if the owner lives, or if somebody else has cleared it away meanwhile.
        """
        try:
            file = os.open(self.path, os.O_RDWR)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(file).st_ino != os.stat(self.path).st_ino:
                raise FileNotFoundError
        except (BlockingIOError, FileNotFoundError):
            os.close(file)
            return None
        self._file = file
        return os.pread(file, WORD_SIZE, 0).decode()

    def release(self) -> None:
        """Give the lock up."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


class Journal:
    """The segments in one directory: one process appends, one thread reads."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.written = 0  # bytes appended
        self.stored = 0  # bytes of them that are in the database
        self._map: mmap.mmap | None = None
        self._size = 0  # bytes of the current segment
        # How far it may be read: segment and offset. Both at once, because another
        # thread reads; a plain tuple, because one is made for each line.
        self._tail = (0, 0)
        self._closed = False
        self._forgotten = 0  # segments before this one are deleted

    @property
    def waiting(self) -> int:
        """Bytes that are appended and not stored."""
        return self.written - self.stored

    def append(self, line: bytes, segment_size: int) -> None:
        """Append one line, which ends in a newline. OSError if the disk is full."""
        size = len(line)
        segment, end = self._tail
        if end + size > self._size:
            self._begin_segment(segment + 1, max(segment_size, size))
            segment, end = self._tail
        assert self._map is not None
        self._map.write(line)
        self._tail = (segment, end + size)
        self.written += size

    def start(self) -> Position:
        """The place of the oldest line that there is."""
        segments = self._segments()
        return Position(segments[0] if segments else 1, 0)

    def read(self, position: Position) -> Chunk:
        """Return about `READ_SIZE` of the lines behind `position`.

        No lines means that nothing more has been appended. Empty and unfinished
        lines are passed over.
        """
        # Asked before reading: whoever began the next segment had finished this one.
        segment, offset = self._tail
        size = READ_SIZE
        if segment:
            finished = position.segment < segment
            if not finished:
                # A line that is being copied must not be seen before it is whole.
                size = min(size, offset - position.offset)
        else:
            finished = self._path(position.segment + 1).exists()
        data = self._read(position, size)
        end = data.rfind(b"\n") + 1
        if end:
            lines = [line for line in data[:end].split(b"\n") if line]
            behind = Position(position.segment, position.offset + end)
            return Chunk(lines, behind, end)
        if finished:
            return self.read(Position(position.segment + 1, 0))
        return Chunk([], position, 0)

    def _read(self, position: Position, size: int) -> bytes:
        try:
            with open(self._path(position.segment), "rb") as file:
                file.seek(position.offset)
                data = file.read(size)
                if len(data) == READ_SIZE and b"\n" not in data and data[-1]:
                    data += file.readline()  # a line that is longer
        except FileNotFoundError:
            return b""
        return data

    def forget(self, position: Position) -> None:
        """Delete the segments before `position`."""
        if position.segment <= self._forgotten:
            return
        self._forgotten = position.segment
        for segment in self._segments():
            if segment < position.segment:
                self._path(segment).unlink()

    def remove(self) -> None:
        """Delete the journal. Only for one whose every line is stored."""
        self.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def close(self) -> None:
        """Close the segment that is being written; nothing can be appended now."""
        self._closed = True
        self._size = 0
        if self._map is not None:
            self._map.close()
            self._map = None

    def _begin_segment(self, number: int, size: int) -> None:
        if self._closed:
            raise OSError("The journal is closed.")
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Under another name at first: nobody must take it for the next one before it
        # is sure that it will be.
        path = self._path(number)
        unready = path.with_suffix(".unready")
        file = os.open(unready, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            # All of it now: a page that finds no room later would end the process.
            _allocate(file, size)
            segment = mmap.mmap(file, size)
            os.rename(unready, path)
        except OSError:
            unready.unlink()
            raise
        finally:
            os.close(file)
        if self._map is not None:
            self._map.close()
        self._map, self._size = segment, size
        self._tail = (number, 0)

    def _path(self, segment: int) -> Path:
        return self.directory / f"{segment:08}.jsonl"

    def _segments(self) -> list[int]:
        paths = self.directory.glob("*.jsonl")
        return sorted(int(path.stem) for path in paths if path.stem.isdigit())


def _allocate(file: int, size: int) -> None:
    """Let a file have `size` bytes of the disk. OSError if there are not that many."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
    else:  # macOS
        os.write(file, bytes(size))
