"""Files that are there whole or not at all."""

import hashlib
import signal
import subprocess
import sys

import pytest

from processes import wait_for
from shards.files import atomic_write, sha256_of, write_text


def test_a_file_takes_its_name_only_when_it_is_whole(tmp_path):
    path = tmp_path / "file"
    with atomic_write(path) as stream:
        stream.write(b"half")
        stream.flush()
        assert not path.exists()
        stream.write(b" whole")
    assert path.read_bytes() == b"half whole"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_what_stood_there_and_nothing_else(tmp_path, error):
    path = tmp_path / "file"
    write_text(path, "earlier")
    with pytest.raises(error), atomic_write(path) as stream:
        stream.write(b"later")
        raise error
    assert path.read_text() == "earlier"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.processes
def test_a_killed_process_leaves_no_half_file_under_the_name(tmp_path):
    path = tmp_path / "file"
    script = (
        "import sys, time; from pathlib import Path; from shards.files import atomic_write\n"
        "with atomic_write(Path(sys.argv[1])) as stream:\n"
        "    stream.write(b'half'); stream.flush(); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", script, path]) as process:
        wait_for(lambda: any(item.stat().st_size == 4 for item in tmp_path.iterdir()), process=process)
        process.send_signal(signal.SIGKILL)
    assert not path.exists()


def test_text_is_utf8_and_a_sha256_is_that_of_the_bytes(tmp_path):
    path = tmp_path / "file"
    write_text(path, "木\n")
    assert path.read_bytes() == "木\n".encode()
    assert sha256_of(path) == hashlib.sha256("木\n".encode()).hexdigest()
