"""Official releases onto the disk: streamed, resumed, checked, and in place only when whole."""

import hashlib
import sys
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from bioutils.corpora import check, corpus, project_data
from bioutils.errors import BioutilsError, DataError, UsageError, expected

BLOCK = 1 << 18  # bytes read at a time
TIMEOUT = 60  # seconds without a byte


def fetch(
    name: str,
    *,
    data_root: str | Path | None = None,
    url: str | None = None,
    sha256: str | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> Path:
    """The path of a corpus' file after downloading its official release to ``data_root/name`` (``data/raw/name``).

    An interrupted download goes on where it stopped when the server allows; the file is read by the corpus' own reader
    before it gets its name. Raises UsageError where there is no release to fetch or the file is there already, and
    BioutilsError when the server or the network fails.
    """
    known = corpus(name)
    address = url or known.url
    if address is None:
        raise UsageError(f"{name} has no release to download. Put {' or '.join(known.files)} under data/raw/{name}.")
    if urlsplit(address).scheme not in ("http", "https"):
        raise UsageError(expected("url", "an http or https address", address))
    folder = (Path(data_root).expanduser() if data_root else project_data() / "raw") / name
    target = folder / Path(urlsplit(address).path).name
    if target.name not in known.files:
        target = folder / known.files[0]
    if target.exists() and not overwrite:
        raise UsageError(f"{target} is there already. Give --overwrite to fetch it again.")
    partial = target.with_name(f".{target.stem}.partial{target.suffix}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _stream(address, partial, progress=progress)
    except urllib.error.HTTPError as error:
        raise BioutilsError(f"{address}: the server answered {error.code} {error.reason}. Check the address.") from None
    except OSError as error:  # URLError, timeouts, a full disk
        reason = getattr(error, "reason", None) or error.strerror or error
        raise BioutilsError(f"{address}: {reason}. What came is kept; call again to go on.") from None
    _verify(name, partial, sha256)
    partial.replace(target)
    return target


def _stream(address: str, partial: Path, *, progress: bool) -> None:
    """Appends what is missing of ``address`` to ``partial``."""
    from tqdm import tqdm

    have = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(address, headers={"User-Agent": "bioutils"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # nothing is missing, or the file has changed: the check will tell
            return
        raise
    with answer:
        resumed = answer.status == 206
        size = int(answer.headers.get("Content-Length") or 0)
        start = have if resumed else 0
        hidden = not (progress and sys.stderr.isatty())
        with (
            partial.open("ab" if resumed else "wb") as stream,
            tqdm(total=start + size or None, initial=start, unit="B", unit_scale=True, disable=hidden) as bar,
        ):
            while block := answer.read(BLOCK):
                stream.write(block)
                bar.update(len(block))
        if size and partial.stat().st_size != start + size:
            raise OSError(f"the connection closed after {partial.stat().st_size:,} of {start + size:,} bytes")


def _verify(name: str, partial: Path, sha256: str | None) -> None:
    """Removes ``partial`` and raises DataError unless its checksum, where known, and its reader agree."""
    try:
        with partial.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if sha256 and found != sha256:
            raise DataError(expected("sha256", sha256, found, remedy="Fetch it again."), path=partial)
        check(name, file=partial)
    except DataError:
        partial.unlink(missing_ok=True)
        raise
