"""The page on speed: sentences without a table, and with one every number that it holds."""

import importlib

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lesion_utils import speed

MADE = {"hardware": "a processor, 2 cores", "commit": "0123456789abcdef"}


def speed_table():
    own = {"benchmark": "Warps", "versions": "numpy 2.1", **MADE}
    rows = [
        {"contestant": "ours", "unit": "ROI/s", "rate": 71234.0},
        {"contestant": "the peer", "unit": "ROI/s", "rate": 3.14159},
        {"contestant": "ours", "peer": "the peer", "ratio": 1.987, "lowest": 1.5, "highest": 2.25, "rounds": 7, "goal": 1.9},
        {"contestant": "ours", "peer": "the other", "ratio": 0.6, "lowest": 0.5, "highest": 0.7, "rounds": 7, "goal": 1.0},
    ]
    return pd.DataFrame([own | row for row in rows]).reindex(columns=speed.COLUMNS)


def scaling_table():
    rows = []
    for stage, power in (("cut", 1), ("fit", 2)):
        for lesions in (100, 1000, 10_000):
            rows.append((stage, lesions, 64, 3, lesions, 0.5 * (lesions / 100) ** power, lesions / 5000))
    rows += [("cut", 1000, 128, 3, 1000, 17.5, 0.4), ("fit", 1000, 64, 10, 1000, 100.0, 0.2)]
    return pd.DataFrame([(*row, *MADE.values()) for row in rows], columns=speed.SCALING_COLUMNS)


@pytest.fixture
def pages(tmp_path):
    target = tmp_path / "figures"
    target.mkdir()
    speed_table().to_csv(tmp_path / "speed.csv", index=False)
    scaling_table().to_csv(tmp_path / "scaling.csv", index=False)
    speed.write_pages(target, tmp_path / "speed.csv", tmp_path / "scaling.csv")
    return target


def test_without_tables_the_page_says_how_to_make_them(tmp_path):
    speed.write_pages(tmp_path, tmp_path / "none.csv", tmp_path / "none.csv")
    assert "make bench" in (tmp_path / "speed.md").read_text()
    assert "make bench" in (tmp_path / "scaling.md").read_text()


def test_that_no_gpu_was_measured_is_said_until_one_was(pages, tmp_path):
    assert "**Not measured.**" in (pages / "speed.md").read_text()
    measured = speed_table().assign(benchmark=speed.GPU, hardware="a GPU")
    pd.concat([speed_table(), measured]).to_csv(tmp_path / "speed.csv", index=False)
    speed.write_pages(pages, tmp_path / "speed.csv", tmp_path / "scaling.csv")
    assert "Not measured" not in (pages / "speed.md").read_text()


def test_the_benchmark_for_a_gpu_keeps_its_rows_under_the_name_that_the_page_looks_for():
    assert f'report("{speed.GPU}"' in (speed.ROOT / "benchmarks" / "gpu_dcgan.py").read_text()


def test_ratios_stand_with_hardware_commit_and_goal(pages):
    text = (pages / "speed.md").read_text()
    assert "### Warps\n\nMeasured on a processor, 2 cores, commit `0123456789ab` (numpy 2.1)." in text
    assert "| ours | 71,234 ROI/s |" in text and "| the peer | 3.14 ROI/s |" in text
    assert "| ours / the peer | 1.99 | 1.50 to 2.25 (7) | 1.9: met |" in text
    assert "| ours / the other | 0.60 | 0.50 to 0.70 (7) | 1: missed |" in text


def test_growth_is_that_of_a_lesion():
    assert speed.growth(scaling_table()) == pytest.approx({"cut": 1.0, "fit": 10.0})


def test_larger_rois_and_more_classes_stand_beside_the_usual_point():
    table = scaling_table()
    assert speed.beside_usual(table, "roi_size") == {("cut", 128): 17.5 / 5}
    assert speed.beside_usual(table, "classes") == {("fit", 10): 2.0}
    assert len(speed.usual_points(table)) == 6


def test_how_cost_grows_is_drawn_and_told(pages):
    text = (pages / "scaling.md").read_text()
    assert "is 2.0 GB (cut, 10,000 lesions)" in text and "multiplied by 1.00 to 10.00 (the last: fit)" in text
    assert (
        "Times with ROIs of 128 x 128, by those without: cut 3.50." in text and "10 classes, by those without: fit 2.00." in text
    )
    assert "| cut | 1,000 | 128 x 128 | 3 | 1,000 | 17.5 | 0.40 |" in text
    assert ":alt: " in text and "for 100, 1,000, 10,000 lesions" in text
    with Image.open(pages / "scaling.png") as image:
        assert image.getpixel((2, 2))[:3] == (255, 255, 255) and image.width > 1000


def test_a_benchmark_replaces_its_own_rows_and_no_other(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(speed.ROOT / "benchmarks")
    monkeypatch.setattr(speed, "TABLE", tmp_path / "speed.csv")
    side_by_side = importlib.import_module("side_by_side")
    for benchmark, factor in (("one", 2), ("two", 3), ("one", 4)):
        rates = {"ours": factor * np.array([1.0, 2.0, 4.0]), "peer": np.array([1.0, 2.0, 8.0])}
        side_by_side.report(benchmark, rates, {("ours", "peer"): 3.0}, "ROI", "numpy")
    table = speed.read_table(tmp_path / "speed.csv")
    assert table["benchmark"].tolist() == ["one"] * 3 + ["two"] * 3
    ratios = table[table["peer"].notna()]
    assert ratios[["ratio", "lowest", "highest", "rounds"]].to_numpy().tolist() == [[4, 2, 4, 3], [3, 1.5, 3, 3]]
    assert table["rate"].dropna().tolist() == [8, 2, 6, 2] and table["hardware"].notna().all()
    lines = capsys.readouterr().out
    assert "ours / peer: median 2.00 (min 1.00, max 2.00, 3 rounds); goal 3, missed" in lines and "goal 3, met" in lines


def test_the_committed_tables_can_be_drawn(tmp_path):
    speed.write_pages(tmp_path)
    for path, columns in ((speed.TABLE, speed.COLUMNS), (speed.SCALING, speed.SCALING_COLUMNS)):
        assert list(speed.read_table(path, columns).columns) == columns
