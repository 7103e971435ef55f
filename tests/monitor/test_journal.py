import contextlib
import resource

import pytest

from monitor.recording.journal import Journal, Lock

SMALL = 30  # bytes of a segment


@pytest.fixture
def journal(tmp_path):
    journal = Journal(tmp_path / "journal")
    yield journal
    journal.close()


def read_all(journal, position=None):
    """Every line from `position` on, and the place behind them."""
    chunk = journal.read(position or journal.start())
    found = []
    while chunk.lines:
        found += chunk.lines
        chunk = journal.read(chunk.end)
    return found, chunk.end


def test_what_is_appended_is_read_in_order_across_segments(journal):
    lines = [f"line {number}".encode() for number in range(20)]

    for line in lines:
        journal.append(line + b"\n", SMALL)

    assert len(list(journal.directory.iterdir())) > 3
    assert read_all(journal)[0] == lines


def test_a_reader_goes_on_where_it_was(journal):
    journal.append(b"one\n", SMALL)
    _, position = read_all(journal)

    journal.append(b"two\n", SMALL)

    assert read_all(journal, position)[0] == [b"two"]


def test_an_unfinished_line_is_not_read(journal):
    journal.append(b"whole\n", SMALL)

    journal.append(b"half a li", SMALL)

    assert read_all(journal)[0] == [b"whole"]


def test_a_line_longer_than_one_read_is_read_whole(journal):
    long = b"x" * (3 * 2**20)

    journal.append(long + b"\n", SMALL)
    journal.append(b"short\n", SMALL)

    assert read_all(journal)[0] == [long, b"short"]


def test_stored_segments_are_forgotten_and_the_current_one_stays(journal):
    for number in range(20):
        journal.append(b"line %d\n" % number, SMALL)
    _, position = read_all(journal)

    journal.forget(position)

    assert len(list(journal.directory.iterdir())) == 1
    journal.append(b"more\n", SMALL)
    assert read_all(journal, position)[0] == [b"more"]


def test_another_journal_of_the_same_directory_reads_what_is_left(journal):
    journal.append(b"left behind\n", SMALL)

    other = Journal(journal.directory)

    assert read_all(other)[0] == [b"left behind"]


def test_a_full_disk_refuses_a_line_and_takes_the_next_once_there_is_room(journal):
    journal.append(b"before\n", SMALL)
    with files_of_at_most(SMALL - 1), pytest.raises(OSError, match="large"):
        journal.append(b"a line that begins a segment\n", SMALL)

    journal.append(b"after, in a segment of its own\n", SMALL)

    assert read_all(journal)[0] == [b"before", b"after, in a segment of its own"]


@contextlib.contextmanager
def files_of_at_most(size):
    """Let the system refuse larger files, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_a_kill_left_half_copied_is_not_read(journal):
    journal.append(b"whole\n", SMALL)
    journal.append(b"half", SMALL)
    journal.close()

    other = Journal(journal.directory)

    assert read_all(other)[0] == [b"whole"]


def test_a_lock_is_held_until_its_owner_lets_go_and_keeps_a_word(tmp_path):
    owner, other = Lock(tmp_path / "a.lock"), Lock(tmp_path / "a.lock")

    owner.make("who I was")
    assert other.take() is None
    owner.release()

    assert other.take() == "who I was"
    other.release()


def test_a_lock_that_somebody_cleared_away_cannot_be_taken(tmp_path, monkeypatch):
    lock = Lock(tmp_path / "a.lock")
    lock.make("")
    lock.release()
    late = Lock(lock.path)
    monkeypatch.setattr(
        "monitor.recording.journal.fcntl.flock", lambda *args: lock.path.unlink()
    )

    assert late.take() is None
    assert Lock(tmp_path / "never.lock").take() is None
