"""Files of a corpus wherever they lie: in a folder, a .zip or a .tar.gz. Archives are read, never unpacked to the disk."""

import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from bioutils.errors import DataError

MOST = 50_000_000  # bytes of one file: beyond, a small archive that unpacks to a disk's worth


def read_files(source: Path | str, endings: tuple[str, ...], *, under: str = "") -> Iterator[tuple[str, bytes]]:
    """Pairs (path inside, bytes), sorted by path, of the files in ``source`` with one of the endings.

    ``under``: only paths that hold this text. Hidden files (names that begin with a dot) are passed over. Raises DataError
    where ``source`` is missing, holds no such file, or is damaged.
    """
    # In the archive's own order, which spares a .gz from being unpacked again and again; sorted afterwards.
    files = sorted(_read(Path(source), lambda name: _wanted(name, endings, under)))
    if not files:
        where = f" under {under!r}" if under else ""
        raise DataError(f"Expected files that end in {' or '.join(endings)}{where}, found none.", path=source)
    yield from files


def names_in(source: Path | str) -> list[str]:
    """The paths inside a folder, .zip or .tar.gz, nothing read. Raises DataError where it is damaged."""
    names: list[str] = []
    _read(Path(source), lambda name: bool(names.append(name)))
    return names


def inside(path: Path | str) -> tuple[Path, str]:
    """The archive and the path in it of ``ARCHIVE.tar.gz/folder``, or of ``ARCHIVE.tar.gz/fold*`` with all paths that begin so; a
    path that is none comes back with ""."""
    path = Path(path)
    for parent in path.parents:
        if parent.is_file() and not path.exists():
            within = path.relative_to(parent).as_posix()
            return parent, within.removesuffix("*") if within.endswith("*") else f"{within}/"
    return path, ""


def decoded(content: bytes, name: str) -> str:
    """The text of a UTF-8 file, without a byte-order mark. Raises DataError with the line of the first bad byte."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"Not UTF-8 (byte {content[error.start]:#04x}). Convert the file: iconv -f LATIN1 -t UTF-8.",
            path=name,
            line=content.count(b"\n", 0, error.start) + 1,
        ) from None


def _read(source: Path, wanted: Callable[[str], bool]) -> list[tuple[str, bytes]]:
    if not source.exists():
        raise DataError("No such file or folder. Check the path.", path=source)
    read = {True: _folder, False: _zip if source.suffix == ".zip" else _tar}[source.is_dir()]
    try:
        return list(read(source, wanted))
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, OSError) as error:
        raise DataError(f"The archive cannot be read ({error}). Fetch it again.", path=source) from None


def _wanted(name: str, endings: tuple[str, ...], under: str) -> bool:
    return name.endswith(endings) and under in name and not Path(name).name.startswith(".") and "__MACOSX" not in name


def _folder(source: Path, wanted) -> Iterator[tuple[str, bytes]]:
    for path in source.rglob("*"):
        name = path.relative_to(source).as_posix()
        if path.is_file() and wanted(name):
            yield name, path.read_bytes()


def _zip(source: Path, wanted) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(source) as archive:
        for member in archive.infolist():
            if not member.is_dir() and wanted(member.filename):
                _check_size(source, member.filename, member.file_size)
                yield member.filename, archive.read(member)


def _tar(source: Path, wanted) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(source, "r:*") as archive:
        for member in archive:
            if member.isfile() and wanted(member.name):
                _check_size(source, member.name, member.size)
                yield member.name, archive.extractfile(member).read()


def _check_size(source: Path, name: str, size: int) -> None:
    if size > MOST:
        raise DataError(
            f"{name} would take {size:,} bytes; no file of a corpus is as large. Fetch it again.", path=source
        )
