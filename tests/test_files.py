import errno
import gzip
import re
import resource
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from bioutils.errors import BioutilsError, DataError, UsageError, expected
from bioutils.files import (
    atomic_folder,
    atomic_path,
    atomic_writer,
    check_folder,
    check_unharmed,
    read_json,
    read_lines,
    write_json,
)


def test_lines_of_plain_windows_and_packed_files(tmp_path):
    path = tmp_path / "named.txt"
    for content in (b"a\nb\n", b"\xef\xbb\xbfa\r\nb", gzip.compress(b"a\nb\n")):
        path.write_bytes(content)
        assert list(read_lines(path)) == [(1, "a"), (2, "b")]


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "empty"), (gzip.compress(b"", mtime=0), "empty"), (b"a\ncaf\xe9\n", r"x\.txt:2: Not UTF-8 \(byte 0xe9 at column 4\)"), (gzip.compress(b"a" * 99, mtime=0)[:-9], "cut short")],
)  # fmt: skip
def test_bad_files(tmp_path, content, message):
    path = tmp_path / "x.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        list(read_lines(path))


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(DataError, match="No such file"):
        list(read_lines(tmp_path / "none"))
    with pytest.raises(DataError, match="folder"):
        list(read_lines(tmp_path))


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic_writer(path) as stream:
        stream.write("new")
        raise RuntimeError
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a.txt", "old")]


def test_a_full_disk_is_one_message(tmp_path):
    with (
        pytest.raises(BioutilsError, match=r"a\.txt: could not be written \(No space left on device\)"),
        atomic_path(tmp_path / "a.txt") as path,
    ):
        path.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def file_limit():
    """A function that lets no file grow beyond so many bytes, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("kind", ["safetensors", "tokenizers", "plain"])
def test_a_full_disk_of_libraries_with_errors_of_their_own(tmp_path, file_limit, kind):
    def write(folder):
        if kind == "safetensors":
            save_file({"a": torch.zeros(100_000)}, folder / "a.safetensors")
        elif kind == "tokenizers":
            Tokenizer(WordLevel({f"piece{i}": i for i in range(10_000)}, unk_token="piece0")).save(
                str(folder / "a.json")
            )
        else:
            (folder / "a").write_bytes(bytes(100_000))

    file_limit(40_000)
    with (
        pytest.raises(BioutilsError, match=r"new: could not be written \(File too large\)\. Free some space"),
        atomic_folder(tmp_path / "new") as folder,
    ):
        write(folder)
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_place_of_a_folder_is_one_message(tmp_path):
    (tmp_path / "a").write_text("mine")
    for write in (
        lambda: write_json(tmp_path / "a" / "b" / "c.json", {}),
        lambda: atomic_folder(tmp_path / "a" / "b").__enter__(),
    ):
        with pytest.raises(BioutilsError, match=r"could not be written \((Not a directory|File exists)\)"):
            write()
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_other_errors_stay_what_they_are(tmp_path):
    for error in (ValueError("a value"), UsageError("said (os error 2)")):
        with pytest.raises(type(error), match=re.escape(str(error))), atomic_folder(tmp_path / "new"):
            raise error


def test_outputs_replace_no_input_and_nothing_unasked(tmp_path):
    there, new = tmp_path / "there.csv", tmp_path / "new.csv"
    there.write_text("a")
    check_unharmed([new], [there], overwrite=False)
    check_unharmed([there], [new], overwrite=True)
    with pytest.raises(UsageError, match="there.csv exists. Give --overwrite"):
        check_unharmed([new, there], [], overwrite=False)
    with pytest.raises(UsageError, match="is an input: the results would replace it"):
        check_unharmed([tmp_path / "x" / ".." / "there.csv"], [there], overwrite=True)


def test_a_folder_that_holds_an_input_or_oneself_is_not_replaced(tmp_path, monkeypatch):
    out = tmp_path / "out"
    (out / "deep").mkdir(parents=True)
    (out / "mark").write_text("")
    wanted = {"mark": "mark", "holds": "what we made", "overwrite": True}
    check_folder(out, [tmp_path / "a.txt"], **wanted)
    check_folder(tmp_path / "new", [out / "deep" / "a.txt"], **wanted)
    with pytest.raises(UsageError, match="a.txt is an input: the results would replace it"):
        check_folder(out, [out / "deep" / "a.txt"], **wanted)
    monkeypatch.chdir(out / "deep")
    for name in (".", "..", str(out)):
        with pytest.raises(UsageError, match="--out to be a folder of its own, found .*, where you are"):
            check_folder(Path(name), **wanted)
    check_folder(Path("new"), **wanted)


def test_json(tmp_path):
    write_json(tmp_path / "a.json", {"é": [1, 2.5]})
    assert read_json(tmp_path / "a.json") == {"é": [1, 2.5]}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", float("nan"))
    (tmp_path / "a.json").write_text('{"a": 1,\n oops}')
    with pytest.raises(DataError, match=r"a\.json:2: Not JSON"):
        read_json(tmp_path / "a.json")


def test_one_message_form():
    message = expected("x", "a y", 3, available=["p"], remedy="Do z.")
    assert message == "Expected x to be a y, found 3. Available: ['p']. Do z."
    assert (BioutilsError.exit_code, DataError.exit_code, UsageError.exit_code) == (1, 1, 2)
    assert str(DataError("m", path="f", line=2)) == "f:2: m"


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    with atomic_folder(tmp_path / "new") as folder:
        (folder / "a").write_text("a")
        assert not (tmp_path / "new").exists()
    with pytest.raises(BioutilsError, match="No space left on device"), atomic_folder(tmp_path / "new") as folder:
        (folder / "b").write_text("b")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert [p.name for p in sorted(tmp_path.rglob("*"))] == ["new", "a"]
