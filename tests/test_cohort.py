"""The data model and its file."""

import os

import numpy as np
import pytest

from lesion_utils.cohort import ROLES, Cohort
from lesion_utils.errors import DataError, MissingInputError
from lesion_utils.files import atomic_path, write_text


def make_cohort(n=7, seed=0, **changes):
    """Lesions of different sizes in three classes; patients of two lesions, each with one role."""
    rng = np.random.default_rng(seed)
    shapes = rng.integers(9, 40, (n, 2))
    values = {
        "classes": ("cyst", "metastasis", "hemangioma"),
        "label": rng.integers(0, 3, n),
        "lesion_id": np.array([f"L{i + 1:04d}" for i in range(n)]),
        "patient_id": np.array([f"P{i // 2 + 1:04d}" for i in range(n)]),
        "role": np.array([ROLES[i // 2 % 3] for i in range(n)]),
        "spacing": rng.uniform(0.5, 1, n).astype(np.float32),
        "slices": [rng.integers(-1024, 3072, shape).astype(np.int16) for shape in shapes],
        "outlines": [rng.random(shape) < 0.3 for shape in shapes],
        "source": "table",
        "intensity": "grey",
    }
    return Cohort(**(values | changes))


def assert_same(first, second):
    assert first.classes == second.classes
    assert (first.source, first.intensity) == (second.source, second.intensity)
    for name in ("label", "lesion_id", "patient_id", "role", "spacing"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
        assert getattr(first, name).dtype == getattr(second, name).dtype
    for name in ("slices", "outlines"):
        assert len(getattr(first, name)) == len(getattr(second, name))
        for one, other in zip(getattr(first, name), getattr(second, name), strict=True):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("n", [0, 1, 7, 40])
def test_saved_cohort_comes_back_bit_for_bit(tmp_path, n):
    cohort = make_cohort(n)
    cohort.save(tmp_path / "run" / "cohort.npz")
    assert os.listdir(tmp_path / "run") == ["cohort.npz"]
    loaded = Cohort.load(tmp_path / "run" / "cohort.npz")
    if n:
        assert_same(loaded, cohort)
    else:
        assert len(loaded) == 0
        assert loaded.classes == cohort.classes


def test_same_cohort_gives_the_same_arrays_in_its_file(tmp_path):
    for name in ("a.npz", "b.npz"):
        make_cohort().save(tmp_path / name)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as first, np.load(tmp_path / "b.npz", allow_pickle=False) as second:
        assert first.files == second.files
        for name in first.files:
            assert first[name].tobytes() == second[name].tobytes()


def test_missing_file_says_which_notebook_makes_it(tmp_path):
    with pytest.raises(MissingInputError, match="01_data") as caught:
        Cohort.load(tmp_path / "cohort.npz")
    assert str(tmp_path / "cohort.npz") in str(caught.value)


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.9, 0.999])
def test_truncated_file_is_an_error(tmp_path, share):
    path = tmp_path / "cohort.npz"
    make_cohort().save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError, match="not a whole cohort file") as caught:
        Cohort.load(path)
    assert str(path) in str(caught.value)


def test_every_damaged_byte_is_noticed_or_harmless(tmp_path):
    path = tmp_path / "cohort.npz"
    cohort = make_cohort()
    cohort.save(path)
    content = path.read_bytes()
    refused = 0
    for place in np.linspace(0, len(content) - 1, 150).astype(int):
        damaged = bytearray(content)
        damaged[place] ^= 0x55
        path.write_bytes(damaged)
        try:
            assert_same(Cohort.load(path), cohort)
        except DataError:
            refused += 1
    assert refused > 100


@pytest.mark.parametrize("name", ["label", "shapes", "pixels", "outline_pixels"])
def test_file_without_one_of_its_arrays_is_an_error(tmp_path, name):
    path = tmp_path / "cohort.npz"
    make_cohort().save(path)
    with np.load(path, allow_pickle=False) as file:
        kept = {other: file[other] for other in file.files if other != name}
    np.savez_compressed(path, **kept)
    with pytest.raises(DataError, match="not a whole cohort file"):
        Cohort.load(path)


def test_pickled_objects_are_refused(tmp_path):
    path = tmp_path / "cohort.npz"
    np.savez(path, classes=np.array([{"a": 1}], dtype=object))
    with pytest.raises(DataError, match="not a whole cohort file"):
        Cohort.load(path)


def test_interrupted_write_leaves_nothing_behind_and_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "cohort.npz"
    make_cohort(seed=1).save(path)
    before = path.read_bytes()

    def interrupted(file, **arrays):
        file.write_bytes(b"half of it")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez_compressed", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make_cohort(seed=2).save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["cohort.npz"]


def test_atomic_path_shows_nothing_before_the_end(tmp_path):
    final = tmp_path / "deep" / "note.txt"
    with atomic_path(final) as temporary:
        temporary.write_text("whole")
        assert temporary.parent == final.parent
        assert temporary.suffix == ".txt"
        assert not final.exists()
    assert final.read_text() == "whole"
    assert os.listdir(final.parent) == ["note.txt"]
    with pytest.raises(RuntimeError), atomic_path(tmp_path / "deep" / "other.txt"):
        raise RuntimeError
    assert os.listdir(final.parent) == ["note.txt"]


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_file_has_the_mode_asked_for(tmp_path, mode):
    write_text(tmp_path / "note.txt", "ü", mode=mode)
    assert (tmp_path / "note.txt").stat().st_mode & 0o777 == mode
    assert (tmp_path / "note.txt").read_text(encoding="utf-8") == "ü"


@pytest.mark.parametrize("index", [[5, 0, 3], np.array([6, 6, 1])[:2], np.array([], int), slice(2, 5)])
def test_subset_keeps_the_order_asked_for(index):
    cohort = make_cohort()
    if not isinstance(index, slice):
        index = list(dict.fromkeys(np.asarray(index, int).tolist()))
    part = cohort.subset(index)
    chosen = np.arange(7)[index]
    assert part.lesion_id.tolist() == [f"L{i + 1:04d}" for i in chosen]
    for name in ("label", "patient_id", "role", "spacing"):
        np.testing.assert_array_equal(getattr(part, name), getattr(cohort, name)[chosen])
    for position, i in enumerate(chosen):
        np.testing.assert_array_equal(part.slices[position], cohort.slices[i])
        np.testing.assert_array_equal(part.outlines[position], cohort.outlines[i])
    assert (part.classes, part.source, part.intensity) == (cohort.classes, "table", "grey")


def test_subset_takes_a_mask():
    cohort = make_cohort()
    assert_same(cohort.subset(cohort.label == 1), cohort.subset(np.flatnonzero(cohort.label == 1)))


def test_roles_share_the_lesions_out_without_a_patient_in_two():
    cohort = make_cohort(12)
    parts = [cohort.with_role(role) for role in ROLES]
    assert sorted(np.concatenate([part.lesion_id for part in parts])) == cohort.lesion_id.tolist()
    patients = [set(part.patient_id) for part in parts]
    assert sum(map(len, patients)) == len(set.union(*patients)) == 6


def test_patient_with_two_roles_is_refused_by_name():
    role = make_cohort().role.copy()
    role[3] = "extra"
    role[2] = "cohort"
    with pytest.raises(DataError, match="patient P0002 .*'cohort'.*'extra'.* one role"):
        make_cohort(role=role)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"role": np.array(["train"] * 7)}, "role 'train' is unknown; use one of cohort, extra, test"),
        ({"lesion_id": np.array(["L0001"] * 7)}, "lesion ids are not unique"),
        ({"spacing": np.ones(6, np.float32)}, "spacing has 6 entries for 7 labels"),
        ({"outlines": [np.zeros((3, 3), bool)] * 7}, "lesion L0001: slice .* and outline .* differ in shape"),
    ],
)
def test_cohort_that_does_not_hold_together_is_refused(changes, message):
    with pytest.raises(DataError, match=message):
        make_cohort(**changes)
