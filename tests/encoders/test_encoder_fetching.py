"""Fetching weights: the cache first, the hub then, and a sentence for all that can go wrong. No network."""

from __future__ import annotations

import hashlib

import pytest

hub = pytest.importorskip("huggingface_hub")

import huggingface_hub.errors as hub_errors  # noqa: E402

from landsift.encoders.fetching import Source, fetch, hash_of, source_of, weights_in  # noqa: E402
from landsift.errors import EncoderError  # noqa: E402

CONTENT = b"weights"
SHA = hashlib.sha256(CONTENT).hexdigest()
COMMIT = "c" * 40


class Hub:
    """Repositories and a cache on disk, laid out as the hub's; ``error`` is raised instead of a download."""

    def __init__(self, folder, files):
        self.folder, self.files, self.error, self.asked = folder, files, None, []

    def place(self, repo, file):
        return self.folder / f"models--{repo.replace('/', '--')}" / "snapshots" / COMMIT / file

    def try_to_load_from_cache(self, repo, file, revision=None):
        path = self.place(repo, file)
        return str(path) if path.exists() else None

    def hf_hub_download(self, repo, file, revision=None):
        self.asked.append((repo, file, revision))
        if self.error is not None:
            raise self.error
        if file not in self.files.get(repo, {}):
            raise hub_errors.EntryNotFoundError("404")
        content = self.files[repo][file]
        blob = self.folder / "blobs" / hashlib.sha256(content).hexdigest()
        blob.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(content)
        path = self.place(repo, file)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(blob)
        return str(path)

    def list_repo_files(self, repo, revision=None):
        return list(self.files[repo])


@pytest.fixture
def fake(tmp_path, monkeypatch):
    made = Hub(tmp_path, {"some/model": {"model.pt": CONTENT, "config.json": b"{}", "README.md": b"#"}})
    for name in ("try_to_load_from_cache", "hf_hub_download", "list_repo_files"):
        monkeypatch.setattr(hub, name, getattr(made, name))
    return made


def test_weights_are_fetched_once_with_what_lies_beside_them(fake):
    source = Source("some/model", ("other.pt", "model.pt"), "v1")
    path = fetch(source, "some-model")
    assert path.read_bytes() == CONTENT and (path.parent / "config.json").is_file()
    assert not (path.parent / "README.md").exists()
    assert ("some/model", "model.pt", "v1") in fake.asked
    before = [file for _, file, _ in fake.asked].count("model.pt")
    assert fetch(source, "some-model") == path
    assert [file for _, file, _ in fake.asked].count("model.pt") == before == 1


def test_the_cache_is_enough_when_the_hub_is_away(fake):
    path = fetch(Source("some/model", ("model.pt",)), "some-model")
    fake.error = hub_errors.LocalEntryNotFoundError("no network")
    assert fetch(Source("some/model", ("model.pt",)), "some-model") == path


def test_weights_under_a_name_of_their_own_are_found(fake):
    assert fetch(Source("some/model", ("expected.pt",)), "some-model").name == "model.pt"


def test_several_files_of_unknown_names_are_not_guessed_at(fake):
    fake.files["some/model"]["second.pt"] = b"2"
    with pytest.raises(EncoderError, match=r"holds none of expected\.pt.*some-model@FILE"):
        fetch(Source("some/model", ("expected.pt",)), "some-model")


def test_a_pinned_hash_is_checked(fake):
    assert fetch(Source("some/model", ("model.pt",), sha256=SHA), "some-model").is_file()
    with pytest.raises(EncoderError, match="its SHA-256 differs"):
        fetch(Source("some/model", ("model.pt",), sha256="0" * 64), "some-model")


def http_error(kind):
    import httpx

    response = httpx.Response(404, request=httpx.Request("GET", "https://example.org"))
    return kind("failed", response=response)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            lambda: hub_errors.LocalEntryNotFoundError("x"),
            r"cannot be reached or HF_HUB_OFFLINE is set.*@FILE",
        ),
        (lambda: hub_errors.OfflineModeIsEnabled("x"), "HF_HUB_OFFLINE"),
        (lambda: http_error(hub_errors.GatedRepoError), "terms to be accepted"),
        (lambda: http_error(hub_errors.RepositoryNotFoundError), "There is no repository some/model"),
        (lambda: http_error(hub_errors.RevisionNotFoundError), r"\(revision v9\)"),
        (lambda: http_error(hub_errors.HfHubHTTPError), "cannot be reached"),
        (lambda: ConnectionError("x"), "cannot be reached"),
    ],
)
def test_what_can_go_wrong_is_told(fake, error, said):
    fake.error = error()
    with pytest.raises(EncoderError, match=said):
        fetch(Source("some/model", ("model.pt",), "v9"), "some-model")


def test_what_people_must_fetch_is_told():
    with pytest.raises(EncoderError, match=r"get them from https://a\.org/x\.zip and load sky@FILE"):
        fetch(Source(page="https://a.org/x.zip"), "sky")


def test_the_hash_is_that_of_the_file_or_of_its_name_in_the_cache(fake, tmp_path):
    path = fetch(Source("some/model", ("model.pt",)), "some-model")
    assert hash_of(path) == SHA
    (tmp_path / "alone.pt").write_bytes(CONTENT)
    assert hash_of(tmp_path / "alone.pt") == SHA


def test_weights_in_a_folder_of_nothing_are_told(tmp_path):
    with pytest.raises(EncoderError, match="holds no weights"):
        weights_in(tmp_path)


def test_a_source_keeps_what_it_knows():
    assert source_of({"hub": "a/b", "files": ["x"], "remark": "y"}) == Source("a/b", ("x",))
