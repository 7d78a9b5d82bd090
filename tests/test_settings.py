"""Parameters: what wins, what is an error, and that the notebooks' defaults are the paper's settings."""

import shutil
import tomllib
from pathlib import Path

import pytest

from lesion_utils import settings
from lesion_utils.errors import MissingInputError, SettingsError

DEFAULTS = {name: settings.notebook_defaults(path) for name, path in settings.notebooks().items()}

#: Section by section, what the paper states; settings that it does not state are left out.
PAPER = {
    "01_data": {"lesions": [53, 64, 65], "folds": 3, "margin": 0.25, "window_level": 60, "window_width": 400, "seeds": [0]},
    "02_classic_augmentation": {
        "rotations": 30,
        "flips": 3,
        "translations": 7,
        "scales": 5,
        "amount_reading": "training_set",
    },
    "03_dcgan": {
        "classic_amount": None,
        "epochs": 70,
        "saved_epochs": 5,
        "batch_size": 64,
        "learning_rate": 2e-4,
        "beta_1": 0.5,
        "generator_updates": 1,
        "generator_width": 1024,
        "discriminator_width": 64,
        "noise": "uniform",
        "precision": "auto",
        "samples_per_class": 4000,
    },
    "04_acgan": {
        "classic_amount": None,
        "epochs": 50,
        "saved_epochs": 5,
        "batch_size": 64,
        "learning_rate": 1e-4,
        "beta_1": 0.5,
        "generator_width": 1024,
        "discriminator_width": 64,
        "noise": "uniform",
        "precision": "auto",
        "samples_per_class": 4000,
    },
    "05_classification": {
        "classic_amounts": [500, 1000, 2000, 3000, 5000, 7500, 10000, 15000],
        "added_per_class": [100, 500, 1000, 2000, 3000, 4000],
        "epochs": 150,
        "batch_size": 64,
        "learning_rate": 0.001,
        "momentum": 0.9,
        "arms": ["real", "classic", "classic_extra_real", "dcgan", "acgan"],
        "precision": "auto",
    },
}


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("notebook", PAPER)
def test_defaults_are_the_papers_settings(notebook):
    assert {name: DEFAULTS[notebook][name] for name in PAPER[notebook]} == PAPER[notebook]


def test_extra_cases_are_the_papers_78():
    assert sum(DEFAULTS["01_data"]["extra_lesions"]) == 78


def test_a_name_means_one_kind_of_value_in_all_notebooks():
    """A line of a settings file goes to all notebooks that have the parameter."""
    kinds = {}
    for values in DEFAULTS.values():
        for name, value in values.items():
            kinds.setdefault(name, set()).add(type(value).__name__)
    assert len(kinds["epochs"]) == len(kinds["seeds"]) == 1
    assert {name: kind for name, kind in kinds.items() if len(kind) > 1} == {}


@pytest.mark.parametrize("profile", settings.PROFILES)
def test_every_profile_names_only_known_parameters(profile):
    parameters = settings.run_parameters(profile)
    assert {name: set(values) for name, values in parameters.items()} == {name: set(own) for name, own in DEFAULTS.items()}
    assert {values["run"] for values in parameters.values()} == {f"runs/{profile}"}
    folder = settings.ROOT / "profiles" / profile
    assert {path.stem for path in folder.glob("*.yml")} == {"common", *DEFAULTS}, "one file a notebook, for plain papermill"
    for name, own in DEFAULTS.items():
        settings.check_parameters(settings.read_settings(folder / f"{name}.yml"), own, name)


def test_paper_profile_repeats_the_papers_settings_with_ten_seeds():
    for name, values in settings.run_parameters("paper").items():
        own = {"run": "runs/paper"} | ({"seeds": list(range(10))} if "seeds" in DEFAULTS[name] else {})
        assert values == DEFAULTS[name] | own


def test_smoke_profile_is_smaller():
    smoke, paper = settings.run_parameters("smoke"), settings.run_parameters("paper")
    assert sum(smoke["01_data"]["lesions"]) < sum(paper["01_data"]["lesions"])
    assert smoke["03_dcgan"]["epochs"] < 70 and smoke["05_classification"]["epochs"] < 150


def small_project(folder):
    """Copy the notebooks and lay a profile beside them."""
    shutil.copytree(settings.ROOT / "notebooks", folder / "notebooks")
    for name in DEFAULTS:
        write(folder / "profiles" / "quick" / f"{name}.yml", "")
    write(folder / "profiles" / "quick" / "common.yml", "")
    return folder / "profiles" / "quick"


def test_order_of_precedence(tmp_path):
    profile, own = small_project(tmp_path), tmp_path / "own.yml"

    def epochs(**more):
        parameters = settings.run_parameters("quick", root=tmp_path, **more)
        return parameters["03_dcgan"]["epochs"], parameters["05_classification"]["epochs"]

    assert epochs() == (70, 150)
    write(profile / "common.yml", "epochs: 1")
    assert epochs() == (1, 1)
    write(profile / "03_dcgan.yml", "epochs: 2")
    assert epochs() == (2, 1)
    write(own, "epochs: 3")
    assert epochs(settings=own) == (3, 3)
    assert epochs(settings=own, overrides={"epochs": 4}) == (4, 4)
    assert settings.run_parameters("quick", root=tmp_path, settings=own)["01_data"] == DEFAULTS["01_data"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch: 3", "unknown parameter 'epoch'; did you mean 'epochs'?"),
        ("zzz: 3", "unknown parameter 'zzz'; known are accuracy_margin, .*amount_reading, "),
        ("3: 3", "unknown parameter '3'"),
        ("epochs: many", r"parameter 'epochs' is 'many' \(str\); it must be like \d+ \(int\)"),
        ("epochs: true", r"parameter 'epochs' is True \(bool\)"),
        ("epochs: 2.5", r"parameter 'epochs' is 2.5 \(float\)"),
        ("epochs:", "parameter 'epochs' is None"),
        ("learning_rate: [0.1]", r"parameter 'learning_rate' is \[0.1\] \(list\)"),
        ("seeds: 3", r"parameter 'seeds' is 3 \(int\); it must be like \[0\] \(list\)"),
        ("seeds: [a]", r"parameter 'seeds' is \['a'\]"),
        ("classic_amounts: [500, 0.5]", r"parameter 'classic_amounts' is \[500, 0.5\]"),
        ("noise: 1", r"parameter 'noise' is 1 \(int\)"),
        ("- epochs", "must be flat"),
        ("just words", "must be flat"),
        ("03_dcgan:\n  epochs: 3", "must be flat"),
        ("epochs: [3", "is not YAML"),
        ("epochs: 3\nepochs: [", "is not YAML"),
    ],
)
def test_bad_settings_file_is_an_error_that_names_it(tmp_path, text, message):
    file = write(tmp_path / "own.yml", text)
    with pytest.raises(SettingsError, match=f"settings file .*own.yml.*{message}"):
        settings.run_parameters("quick", settings=file)


def test_like_values_are_taken(tmp_path):
    file = write(tmp_path / "own.yml", "learning_rate: 1\nclassic_amount: 500\nwindow_level: -600.5\nseeds: [0, 1]\n")
    parameters = settings.run_parameters("quick", settings=file)
    assert parameters["03_dcgan"]["learning_rate"] == 1 and parameters["03_dcgan"]["classic_amount"] == 500
    assert parameters["01_data"]["window_level"] == -600.5
    assert all(values["seeds"] == [0, 1] for values in parameters.values() if "seeds" in values)
    assert settings.run_parameters("quick", settings=write(file, ""))["01_data"] == settings.run_parameters("quick")["01_data"]


def test_settings_file_that_is_missing_or_not_text_is_an_error(tmp_path):
    with pytest.raises(SettingsError, match="none.yml is missing"):
        settings.run_parameters("quick", settings=tmp_path / "none.yml")
    (tmp_path / "image.yml").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(SettingsError, match="image.yml is not YAML"):
        settings.read_settings(tmp_path / "image.yml")


def test_unknown_parameter_of_a_profile_or_command_line_is_an_error(tmp_path):
    profile = small_project(tmp_path)
    with pytest.raises(SettingsError, match="command line: unknown parameter 'labels'; did you mean 'label'"):
        settings.run_parameters("quick", overrides={"labels": "kind"}, root=tmp_path)
    write(profile / "01_data.yml", "epochs: 3")  # known, but to another notebook
    with pytest.raises(SettingsError, match="profiles/quick/01_data.yml: unknown parameter 'epochs'"):
        settings.run_parameters("quick", root=tmp_path)
    write(profile / "01_data.yml", "")
    write(profile / "common.yml", "flds: 3")
    with pytest.raises(SettingsError, match="profiles/quick/common.yml: unknown parameter 'flds'; did you mean 'folds'"):
        settings.run_parameters("quick", root=tmp_path)


def test_unknown_profile_is_an_error_that_lists_them():
    with pytest.raises(SettingsError, match="PROFILE=huge is unknown; choose one of smoke, quick, standard, paper"):
        settings.run_parameters("huge")


def test_notebook_without_parameters_cell_is_an_error(tmp_path):
    file = write(tmp_path / "09_none.ipynb", '{"cells": [{"cell_type": "code", "metadata": {}, "source": ["epochs = 3"]}]}')
    with pytest.raises(SettingsError, match="09_none.ipynb has no cell tagged 'parameters'"):
        settings.notebook_defaults(file)


def test_reduction_note_names_what_differs_from_the_paper():
    own = DEFAULTS["05_classification"]
    same = own | {"run": "runs/mine", "seeds": [0, 1], "precision": "float32", "something": "else"}
    assert settings.reduction_note("05_classification", same) == "All settings of notebook 05 are those of the full experiment."
    note = settings.reduction_note("05_classification", own | {"epochs": 4, "momentum": 0.5})
    assert note.startswith("This run differs from the full experiment in epochs, momentum, so")


def test_run_name_and_folder(tmp_path):
    assert settings.run_name("quick") == "quick"
    assert settings.run_name("quick", tmp_path / "lidc" / "lesions.csv", "nodule_type") == "quick-lidc-nodule_type"
    assert settings.run_folder("runs/quick") == settings.ROOT / "runs" / "quick"
    assert settings.run_folder(str(tmp_path)) == tmp_path


def test_precision_is_resolved_or_an_error(monkeypatch):
    assert settings.resolve_precision("float32") == "float32"
    assert settings.resolve_precision("mixed_bfloat16") == "mixed_bfloat16"
    for native, expected in ((True, "mixed_bfloat16"), (False, "float32")):
        monkeypatch.setattr(settings, "_native_bfloat16", lambda native=native: native)
        assert settings.resolve_precision("auto") == expected
    with pytest.raises(SettingsError, match="parameter 'precision' is 'float16'; choose one of auto, float32, mixed_bfloat16"):
        settings.resolve_precision("float16")


def test_choices_and_missing_inputs_say_what_to_do(tmp_path):
    settings.require_choice("noise", "normal", ["uniform", "normal"])
    with pytest.raises(SettingsError, match="parameter 'noise' is 'pink'; choose one of uniform, normal"):
        settings.require_choice("noise", "pink", ["uniform", "normal"])
    assert settings.require(tmp_path, "make book") == tmp_path
    with pytest.raises(MissingInputError, match="results.csv is missing; make it with: make book"):
        settings.require(tmp_path / "results.csv", "make book")


def test_without_a_clone_runs_lie_where_python_was_started(tmp_path, monkeypatch):
    assert settings.CLONE and settings.run_folder("runs/x") == settings.ROOT / "runs" / "x"
    monkeypatch.setattr(settings, "CLONE", False)
    monkeypatch.chdir(tmp_path)
    assert settings.run_folder("runs/x") == tmp_path / "runs" / "x"
    assert settings.run_folder("/elsewhere/x") == Path("/elsewhere/x")


def test_package_brings_notebooks_and_profiles_along():
    setuptools = tomllib.loads((settings.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    for name, pattern in (("notebooks", "*.ipynb"), ("profiles", "*/*.yml")):
        assert f"lesion_utils.{name}" in setuptools["packages"]
        assert setuptools["package-dir"][f"lesion_utils.{name}"] == name
        assert setuptools["package-data"][f"lesion_utils.{name}"] == [pattern]
        assert list((settings.ROOT / name).glob(pattern))
