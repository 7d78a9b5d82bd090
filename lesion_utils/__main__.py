"""The command line: ``python -m lesion_utils COMMAND``; see ``--help``. The Makefile calls most of its commands."""

import argparse
import fcntl
import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import yaml

from . import errors, own_data, provenance, rendering, settings
from .files import leave_error, remove_leftovers, require_writable, write_text
from .progress import TERMINAL_VARIABLE

#: Cores of a job on another machine, unless ``--cores`` says otherwise. Those of the machine that sends it mean nothing there.
JOB_CORES = 4


def main(arguments=None):
    """Run one command; return the exit code. Errors of the user's making are printed without a traceback."""
    parser = argparse.ArgumentParser(prog="python -m lesion_utils", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    verbs = {
        "book": "run every notebook and render the book",
        "plan": "forecast time and disk of a run",
        "publish": "check a finished run and put its notebooks and results into book/published/",
    }
    for name, text in verbs.items():
        command = commands.add_parser(name, help=text)
        command.add_argument("--profile", default="quick", help="smoke, quick, standard or paper")
        command.add_argument("--data", default="", help="your lesions.csv; without it the simulated cohort")
        command.add_argument("--label", default="", help="column of lesions.csv that holds the classes")
        command.add_argument("--settings", default="", help="flat YAML file of parameters")
        command.add_argument("--name", default="", help="folder below runs/")
        command.add_argument("--cores", type=int, help="processor cores to use (all), or of a job on another machine")
        command.add_argument("--workflow-profile", type=Path, help="Snakemake profile that sends the jobs to other machines")
        parts = "a job for each seed and fold (default with standard and paper), not one a notebook"
        command.add_argument("--parts", action=argparse.BooleanOptionalAction, help=parts)
    command = commands.add_parser("notebook", help="execute one notebook with papermill, whole or not at all")
    command.add_argument("source", type=Path)
    command.add_argument("output", type=Path)
    command.add_argument("-f", "--file", type=Path, required=True, help="YAML file with all parameters")
    command.add_argument("--threads", type=int, default=os.cpu_count())
    command.add_argument("-y", "--parameters", type=yaml.safe_load, help="YAML of parameters that differ from the file's")
    command.add_argument("--until", help="tag of the last cell to execute")
    command = commands.add_parser("render", help="turn the executed notebooks of a run into HTML")
    command.add_argument("folder", type=Path)
    command = commands.add_parser("published", help="render book/published/, with no training")
    command.add_argument("--folder", type=Path, default=settings.ROOT / "runs" / "published", help="where html/ is written")
    commands.add_parser("links", help="try every link of the published book that leads elsewhere")
    command = commands.add_parser("join", help="join the notebooks' results of a run to results.csv and predictions.csv")
    command.add_argument("folder", type=Path)
    own_data.add_commands(commands)
    command = commands.add_parser("calibrate", help="compare simulated cohorts with the paper's five results without a GAN")
    command.add_argument("stage", choices=["search", "confirmation"], help="small settings, or once at the paper's")
    command.add_argument("--changes", type=Path, help="YAML file of constants of the appearance to try")
    command.add_argument("--arms", nargs="+", help="some of the arms; default: all")
    command.add_argument("--seeds", nargs="+", type=int, help="some of the stage's cohort seeds; default: all")
    command.add_argument("--folder", type=Path, default=settings.ROOT / "runs" / "calibration", help="of finished folds")
    command.add_argument("--save", action="store_true", help="write this stage's finished cohorts to the table")
    options = parser.parse_args(arguments)
    try:
        code = (options.run if "run" in options else globals()[f"_{options.command}"])(options) or 0
        sys.stdout.flush()
        return code
    except errors.LesionBookError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # whoever reads the output, such as `head`, has seen enough; Python's own last flush must not fail
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _calibrate(options):
    from . import calibration, calibration_table
    from .appearance import Appearance

    changes = yaml.safe_load(options.changes.read_text(encoding="utf-8")) if options.changes else {}
    appearance = calibration.varied(Appearance(), changes)
    arms = options.arms or calibration.ARMS
    rows = calibration.evaluate(options.stage, options.folder, appearance=appearance, arms=arms, seeds=options.seeds)
    print(calibration_table.summary(rows).round(3).to_string())
    if options.save:
        if changes:
            raise errors.SettingsError("--save writes the appearance as it is; put the constants into appearance.py first")
        calibration.save(options.stage, options.folder)


def _parameters(options):
    if not settings.CLONE:
        raise errors.SettingsError("a whole book needs a clone of the project; without one, run single notebooks with papermill")
    if bool(options.data) != bool(options.label):
        raise errors.SettingsError("DATA and LABEL belong together: the table, and its column that holds the classes")
    name = options.name or settings.run_name(options.profile, options.data, options.label)
    if Path(name).name != name or name.startswith("."):
        raise errors.SettingsError(f"NAME={name} must be a plain folder name")
    data = str(Path(options.data).resolve()) if options.data else ""
    if options.workflow_profile and not options.workflow_profile.is_dir():
        raise errors.SettingsError(f"WORKFLOW_PROFILE={options.workflow_profile} is no folder; try profiles/slurm")
    if data and not Path(data).is_file():
        raise errors.DataError(f"table {options.data} is missing; check the path after DATA=")
    overrides = {"run": f"runs/{name}", "data": data, "label": options.label}
    parameters = settings.run_parameters(options.profile, settings=options.settings or None, overrides=overrides)
    return settings.ROOT / "runs" / name, parameters


def _book(options):
    folder, parameters = _parameters(options)
    require_writable(folder)
    with open(folder / ".lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise errors.SettingsError(f"{folder} is being made by another process; wait for it, or set NAME=") from error
        return _run_workflow(options, folder, parameters, lock)


def _run_workflow(options, folder, parameters, lock):
    remove_leftovers(folder)
    # The classic half of the classification is run first, because the GAN is trained on the group that it chooses.
    classic = {"05_classification_classic": parameters["05_classification"] | {"arms": ["real", "classic"]}}
    data, answers = parameters["01_data"]["data"], parameters["08_reader_study"]["reader_files"]
    for name, values in (parameters | classic).items():
        # Paths of the user's files stay out of the run's folder: they reach their notebooks by the environment.
        values = {key: value for key, value in values.items() if key not in settings.PATHS}
        write_text(folder / "parameters" / f"{name}.yml", yaml.safe_dump(values, sort_keys=False))
    # What the workflow watches in their place, so that an edited table, or further answers, are read again.
    for name, files in (("table", [data] if data else []), ("readers", answers)):
        write_text(folder / "parameters" / f"{name}.txt", _digest([settings.run_folder(file) for file in files]) + "\n")
    (folder / settings.ERROR_FILE).unlink(missing_ok=True)
    own = settings.read_settings(options.settings) if options.settings else {}
    own = {key: value for key, value in own.items() if key not in settings.PATHS}
    away = options.workflow_profile is not None  # then a terminal here is none of theirs
    provenance.record(folder, options.profile, options.label, own, away=away)
    environment = os.environ | {settings.DATA_VARIABLE: data, settings.READERS_VARIABLE: json.dumps(answers)}
    environment |= {} if away else _terminal()
    started = time.monotonic()
    snakemake = [sys.executable, "-m", "snakemake", "--snakefile", str(settings.ROOT / "Snakefile"), "--directory", str(folder)]
    # Snakemake's own lock would outlive a killed process. It holds ours instead, which ends with its last holder: where this
    # process alone was killed, Snakemake goes on, and the run must not be made twice.
    run = [*snakemake, "--nolock", "--rerun-incomplete", "--quiet", "rules", "host"]
    if away:
        run += ["--workflow-profile", str(options.workflow_profile.resolve())]
    else:
        run += ["--cores", str(options.cores or os.cpu_count())]
    run += ["--config", f"cores={options.cores or (JOB_CORES if away else os.cpu_count())}", f"parts={_in_parts(options)}"]
    code = subprocess.run(run, env=environment, pass_fds=[lock.fileno()], check=False).returncode
    error = folder / settings.ERROR_FILE
    if code and error.exists():  # where all is well in the end, a job left it that went well when it was tried again
        print(f"\nerror: {error.read_text(encoding='utf-8')}", file=sys.stderr)
        error.unlink()  # it may quote the user's table
        return 2
    if code:
        require_writable(folder)  # on a full disk not even the error could be left
        return code
    error.unlink(missing_ok=True)
    minutes = (time.monotonic() - started) / 60
    print(f"The book is at {os.path.relpath(folder / 'html' / 'index.html')} ({minutes:.1f} minutes)")
    return 0


def _in_parts(options):
    return options.profile in settings.IN_PARTS if options.parts is None else options.parts


def _digest(paths):
    """Return a fingerprint of files: their paths, and what is in those that are there."""
    contents = [path.read_bytes() for path in paths if path.is_file()]
    return hashlib.sha256(b"".join([*map(os.fsencode, paths), *contents])).hexdigest()


def _terminal():
    """Return the environment that lets progress bars inside notebooks reach this terminal, if there is one."""
    return {TERMINAL_VARIABLE: os.ttyname(2)} if os.isatty(2) else {}


def _notebook(options):
    from .execution import execute

    part = {"changes": options.parameters, "until": options.until}
    return execute(options.source, options.output, options.file, threads=options.threads, **part)


def _render(options):
    _step(options.folder, rendering.render_run)


def _step(folder, work):
    """Do a part of the workflow that is no notebook; leave its error where the command that started the workflow finds it."""
    try:
        work(folder)
    except errors.LesionBookError as error:
        leave_error(folder, f"{error}\n")
        raise


def _publish(options):
    from . import publish

    folder, parameters = _parameters(options)
    target = publish.publish(folder, options.profile, parameters)
    print(f"{folder.name} is published in {os.path.relpath(target)}; look at it with `make published`, then commit it")


def _published(options):
    started = time.monotonic()
    page = rendering.render_published(options.folder)
    print(f"The published book is at {os.path.relpath(page)} ({time.monotonic() - started:.0f} s)")


def _links(options):
    rendering.check_links()


def _join(options):
    from .scores import join_results

    _step(options.folder, join_results)


def _plan(options):
    from .plan import forecast

    _, parameters = _parameters(options)
    print(forecast(parameters, cores=options.cores, parts=_in_parts(options)))


if __name__ == "__main__":
    sys.exit(main())
