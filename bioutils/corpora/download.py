"""Official releases onto the disk: streamed, resumed, checked, and in place only when whole."""

import http.client
import sys
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from bioutils.corpora import Release, check, corpus, project_data
from bioutils.corpora.relations import FORMS
from bioutils.errors import BioutilsError, DataError, UsageError, expected
from bioutils.files import sha256 as file_sha256

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
    """The path of a corpus' file, or its folder where there are several, after downloading its official release.

    To ``data_root/name`` (``data/raw/name``). ``url`` takes one file from elsewhere. An interrupted download goes on where it
    stopped when the server allows and still has the same file; what came is held to its checksum, or read by the corpus' own
    reader, before it gets its name. Raises UsageError where there is no release to fetch or a file is there already,
    DataError for what is not the corpus, and BioutilsError when the server or the network fails.
    """
    known = corpus(name)
    folder = (Path(data_root).expanduser() if data_root else project_data() / "raw") / name
    if url:
        file = Path(urlsplit(url).path).name
        releases = (Release(file if file in known.files else known.files[0], url, sha256),)
    else:
        releases = known.releases
    if not releases:
        raise UsageError(f"{name} has no release to download. Put {' or '.join(known.files)} under data/raw/{name}.")
    for release in releases:
        if urlsplit(release.url).scheme not in ("http", "https"):
            raise UsageError(expected("url", "an http or https address", release.url))
        if (folder / release.path).exists() and not overwrite:
            raise UsageError(f"{folder / release.path} is there already. Give --overwrite to fetch it again.")
    for release in releases:
        _fetch_one(name, release, folder / release.path, progress=progress)
    return folder / releases[0].path if len(releases) == 1 else folder


def _fetch_one(name: str, release: Release, target: Path, *, progress: bool) -> None:
    partial, address = target.with_name(f".{target.stem}.partial{target.suffix}"), release.url
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _stream(address, partial, progress=progress)
    except urllib.error.HTTPError as error:
        raise BioutilsError(f"{address}: the server answered {error.code} {error.reason}. Check the address.") from None
    except (OSError, http.client.HTTPException) as error:  # URLError, timeouts, a full disk; an answer that breaks off
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        raise BioutilsError(f"{address}: {reason}. What came is kept; call again to go on.") from None
    try:
        _verify(name, partial, release.sha256)
    except DataError as error:
        partial.unlink()
        raise DataError(f"{address} did not give the corpus {name!r}, and what came was removed. {error}") from None
    finally:
        _mark(partial).unlink(missing_ok=True)
    partial.replace(target)


def _mark(partial: Path) -> Path:
    """Where the server's name for the version that ``partial`` is a piece of is kept."""
    return partial.with_suffix(".version")


def _stream(address: str, partial: Path, *, progress: bool) -> None:
    """Appends what is missing of ``address`` to ``partial``; begins anew if the server has another version by now."""
    from tqdm import tqdm

    have, mark = partial.stat().st_size if partial.exists() else 0, _mark(partial)
    request = urllib.request.Request(address, headers={"User-Agent": "bioutils"})
    if have and mark.exists():  # without If-Range two releases could end up in one file
        request.add_header("Range", f"bytes={have}-")
        request.add_header("If-Range", mark.read_text(encoding="utf-8"))
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # nothing is missing: the check will tell
            return
        raise
    with answer:
        resumed = answer.status == 206 and (answer.headers.get("Content-Range") or "").startswith(f"bytes {have}-")
        if answer.status == 206 and not resumed:
            raise OSError(f"the server does not go on where it was asked to; remove {partial}")
        start = have if resumed else 0
        version = answer.headers.get("ETag") or ""
        if not version or version.startswith("W/"):  # a weak tag does not promise the same bytes
            version = answer.headers.get("Last-Modified") or ""
        mark.unlink(missing_ok=True)
        if version:
            mark.write_text(version, encoding="utf-8")
        size = int(answer.headers.get("Content-Length") or 0)
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
    """Raises DataError unless the checksum agrees, or where none is known the corpus' reader."""
    if sha256 and (found := file_sha256(partial)) != sha256:
        raise DataError(expected("sha256", sha256, found, remedy="Fetch it again."))
    if name in FORMS:  # of several files: read whole by ``bioutils data check``, once they are all there
        return
    check(name, file=partial)
