"""Where a number comes from: the commit that ran, and whether it was changed."""

from __future__ import annotations

import subprocess

import pytest

from landsift.provenance import provenance


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A folder under version control, with a program, a page and a result."""
    for name in ("program.py", "docs/page.md", "benchmarks/results/found.json"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("first\n")
    who = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    for command in (["init", "-q"], ["add", "-A"], [*who, "commit", "-q", "-m", "first"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def commit():
    return provenance("a command")["commit"]


def test_what_a_run_writes_does_not_make_its_commit_a_changed_one(repository):
    clean = commit()
    assert len(clean) == 40
    (repository / "docs/page.md").write_text("second\n")
    (repository / "benchmarks/results/found.json").write_text("second\n")
    assert commit() == clean
    (repository / "program.py").write_text("second\n")
    assert commit() == f"{clean}+changes"


def test_a_run_in_a_folder_below_the_top_sees_the_whole_of_it(repository, monkeypatch):
    clean = commit()
    monkeypatch.chdir(repository / "docs")
    assert commit() == clean
    (repository / "program.py").write_text("second\n")
    assert commit() == f"{clean}+changes"


def test_outside_version_control_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert commit() is None
