"""What is taken away from a run: synthetic ROIs and classifiers, marked, exact, and without anything real."""

import json
import re
import stat

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import random_rois, round_lesions
from PIL import Image

from lesion_utils import networks
from lesion_utils.__main__ import main
from lesion_utils.classifier import Classifier
from lesion_utils.errors import MissingInputError, SettingsError
from lesion_utils.export import export_run
from lesion_utils.files import write_json
from lesion_utils.rois import extract_rois
from lesion_utils.runs import Run
from lesion_utils.sampling import save_synthetic

PLANTED = "Verylongname Gwendolyn"


@pytest.fixture
def run(tmp_path):
    """A run of two classes with one fold's DCGAN and two classifiers, and whatever must stay at home."""
    folder = tmp_path / "runs" / f"quick-{PLANTED}-kind"
    folder.mkdir(parents=True)
    run = Run(folder)
    round_lesions(12, classes=2).save(folder / "cohort.npz")
    window = {"window_level": 60.0, "window_width": 400.0}
    write_json(folder / "preparation.json", {"folds": 3, "seeds": [0], "margin": 0.25} | window)
    write_json(folder / "augmentation.json", {"plan": {"rotations": 2}, "amount_reading": "training_set"})
    (folder / "parameters").mkdir()
    parameters = {"run": f"runs/{PLANTED}", "label": PLANTED, "reader_files": [PLANTED], "data": PLANTED, "epochs": 7}
    (folder / "parameters" / "03_dcgan.yml").write_text(yaml.safe_dump(parameters))
    (folder / "key.csv").write_text(f"lesion,lesion_id\nL0001,{PLANTED}\n")
    save_synthetic(run.synthetic_path("dcgan", 0, 1, 20), random_rois(6))
    save_synthetic(run.synthetic_path("dcgan", 0, 1, 10), random_rois(6, seed=5))  # an epoch that was not chosen
    run.choose("dcgan", {(0, 1): {"amount": 300, "epoch": 20, "unit": "dcgan_300_seed0_fold1_ab.npz"}})
    run.choose("classic", {(0, 1): {"amount": 500, "epoch": None, "unit": "classic_500_seed0_fold1_cd.npz"}})
    (folder / "classifiers").mkdir()
    for seed, arm in enumerate(("dcgan", "classic")):
        unit = run.chosen_unit(arm, 0, 1)
        networks.cnn(2, seed=seed).save(unit.with_suffix(".keras"))
        mean = np.random.default_rng(seed).uniform(0, 1, (64, 64, 1)).astype(np.float32)
        np.savez(unit, mean_image=mean, cross_validation=np.zeros((4, 2)))
    return run


def files_of(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_synthetic_rois_are_exact_and_marked_in_name_table_and_file(run, tmp_path):
    out = tmp_path / "out"
    assert "6 synthetic ROIs and 2 classifiers" in export_run(run.folder, out)
    table = pd.read_csv(out / "synthetic.csv")
    rois = random_rois(6)
    assert table["class"].tolist() == [f"class {label}" for label in rois.label]
    assert table[["gan", "seed", "fold", "epoch"]].drop_duplicates().values.tolist() == [["dcgan", 0, 1, 20]]
    for file, image in zip(table["file"], rois.images[..., 0], strict=True):
        assert file.split("/")[-1].startswith("SYNTHETIC_")
        with Image.open(out / file) as picture:
            assert picture.text["Synthetic"] == "true"
            assert "not of a patient" in picture.text["Title"]
            stored = np.array(picture)
        assert b"tEXtTitle\0Synthetic image" in (out / file).read_bytes()
        assert stored.dtype == np.uint16
        np.testing.assert_allclose(stored / 65535, image, atol=0.51 / 65535)
    readme = (out / "README.md").read_text()
    assert "HU = -140 + value / 65535 x 400" in readme and "by (HU + 140) / 400" in readme


def test_example_of_the_readme_loads_a_classifier_and_gives_its_probabilities(run, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    export_run(run.folder, out)
    monkeypatch.chdir(out)
    (code,) = re.findall(r"```python\n(.+?)```", (out / "README.md").read_text(), flags=re.S)
    names = {}
    exec(code, names)
    with np.load(run.chosen_unit("classic", 0, 1), allow_pickle=False) as file:
        mean_image = file["mean_image"]
    assert names["chosen"]["arm"] == "classic"
    expected = Classifier(networks.cnn(2, seed=1), mean_image).predict(random_rois(6).images[:1])[0]
    np.testing.assert_allclose(names["probability"], expected, atol=1e-4)
    assert "class 0" in capsys.readouterr().out
    described = json.loads((out / "classifiers.json").read_text())
    assert described["classes"] == ["class 0", "class 1"]
    assert described["region_of_interest"]["zero_is"] == -140
    assert described["classifiers"][1]["tested_on_fold"] == 1


def test_nothing_real_or_personal_goes_along(run, tmp_path):
    out = tmp_path / "out"
    export_run(run.folder, out)
    listed = files_of(out)
    assert not any("key" in name or "cohort" in name or "predictions" in name for name in listed)
    assert {name.split(".")[-1] for name in listed} == {"md", "json", "csv", "png", "keras", "npy"}
    for name in listed:
        content = (out / name).read_bytes()
        for word in ("Verylongname", "L0001", "P0001", str(tmp_path)):
            assert word.encode() not in content, (name, word)
    real = np.round(extract_rois(run.cohort, margin=0.25, window_level=60.0, window_width=400.0).images[..., 0] * 65535)
    for file in pd.read_csv(out / "synthetic.csv")["file"]:
        assert np.abs(np.array(Image.open(out / file)).astype(float) - real).max(axis=(1, 2)).min() > 1000
    provenance = json.loads((out / "provenance.json").read_text())
    assert provenance["settings"] == {"03_dcgan": {"epochs": 7}}


def test_provenance_is_what_the_run_recorded_and_not_how_its_folder_is_called(run, tmp_path):
    def exported(name):
        export_run(run.folder, tmp_path / name)
        return json.loads((tmp_path / name / "provenance.json").read_text())

    own = exported("without")
    assert own["profile"] == own["versions"] == own["code"]["commit"] == own["code"]["uncommitted_changes"] == "unknown"
    made = {"profile": "standard", "label": PLANTED, "settings": {}, "versions": {"numpy": "1.2.3"}}
    made |= {"commit": "c" * 40, "changed": [f"notebooks/{PLANTED}.ipynb"]}
    write_json(run.folder / "provenance.json", made)
    own = exported("with")
    assert (own["profile"], own["versions"]) == ("standard", {"numpy": "1.2.3"})
    assert own["code"] == {"commit": "c" * 40, "uncommitted_changes": True}
    assert own["export"]["software"].startswith("Lesion Book ")
    assert re.fullmatch("[0-9a-f]{40}|unknown", own["export"]["commit"])
    assert PLANTED not in json.dumps(own)


def test_folder_must_be_new_and_the_run_finished(run, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(SettingsError, match="out is there already; name a new folder"):
        export_run(run.folder, out)
    with pytest.raises(MissingInputError, match="holds no finished classifiers"):
        export_run(tmp_path, tmp_path / "new")
    run.synthetic_path("dcgan", 0, 1, 20).unlink()
    before = set(tmp_path.iterdir())
    assert main(["export", str(run.folder), str(tmp_path / "new")]) == 2
    assert "is missing: run notebooks/03_dcgan.ipynb first" in capsys.readouterr().err
    assert set(tmp_path.iterdir()) == before


def test_export_can_be_read_by_others(run, tmp_path):
    assert main(["export", str(run.folder), str(tmp_path / "deep" / "out")]) == 0
    assert stat.S_IMODE((tmp_path / "deep" / "out").stat().st_mode) == 0o755
