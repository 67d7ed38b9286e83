"""Files are whole or absent, whatever happens while they are written."""

from __future__ import annotations

import errno

import numpy as np
import pytest

from landsift.errors import DiskFull, GalleryDamaged
from landsift.files import ColumnFolder, replace_file, write_whole

SPEC = {"vector": ("<f2", (3,)), "number": ("<i8", ())}


def batch(first: int, count: int) -> dict[str, np.ndarray]:
    numbers = np.arange(first, first + count)
    return {"vector": np.repeat(numbers[:, None], 3, axis=1).astype(np.float16), "number": numbers}


def test_rows_are_appended_and_the_note_is_kept(tmp_path):
    ColumnFolder.write(tmp_path / "c", SPEC, [batch(0, 4), batch(4, 2)], {"epoch": 1})
    ColumnFolder.append(tmp_path / "c", SPEC, [batch(6, 3)], {"epoch": 2})
    opened = ColumnFolder(tmp_path / "c")
    assert opened.count == 9 and opened.note == {"epoch": 2}
    assert opened.columns["number"].tolist() == list(range(9))
    assert (opened.columns["vector"][:, 2] == np.arange(9)).all()


def test_an_append_that_dies_leaves_the_old_rows_and_the_next_one_mends_it(tmp_path):
    ColumnFolder.write(tmp_path / "c", SPEC, [batch(0, 4)], {})

    def dying():
        yield batch(4, 5)
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        ColumnFolder.append(tmp_path / "c", SPEC, dying(), {})
    assert ColumnFolder(tmp_path / "c").columns["number"].tolist() == [0, 1, 2, 3]
    ColumnFolder.append(tmp_path / "c", SPEC, [batch(40, 2)], {})
    assert ColumnFolder(tmp_path / "c").columns["number"].tolist() == [0, 1, 2, 3, 40, 41]


def test_a_rewrite_does_not_disturb_a_reader_and_removes_the_old_files(tmp_path):
    ColumnFolder.write(tmp_path / "c", SPEC, [batch(0, 4)], {})
    reader = ColumnFolder(tmp_path / "c")
    ColumnFolder.write(tmp_path / "c", SPEC, [batch(100, 2)], {})
    assert reader.columns["number"].tolist() == [0, 1, 2, 3]
    assert ColumnFolder(tmp_path / "c").columns["number"].tolist() == [100, 101]
    assert len(list((tmp_path / "c").iterdir())) == 3


def test_columns_of_another_kind_are_refused(tmp_path):
    ColumnFolder.write(tmp_path / "c", SPEC, [batch(0, 4)], {})
    with pytest.raises(GalleryDamaged, match="are not"):
        ColumnFolder.append(tmp_path / "c", {"number": ("<i8", ())}, [], {})
    with pytest.raises(ValueError, match="shape"):
        ColumnFolder.append(tmp_path / "c", SPEC, [batch(0, 2) | {"vector": np.zeros((2, 4))}], {})
    with pytest.raises(GalleryDamaged, match="no readable columns"):
        ColumnFolder(tmp_path / "absent")


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path):
    path = tmp_path / "out.txt"
    replace_file(path, b"old")

    def failing(partial):
        partial.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(DiskFull, match="no space left"):
        write_whole(path, failing)
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.txt"]
