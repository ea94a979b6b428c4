import hashlib
import threading
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bioutils.corpora import find_file
from bioutils.corpora.download import fetch
from bioutils.errors import BioutilsError, DataError, UsageError

CONTENT = find_file("go", sample=True).read_bytes()
RELEASED = CONTENT.replace(b"data-version: sample", b"data-version: newer")


class Handler(BaseHTTPRequestHandler):
    """Serves CONTENT, and RELEASED under /new; /cut closes early, /html is an error page with status 200, /none is 404,
    /broken stops inside a chunk. Understands Range and If-Range.
    """

    def __init__(self, log, *args):
        self.log = log
        super().__init__(*args)

    def do_GET(self):
        if self.path == "/none":
            return self.send_error(404)
        body = {"/html": b"<html>Sorry</html>", "/new": RELEASED}.get(self.path, CONTENT)
        version = '"2"' if body is RELEASED else '"1"'
        same = self.headers.get("If-Range", version) == version
        start = int(self.headers.get("Range", "bytes=0-")[6:-1]) if same else 0
        self.log.append((self.path, start))
        self.send_response(206 if start else 200)
        self.send_header("ETag", version)
        if self.path == "/broken":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            return self.wfile.write(b"ff\r\nformat")
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        self.wfile.write(body[start : len(body) // 2] if self.path == "/cut" else body[start:])

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    log = []
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, log)) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}", log
        http.shutdown()
        thread.join()


def test_fetches_whole_and_does_not_replace_unasked(server, tmp_path):
    address, _ = server
    path = fetch("go", data_root=tmp_path, url=f"{address}/go-basic.obo", progress=False)
    assert (path.name, path.read_bytes()) == ("go-basic.obo", CONTENT)
    assert [p.name for p in path.parent.iterdir()] == ["go-basic.obo"]
    with pytest.raises(UsageError, match="--overwrite"):
        fetch("go", data_root=tmp_path, url=f"{address}/go-basic.obo", progress=False)


def test_goes_on_where_it_stopped(server, tmp_path):
    address, log = server
    with pytest.raises(BioutilsError, match="call again to go on"):
        fetch("go", data_root=tmp_path, url=f"{address}/cut", progress=False)
    assert not (tmp_path / "go" / "go-basic.obo").exists()
    path = fetch("go", data_root=tmp_path, url=f"{address}/rest", progress=False)
    assert path.read_bytes() == CONTENT
    assert log[-1] == ("/rest", len(CONTENT) // 2)
    assert [p.name for p in path.parent.iterdir()] == ["go-basic.obo"]


def test_two_releases_are_never_mixed(server, tmp_path):
    with pytest.raises(BioutilsError, match="call again to go on"):
        fetch("go", data_root=tmp_path, url=f"{server[0]}/cut", progress=False)
    path = fetch("go", data_root=tmp_path, url=f"{server[0]}/new", progress=False)
    assert path.read_bytes() == RELEASED


def test_an_answer_that_breaks_off(server, tmp_path):
    with pytest.raises(BioutilsError, match="IncompleteRead"):
        fetch("go", data_root=tmp_path, url=f"{server[0]}/broken", progress=False)
    assert fetch("go", data_root=tmp_path, url=f"{server[0]}/go.obo", progress=False).read_bytes() == CONTENT


@pytest.mark.parametrize(("page", "options"), [("/html", {}), ("/go-basic.obo", {"sha256": "0" * 64})])
def test_what_is_not_the_corpus_is_thrown_away(server, tmp_path, page, options):
    with pytest.raises(DataError, match=f"{page} did not give the corpus 'go'.*(Not an OBO file|sha256)"):
        fetch("go", data_root=tmp_path, url=server[0] + page, progress=False, **options)
    assert list((tmp_path / "go").iterdir()) == []


def test_wrong_addresses(server, tmp_path):
    with pytest.raises(BioutilsError, match="404"):
        fetch("go", data_root=tmp_path, url=f"{server[0]}/none", progress=False)
    with pytest.raises(BioutilsError, match="refused"):
        fetch("go", data_root=tmp_path, url="http://127.0.0.1:1/x", progress=False)
    with pytest.raises(UsageError, match="http or https"):
        fetch("go", data_root=tmp_path, url="file:///etc/passwd")
    with pytest.raises(UsageError, match="no release"):
        fetch("abstracts", data_root=tmp_path)


def test_a_corpus_of_several_files_is_fetched_whole(server, tmp_path, monkeypatch):
    from bioutils import corpora
    from bioutils.corpora import Release

    address, _log = server
    digest = hashlib.sha256(CONTENT).hexdigest()
    files = tuple(Release(f"{part}.tsv", f"{address}/{part}", digest) for part in ("train", "dev"))
    monkeypatch.setitem(corpora.CORPORA, "gad", replace(corpora.CORPORA["gad"], releases=files))
    assert fetch("gad", data_root=tmp_path) == tmp_path / "gad"
    assert sorted(p.name for p in (tmp_path / "gad").iterdir()) == ["dev.tsv", "train.tsv"]
    with pytest.raises(UsageError, match=r"train.tsv is there already"):
        fetch("gad", data_root=tmp_path)
    other = (Release("train.tsv", f"{address}/new", digest),)
    monkeypatch.setitem(corpora.CORPORA, "gad", replace(corpora.CORPORA["gad"], releases=other))
    with pytest.raises(DataError, match="Expected sha256 to be"):
        fetch("gad", data_root=tmp_path, overwrite=True)
    assert (tmp_path / "gad" / "train.tsv").read_bytes() == CONTENT, "the old file stays"


def test_what_cannot_be_fetched_says_what_to_do(tmp_path):
    with pytest.raises(UsageError, match=r"snpphena has no release to download. Put SNPPhenA.tar.gz under data/raw"):
        fetch("snpphena", data_root=tmp_path)


def test_every_release_is_pinned_or_read_by_its_reader():
    from bioutils.corpora import CORPORA

    for name, known in CORPORA.items():
        for release in known.releases:
            assert release.url.startswith("https://")
            assert release.sha256 or name == "go", name
