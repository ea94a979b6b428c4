"""Reading text strictly and writing files whole: nothing is left half-written."""

import gzip
import hashlib
import io
import json
import os
import re
import shutil
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from bioutils.errors import BioutilsError, DataError, UsageError, expected

GZIP_MAGIC = b"\x1f\x8b"
RUST_ERROR = re.compile(r"(?P<what>[^:()]+) \(os error \d+\)")


def open_bytes(path: Path | str) -> BinaryIO:
    """A binary stream of the file, unpacked when its first bytes say gzip (names lie, bytes do not).

    Raises DataError where the file is missing, a folder, unreadable or empty.
    """
    path = Path(path)
    try:
        stream = path.open("rb")
    except FileNotFoundError:
        raise DataError("No such file. Check the path.", path=path) from None
    except IsADirectoryError:
        raise DataError("This is a folder, not a file. Name the files in it.", path=path) from None
    except PermissionError:
        raise DataError("Not readable. Check its permissions.", path=path) from None
    head = stream.read(2)
    stream.seek(0)
    if not head:
        stream.close()
        raise DataError("The file is empty. Fetch or export it again.", path=path)
    return gzip.GzipFile(fileobj=stream) if head == GZIP_MAGIC else stream


def sha256(path: Path | str) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def reading(path: Path | str) -> Iterator[None]:
    """Turns what goes wrong while a file is read (cut gzip, bad bytes) into one DataError."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"The gzip data is cut short or damaged ({error}). Fetch the file again.", path=path) from None
    except UnicodeDecodeError as error:
        raise DataError(
            f"Not UTF-8 (byte {error.object[error.start]:#04x}). Convert it: iconv -f LATIN1 -t UTF-8.", path=path
        ) from None


def read_lines(path: Path | str) -> Iterator[tuple[int, str]]:
    """Pairs (line number from 1, line without its line end) of a UTF-8 text file, plain or gzipped.

    A byte-order mark is dropped, CRLF is taken as one line end. Raises DataError with the line of the first bad byte.
    """
    number = 0
    with reading(path), open_bytes(path) as stream:
        for number, raw in enumerate(stream, 1):
            try:
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise DataError(
                    f"Not UTF-8 (byte {raw[error.start]:#04x} at column {error.start + 1}). "
                    "Convert the file: iconv -f LATIN1 -t UTF-8.",
                    path=path,
                    line=number,
                ) from None
            yield number, line.rstrip("\r\n")
    if number == 0:
        raise DataError("The file is empty. Fetch or export it again.", path=path)


def check_unharmed(outputs: Sequence[Path], inputs: Iterable[Path], *, overwrite: bool) -> None:
    """Makes sure that writing ``outputs`` replaces no input, in a folder that is replaced none either, and no file unasked.

    Raises UsageError.
    """
    places = {p.resolve() for p in outputs}
    if taken := [p for p in map(Path.resolve, inputs) if places & {p, *p.parents}]:
        raise UsageError(f"{taken[0]} is an input: the results would replace it. Choose another --out.")
    if not overwrite and (existing := [p for p in outputs if p.exists()]):
        raise UsageError(f"{existing[0]} exists. Give --overwrite to replace it, or choose another --out.")


def check_folder(out: Path, inputs: Iterable[Path] = (), *, mark: str, holds: str, overwrite: bool) -> None:
    """``check_unharmed`` of a folder, which is replaced only where it holds the file ``mark``: what we made ourselves.

    The folder one stands in, or one that it lies in, is not replaced at all.
    """
    if Path.cwd().resolve().is_relative_to(out.resolve()):
        raise UsageError(expected("--out", "a folder of its own", f"{out}, where you are", remedy="Name a new one."))
    check_unharmed([out], inputs, overwrite=overwrite)
    if out.exists() and not (out / mark).is_file():
        raise UsageError(f"{out} holds something else than {holds}: it is not replaced. Choose another --out.")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns what goes wrong while ``path`` is written into one BioutilsError."""
    try:
        yield
    except BioutilsError:
        raise
    except Exception as error:
        # safetensors and tokenizers raise errors of their own, the latter bare Exceptions, where the system's is meant.
        found = RUST_ERROR.search(str(error))
        if not isinstance(error, OSError) and not found:
            raise
        what = getattr(error, "strerror", None) or (found["what"].strip() if found else str(error))
        raise BioutilsError(
            f"{path}: could not be written ({what}). Free some space or choose another folder; "
            "nothing half-written was left."
        ) from error


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """A temporary path beside ``path``, renamed to it when the block ends well and removed when it does not.

    Raises BioutilsError when the disk is full or the folder cannot be written.
    """
    path = Path(path)
    # The process id keeps two writers apart; the suffix stays last because libraries choose the format by it.
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            temporary.replace(path)
    finally:
        with suppress(OSError):  # what stood in the way, a file for a folder, is told already
            temporary.unlink()


@contextmanager
def atomic_writer(path: Path | str) -> Iterator[io.TextIOWrapper]:
    """An open UTF-8 text file that appears under ``path`` only when the block ends well."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as stream:
        yield stream


@contextmanager
def atomic_folder(path: Path | str) -> Iterator[Path]:
    """A temporary folder beside ``path`` that takes its place when the block ends well, and is removed when it does not.

    Raises BioutilsError when the disk is full or the folder cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.new")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        with writing(path):
            temporary.mkdir(parents=True)
            yield temporary
            shutil.rmtree(path, ignore_errors=True)
            temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def safe_name(name: str) -> str:
    """A document's id with what no file name may hold replaced.

    >>> safe_name("doi:10.1/x")
    'doi_10.1_x'
    """
    return re.sub(r"[^\w.-]", "_", name).lstrip(".") or "document"


def write_json(path: Path | str, value: Any) -> None:
    """Writes ``value`` as indented JSON, whole or not at all. NaN is refused: a score that is not a number is a bug."""
    with atomic_writer(path) as stream:
        json.dump(value, stream, indent=2, ensure_ascii=False, allow_nan=False)
        stream.write("\n")


def read_json(path: Path | str) -> Any:
    """The value in a JSON file. Raises DataError with the line where it breaks."""
    text = "\n".join(line for _, line in read_lines(path))
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"Not JSON: {error.msg}.", path=path, line=error.lineno) from None
