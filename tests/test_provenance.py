"""What a run records of itself, and how the pages say it."""

import pytest

from lesion_utils import provenance
from lesion_utils.errors import MissingInputError

MADE = {"profile": "quick", "commit": "0123456789abcdef", "changed": [], "hardware": "a processor", "versions": {"numpy": "2.1"}}


def test_a_run_records_what_it_is_made_from(tmp_path):
    provenance.record(tmp_path, "quick", "kind", {"window_level": -600})
    made = provenance.read(tmp_path)
    assert made["profile"] == "quick" and made["cohort"] == "table" and made["label"] == "kind"
    assert made["settings"] == {"window_level": -600} and "cores" in made["hardware"]
    assert set(made) >= {"commit", "changed", "versions"}
    provenance.record(tmp_path, "quick", "", {})
    assert provenance.read(tmp_path)["cohort"] == "simulated"
    provenance.record(tmp_path, "quick", "", {}, away=True)
    assert provenance.read(tmp_path)["hardware"] == f"a cluster, to which jobs were sent from {made['hardware']}"


def test_without_a_record_the_error_names_the_command(tmp_path):
    with pytest.raises(MissingInputError, match="provenance.json is missing; make it with: make book"):
        provenance.read(tmp_path)


def test_outside_of_git_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert provenance.code_state(tmp_path) == {"commit": None, "changed": []}


def test_times_of_the_parts_add_up(tmp_path):
    (tmp_path / "benchmarks").mkdir()
    for rule, seconds in (("dcgan", 90), ("data", 30)):
        (tmp_path / "benchmarks" / f"{rule}.tsv").write_text(f"s\tmax_rss\n1\t-\n{seconds}\t1536\n")
    parts = provenance.minutes(tmp_path)
    alone = {"memory_gb": 1.5, "jobs": 1}
    assert parts == {"data": {"minutes": 0.5} | alone, "dcgan": {"minutes": 1.5} | alone}
    lines = provenance.run_times(MADE, parts).splitlines()
    assert lines[2] == "| [](../notebooks/01_data.ipynb) | 1 | 0.5 | 1.5 |" and "| 2.0 | |" in lines[4]
    assert lines[-1] == "Made on a processor, with the profile `quick` from commit `0123456789ab`."


def test_jobs_of_a_part_add_up_and_the_largest_says_how_much_memory(tmp_path):
    (tmp_path / "benchmarks" / "dcgan").mkdir(parents=True)
    for name, seconds, memory in (("dcgan", 30, 512), ("dcgan/seed0_fold0", 60, 2048), ("dcgan/seed0_fold1", 90, 1024)):
        (tmp_path / "benchmarks" / f"{name}.tsv").write_text(f"s\tmax_rss\n{seconds}\t{memory}\n")
    parts = provenance.minutes(tmp_path)
    assert parts == {"dcgan": {"minutes": 3.0, "memory_gb": 2.0, "jobs": 3}}
    assert "| 3 | 3.0 | 2.0 |" in provenance.run_times(MADE, parts)
    older = {"dcgan": {"minutes": 3.0, "memory_gb": 2.0}}
    assert "| 1 | 3.0 | 2.0 |" in provenance.run_times(MADE, older), "a run that was published before jobs were counted"


def test_a_changed_tree_and_an_unknown_commit_are_said():
    assert provenance.made_from(MADE | {"changed": ["x"]}).endswith("with changes that are not committed")
    assert "an unknown commit" in provenance.made_from(MADE | {"commit": None})


def test_versions_are_those_of_the_named_packages():
    found = provenance.versions()
    assert {"Python", "numpy", "tensorflow", "jupyter-book"} <= set(found) and "pytest" not in found
    assert provenance.version_table(MADE).splitlines()[-1] == "| numpy | 2.1 |"
