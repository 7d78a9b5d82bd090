"""A run on many machines: which jobs there are, that each training belongs to one, that the profiles name what exists."""

import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import uuid
from collections import Counter

import nbformat
import pytest
import yaml
from snakemake.cli import get_argument_parser
from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry

from lesion_utils import __main__ as command
from lesion_utils import execution, plan, runs, settings
from lesion_utils.errors import SettingsError

RUNS, PROFILES = settings.ROOT / "runs", settings.ROOT / "profiles"
CLUSTERS = {"slurm": "slurm", "kubernetes": "cluster-generic"}  # a profile's folder, and what it sends jobs with


@pytest.fixture
def name():
    """A run of our own, removed at the end."""
    name = f"test-{os.getpid()}-{uuid.uuid4().hex[:6]}"
    yield name
    shutil.rmtree(RUNS / name, ignore_errors=True)


@pytest.fixture
def workflow(name, monkeypatch):
    """Return a function that makes a book as a dry run, and returns what Snakemake says it would do."""
    said, run = [], subprocess.run

    def dry_run(words, **more):
        if "snakemake" not in words:
            return run(words, **more)
        words = [*words[: words.index("--quiet")], *words[words.index("--config") :], "--dry-run", "--printshellcmds"]
        said.append(run(words, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, env=more["env"]).stdout)
        return subprocess.CompletedProcess(words, 0)

    def would(*words):
        monkeypatch.setattr(command.subprocess, "run", dry_run)
        assert command.main(["book", "--name", name, "--cores", "2", *words]) == 0
        return said[-1]

    return would


def jobs(text):
    """Return how many jobs each rule has, from what a dry run prints."""
    table = text.split("Job stats:")[1].split("total")[0]
    return dict((rule, int(count)) for rule, count in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE))


def of_parts(counts):
    return {rule: count for rule, count in counts.items() if rule.endswith("_part")}


def test_a_standard_run_has_a_job_for_each_seed_and_fold(workflow):
    text = workflow("--profile", "standard")
    counts = jobs(text)
    by_fold = dict.fromkeys(("classic_groups_part", "dcgan_part", "acgan_part"), 3 * 3)
    assert of_parts(counts) == by_fold | {"classification_part": 3 * 3, "controls_part": 3, "better_gans_part": 3}
    assert all(count == 1 for rule, count in counts.items() if not rule.endswith("_part"))
    assert sum(of_parts(counts).values()) == plan.part_jobs(settings.run_parameters("standard")), "make plan counts them"
    commands = [shlex.split(line) for line in re.findall(r"^Shell command: (.* --until .*)$", text, re.MULTILINE)]
    seen = Counter()
    for words in commands:
        source, values, tag = words[4], yaml.safe_load(words[words.index("-y") + 1]), words[words.index("--until") + 1]
        settings.check_parameters(values, settings.notebook_defaults(settings.ROOT / source), source)
        execution._cells_until(settings.ROOT / source, tag)
        seen[source, json.dumps(values, sort_keys=True)] += 1
    assert len(seen) == len(commands) == sum(of_parts(counts).values()), "no two jobs train the same"
    assert seen["notebooks/03_dcgan.ipynb", '{"only_folds": [2], "seeds": [1]}'] == 1


@pytest.mark.parametrize("profile", ["smoke", "quick"])
def test_a_small_run_has_one_job_a_notebook(profile, workflow):
    counts = jobs(workflow("--profile", profile))
    assert of_parts(counts) == {} and set(counts.values()) == {1}
    notebooks = [rule for rule in counts if rule not in ("all", "results", "book")]
    assert len(notebooks) == len(settings.notebooks()) + 1, "05_classification has two jobs: the classic groups come first"


def test_a_small_run_can_be_made_in_parts_and_a_large_one_without(workflow):
    assert of_parts(jobs(workflow("--profile", "smoke", "--parts")))["dcgan_part"] == 3
    assert of_parts(jobs(workflow("--profile", "standard", "--no-parts"))) == {}


@pytest.mark.parametrize("folds", [3, 4, 5])
def test_every_inner_training_belongs_to_one_fold(folds, tmp_path):
    (tmp_path / "preparation.json").write_text(json.dumps({"folds": folds}))
    run = runs.Run(tmp_path)
    owned = [run.inner_pairs([fold]) for fold in range(folds)]
    together = [pair for pairs in owned for pair in pairs]
    assert sorted(together) == run.inner_pairs(range(folds)) == sorted({runs.fold_tuple(pair) for pair in run.inner_folds})
    assert all(fold in pair for fold, pairs in enumerate(owned) for pair in pairs)
    assert max(map(len, owned)) - min(map(len, owned)) <= 1


def test_a_part_stops_where_its_units_are_trained(tmp_path, monkeypatch):
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_CPP_MIN_LOG_LEVEL"):  # put back afterwards
        monkeypatch.setenv(variable, os.environ.get(variable, "2"))
    cells = [
        nbformat.v4.new_code_cell('run = ""  # folder\nseeds = [0]  # repetitions', metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell("print(seeds)", metadata={"tags": ["units"]}),
        nbformat.v4.new_code_cell("raise ValueError"),
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    source, output = tmp_path / "07_small.ipynb", tmp_path / "run" / "parts" / "seed2.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), source)
    (tmp_path / "all.yml").write_text(yaml.safe_dump({"run": str(tmp_path / "run"), "seeds": [0, 2]}))
    words = ["notebook", str(source), str(output), "-f", str(tmp_path / "all.yml"), "--threads", "1"]
    assert command.main([*words, "--until", "units", "-y", "{seeds: [2]}"]) == 0
    assert nbformat.read(output, 4).cells[-1].outputs[0].text == "[2]\n"
    assert (tmp_path / "run" / "logs" / "07_small_seed2.log").exists(), "two parts at once do not share a log"
    with pytest.raises(SettingsError, match="07_small.ipynb has 0 cells with the tag 'trained'"):
        execution.execute(source, output, tmp_path / "all.yml", threads=1, until="trained")


def test_jobs_that_are_sent_away_get_no_terminal_and_cores_of_their_own(name, monkeypatch):
    calls = []

    def instead(words, env=None, **more):
        calls.append((words, env))
        return subprocess.CompletedProcess(words, 0)

    monkeypatch.setattr(command.provenance, "record", lambda *_, **more: None)
    monkeypatch.setattr(command.subprocess, "run", instead)
    monkeypatch.setattr(command, "_terminal", lambda: {"LESION_BOOK_TERMINAL": "/dev/pts/9"})
    words = ["book", "--profile", "smoke", "--name", name]
    assert command.main(words) == command.main([*words, "--workflow-profile", str(PROFILES / "slurm")]) == 0
    (here, own), (away, theirs) = calls
    assert "--cores" in here and own["LESION_BOOK_TERMINAL"] == "/dev/pts/9"
    assert "--cores" not in away and "LESION_BOOK_TERMINAL" not in theirs
    assert away[away.index("--workflow-profile") + 1] == str(PROFILES / "slurm")
    assert f"cores={command.JOB_CORES}" in away and f"cores={os.cpu_count()}" in here


def test_a_workflow_profile_that_is_not_there_is_an_error(name, capsys):
    assert command.main(["book", "--name", name, "--workflow-profile", "profiles/slrm"]) == 2
    assert "WORKFLOW_PROFILE=profiles/slrm is no folder; try profiles/slurm" in capsys.readouterr().err


def test_an_error_of_an_attempt_is_forgotten_where_another_went_well(name, monkeypatch, capsys):
    def instead(words, code=0, **more):
        (RUNS / name / settings.ERROR_FILE).write_text("03_dcgan.ipynb: out of memory")
        return subprocess.CompletedProcess(words, codes.pop())

    codes = [1, 0]
    monkeypatch.setattr(command.provenance, "record", lambda *_, **more: None)
    monkeypatch.setattr(command.subprocess, "run", instead)
    assert command.main(["book", "--profile", "smoke", "--name", name]) == 0
    assert "out of memory" not in capsys.readouterr().err and not (RUNS / name / settings.ERROR_FILE).exists()
    assert command.main(["book", "--profile", "smoke", "--name", name]) == 2
    assert "error: 03_dcgan.ipynb: out of memory" in capsys.readouterr().err


# The profiles


def settings_of(profile):
    return yaml.safe_load((PROFILES / profile / "config.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("profile", CLUSTERS)
def test_profile_names_options_that_snakemake_knows(profile):
    values, executor = settings_of(profile), CLUSTERS[profile]
    assert values["executor"] == executor
    known = {word.lstrip("-") for action in get_argument_parser(profiles=None)._actions for word in action.option_strings}
    own = {name for name in values if name.startswith(f"{executor}-")}
    assert set(values) - own <= known
    if importlib.util.find_spec(f"snakemake_executor_plugin_{executor.replace('-', '_')}") is None:
        pytest.skip(f"what is left are options of {executor}'s plugin, which is not installed: {', '.join(sorted(own))}")
    plugin = ExecutorPluginRegistry().get_plugin(executor)
    assert own <= {f"{executor}-{field.replace('_', '-')}" for field in plugin.settings_cls.__dataclass_fields__}


@pytest.mark.parametrize("profile", CLUSTERS)
def test_a_job_that_failed_gets_more_memory_and_time(profile):
    values = settings_of(profile)
    assert values["retries"] > 0
    for words in values["default-resources"].values():
        assert re.fullmatch(r"[1-9]\d* \* attempt", words), words  # Snakemake puts in 1, 2, ...


@pytest.fixture
def kubernetes(tmp_path, monkeypatch):
    """Return profiles/kubernetes/jobs.py with a stand-in for kubectl, which writes ``told`` and says what is in ``says``."""
    stand_in = tmp_path / "kubectl"
    stand_in.write_text(f'#!/bin/sh\n[ "$1" = create ] && cat > {tmp_path}/told || cat {tmp_path}/says\n')
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    spec = importlib.util.spec_from_file_location("jobs", PROFILES / "kubernetes" / "jobs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_kubernetes_job_has_what_the_workflow_asks_for(kubernetes, tmp_path, monkeypatch):
    monkeypatch.setenv(settings.DATA_VARIABLE, 'a "table".csv')
    name = kubernetes.submit("4", "8000", "240", "script.sh")
    told = json.loads((tmp_path / "told").read_text())
    assert told["kind"] == "Job" and told["metadata"]["name"] == name and told["spec"]["activeDeadlineSeconds"] == 4 * 3600
    (container,) = told["spec"]["template"]["spec"]["containers"]
    assert container["command"] == ["/bin/sh", "script.sh"]
    assert container["resources"] == {"requests": {"cpu": "4", "memory": "8000M"}, "limits": {"memory": "8000M"}}
    assert {"name": settings.DATA_VARIABLE, "value": 'a "table".csv'} in container["env"]
    assert {settings.DATA_VARIABLE, settings.READERS_VARIABLE} <= set(kubernetes.CARRIED)


@pytest.mark.parametrize(
    ("state", "word"),
    [({"active": 1}, "running"), ({}, "running"), ({"succeeded": 1}, "success"), ({"failed": 1}, "failed"), (None, "failed")],
)
def test_kubernetes_job_tells_how_it_is(kubernetes, tmp_path, state, word):
    (tmp_path / "says").write_text("" if state is None else json.dumps({"status": state}))
    assert kubernetes.status("lesion-book-1") == word
