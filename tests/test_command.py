"""The command line: what it refuses before anything runs, and what a bad table leaves behind: a message."""

import errno
import json
import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

import nbformat
import papermill
import pytest
import yaml
from conftest import make_table

from lesion_utils import __main__ as command
from lesion_utils import settings

RUNS = settings.ROOT / "runs"
FULL = os.strerror(errno.ENOSPC)
#: What only a run that got past its input has.
OUTPUTS = ("cohort.npz", "folds.csv", "results.csv", "predictions.csv", "html", "book", "classifiers", "dcgan")


@pytest.fixture
def name():
    """A run of our own, removed at the end."""
    name = f"test-{os.getpid()}-{uuid.uuid4().hex[:6]}"
    yield name
    shutil.rmtree(RUNS / name, ignore_errors=True)


def lesion_book(*words):
    """Run the command as the Makefile does."""
    run = [sys.executable, "-m", "lesion_utils", *map(str, words)]
    return subprocess.run(run, cwd=settings.ROOT, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--profile", "huge"], "PROFILE=huge is unknown; choose one of smoke, quick, standard, paper"),
        (["--data", "README.md"], "DATA and LABEL belong together"),
        (["--label", "kind"], "DATA and LABEL belong together"),
        (["--data", "none/lesions.csv", "--label", "kind"], "table none/lesions.csv is missing; check the path after DATA="),
        (["--settings", "none.yml"], "settings file none.yml is missing"),
    ],
)
@pytest.mark.parametrize("verb", ["book", "plan"])
def test_wrong_words_are_refused_before_anything_is_written(verb, words, message, name, capsys, monkeypatch):
    monkeypatch.chdir(settings.ROOT)
    before = set(os.listdir(RUNS)) if RUNS.exists() else set()
    assert command.main([verb, *words, "--name", name]) == 2
    output = capsys.readouterr()
    assert message in output.err and output.err.startswith("error: ") and output.out == ""
    assert (set(os.listdir(RUNS)) if RUNS.exists() else set()) == before


@pytest.mark.parametrize("bad", ["../elsewhere", "a/b", ".hidden", "/elsewhere"])
def test_name_must_be_a_plain_folder_name(bad, capsys):
    assert command.main(["book", "--name", bad]) == 2
    assert f"NAME={bad} must be a plain folder name" in capsys.readouterr().err


def test_unknown_parameter_ends_the_process_with_code_2_and_no_folder(tmp_path, name):
    file = tmp_path / "my.yml"
    file.write_text("epohcs: 3\n", encoding="utf-8")
    result = lesion_book("book", "--profile", "smoke", "--settings", file, "--name", name)
    assert result.returncode == 2
    assert "my.yml: unknown parameter 'epohcs'; did you mean 'epochs'?" in result.stderr
    assert "Traceback" not in result.stderr and not (RUNS / name).exists()


def bad_label(folder):
    return make_table(folder), "colour", ["lesions.csv", "label column 'colour' is unknown", "kind"]


def too_few_patients(folder):
    words = ["class 'cyst' has 2 patients, fewer than the 3 folds", "set folds to a smaller number"]
    return make_table(folder), "kind", words


@pytest.mark.parametrize("make", [bad_label, too_few_patients])
def test_bad_table_ends_with_a_message_and_no_outputs(tmp_path, name, make):
    table, label, words = make(tmp_path)
    result = lesion_book("book", "--profile", "smoke", "--data", table, "--label", label, "--name", name)
    assert result.returncode == 2, result.stderr
    for word in words:
        assert word in result.stderr
    assert "Traceback" not in result.stderr
    left = sorted(path.relative_to(RUNS / name).as_posix() for path in (RUNS / name).rglob("*") if path.is_file())
    assert not [file for file in left if file.split("/")[0] in OUTPUTS], left
    for file in left:
        assert str(tmp_path).encode() not in (RUNS / name / file).read_bytes(), f"{file} tells where the table is"


def test_run_that_is_being_made_is_not_made_twice(name):
    import fcntl

    (RUNS / name).mkdir(parents=True)
    with open(RUNS / name / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = lesion_book("book", "--profile", "smoke", "--name", name)
    assert result.returncode == 2 and "is being made by another process" in result.stderr
    assert os.listdir(RUNS / name) == [".lock"]


# One notebook


def small_notebook(path, *cells):
    lines = 'run = ""  # folder\ndata = ""  # table\nreader_files = []  # answers'
    parameters = nbformat.v4.new_code_cell(lines, metadata={"tags": ["parameters"]})
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    book = nbformat.v4.new_notebook(cells=[parameters, *map(nbformat.v4.new_code_cell, cells)], metadata=kernel)
    path.write_text(nbformat.writes(book), encoding="utf-8")
    return path


def execute(folder, *cells, **parameters):
    """Execute a small notebook in this process; return the exit code and the path of the result."""
    source, output = small_notebook(folder / "07_small.ipynb", *cells), folder / "run" / "book" / "07_small.ipynb"
    file = folder / "parameters.yml"
    file.write_text(yaml.safe_dump({"run": str(folder / "run"), **parameters}), encoding="utf-8")
    return command.main(["notebook", str(source), str(output), "-f", str(file), "--threads", "1"]), output


@pytest.fixture
def own_environment(monkeypatch):
    """Threads are fixed through environment variables: put them back afterwards."""
    for variable in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_CPP_MIN_LOG_LEVEL"):
        monkeypatch.setenv(variable, os.environ.get(variable, "2"))


def test_notebook_is_executed_from_the_root_and_forgets_where_the_table_is(tmp_path, own_environment):
    table = tmp_path / 'my "own" folder' / "lesions.csv"
    cell = "import os\nprint(os.path.samefile(os.getcwd(), ROOT), os.environ['OMP_NUM_THREADS'], len(data))"
    code, output = execute(tmp_path, cell.replace("ROOT", repr(str(settings.ROOT))), data=str(table))
    assert code == 0
    notebook = nbformat.read(output, 4)
    assert notebook.cells[-1].outputs[0].text == f"True 1 {len(str(table))}\n"
    text = output.read_text(encoding="utf-8")
    assert 'data = \\"lesions.csv\\"' in text
    notebook.cells[-1].source = ""
    assert "own" not in nbformat.writes(notebook) and str(tmp_path / "run") not in json.dumps(notebook.metadata)


def test_names_of_readers_files_stay_out_of_the_notebook(tmp_path, own_environment):
    code, output = execute(tmp_path, "print(len(reader_files))", reader_files=["readers/dr_jane_doe.csv", "b.csv"])
    assert code == 0
    assert nbformat.read(output, 4).cells[-1].outputs[0].text == "2\n"
    text = output.read_text(encoding="utf-8")
    assert "jane" not in text and 'reader_files = [\\"reader.csv\\"]' in text


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (
            "from lesion_utils.errors import DataError\nraise DataError('row 3: no such mask; draw it')",
            "row 3: no such mask; draw it",
        ),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        (f"raise OSError(28, {FULL!r})", f"run cannot be written ({FULL}); free some space and give the same command again"),
    ],
)
def test_notebook_that_fails_leaves_its_message_and_no_output(tmp_path, own_environment, cell, message):
    code, output = execute(tmp_path, cell)
    assert code == 1 and os.listdir(output.parent) == []
    error = tmp_path / "run" / settings.ERROR_FILE
    text = error.read_text(encoding="utf-8")
    assert text.startswith("07_small.ipynb: ") and message in text and "\x1b" not in text
    assert ("Traceback" in text) == ("1 / 0" in cell), "a traceback only where the message does not say it all"
    assert error.stat().st_mode & 0o077 == 0


def test_notebook_that_cannot_be_kept_leaves_its_message_and_no_output(tmp_path, own_environment, monkeypatch):
    def full(source, partial, *words, **more):
        partial.write_text("half")
        raise OSError(errno.ENOSPC, FULL)

    monkeypatch.setattr(papermill, "execute_notebook", full)
    code, output = execute(tmp_path, "1")
    assert code == 1 and os.listdir(output.parent) == []
    text = (tmp_path / "run" / settings.ERROR_FILE).read_text(encoding="utf-8")
    assert text.startswith(f"07_small.ipynb: {output} cannot be written ({FULL}); free some space")


def test_unknown_parameter_of_a_notebook_is_an_error(tmp_path, capsys):
    code, output = execute(tmp_path, "1", epoch=3)
    assert code == 2 and not output.exists()
    assert "parameters.yml: unknown parameter 'epoch'" in capsys.readouterr().err


def test_help_names_every_command(capsys):
    with pytest.raises(SystemExit) as ended:
        command.main(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert all(verb in text for verb in ("book", "plan", "publish", "published", "links", "notebook", "render", "join"))
    makefile = Path(settings.ROOT / "Makefile").read_text(encoding="utf-8")
    for verb in ("book", "plan", "publish"):
        assert f"-m lesion_utils {verb} $(BOOK_OPTIONS)" in makefile


def test_no_file_of_a_run_holds_the_paths_of_the_table_and_of_readers_answers(monkeypatch, tmp_path):
    table = tmp_path / "Jane_Doe_1970" / "lesions.csv"
    table.parent.mkdir()
    table.write_text("lesion_id,patient_id,image,mask,kind\n", encoding="utf-8")
    answers = [str(table.with_name("Dr_John_Doe.csv")), "readers/Dr_John_Doe.csv"]
    Path(answers[0]).write_text("answers")
    own = tmp_path / "own.yml"
    own.write_text(yaml.safe_dump({"reader_files": answers, "data": str(table), "folds": 3}))
    environments, run = [], subprocess.run

    def instead_of_snakemake(words, env=None, **kwargs):
        if "snakemake" not in words:
            return run(words, env=env, **kwargs)
        environments.append(env)
        return subprocess.CompletedProcess(words, 0)

    monkeypatch.setattr(command.subprocess, "run", instead_of_snakemake)
    name = f"test-privacy-{os.getpid()}"
    folder = RUNS / name
    words = ["book", "--profile", "smoke", "--data", str(table), "--label", "kind", "--name", name, "--settings", str(own)]
    try:
        code = command.main(words)
        written = {path: path.read_text(encoding="utf-8") for path in folder.rglob("*") if path.is_file()}
        Path(answers[0]).write_text("other answers")
        assert command.main(words) == 0
        changed = {path for path, text in written.items() if path.read_text(encoding="utf-8") != text}
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    assert code == 0
    assert {"01_data.yml", "provenance.json"} <= {path.name for path in written}
    assert not [path for path, text in written.items() if "Jane_Doe" in text or "Dr_John" in text]
    assert {path.name for path in changed} == {"readers.txt"}, "what the workflow watches in the place of the answers"
    assert environments[-1][settings.DATA_VARIABLE] == str(table)
    assert json.loads(environments[-1][settings.READERS_VARIABLE]) == answers


def test_readers_files_reach_a_notebook_by_the_environment(tmp_path, own_environment, monkeypatch):
    monkeypatch.setenv(settings.READERS_VARIABLE, json.dumps(["readers/dr_jane_doe.csv", "b.csv"]))
    code, output = execute(tmp_path, "print(len(reader_files), reader_files[1])")
    assert code == 0 and nbformat.read(output, 4).cells[-1].outputs[0].text == "2 b.csv\n"
    assert "jane" not in output.read_text(encoding="utf-8")
