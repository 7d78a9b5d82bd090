"""The commands for people with their own data: ``describe`` and ``table`` before a run, ``export`` after it."""

import os
import sys
from pathlib import Path

WARNING = (
    "warning: every picture counts as a patient of its own. If two are of one person, that person trains and tests, "
    "and every result is too good; give --patients FILE instead."
)


def add_commands(commands):
    """Add the commands to argparse's subparsers; each sets ``run``, which takes the options and returns the exit code."""
    command = commands.add_parser("describe", help="say what a table of lesions holds, and every problem (exit code 1)")
    command.add_argument("table", type=Path, help="your lesions.csv")
    command.add_argument("--label", help="column that holds the classes; without it, columns that could are listed")
    command.set_defaults(run=_describe)
    command = commands.add_parser("table", help="write lesions.csv for PNG or JPEG pictures in one folder a class")
    command.add_argument("folder", type=Path)
    command.add_argument("--patients", type=Path, help="CSV with the columns image and patient_id")
    command.add_argument("--one-image-one-patient", action="store_true", help="every picture is of another person")
    command.set_defaults(run=_table)
    command = commands.add_parser("export", help="write the synthetic ROIs and classifiers of a run into a new folder")
    command.add_argument("source", type=Path, help="runs/<NAME>")
    command.add_argument("folder", type=Path, help="is made; must not be there yet")
    command.set_defaults(run=_export)


def _describe(options):
    from .describe import describe
    from .progress import progress

    def watched(images, total):
        return progress(images, description="images", total=total)

    text, problems = describe(options.table, options.label, watched if sys.stderr.isatty() else None)
    print(text)
    return 1 if problems else 0


def _table(options):
    from .folders import table_from_folders

    path, rows = table_from_folders(
        options.folder, patients=options.patients, one_image_one_patient=options.one_image_one_patient
    )
    print(f"{path} holds {rows} pictures, each with a box around its middle: set x1, y1, x2, y2 where the lesion is elsewhere")
    if options.one_image_one_patient:
        print(WARNING, file=sys.stderr)
    return 0


def _export(options):
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from .progress import native_messages_to

    with native_messages_to(os.devnull):
        from .export import export_run

    print(export_run(options.source, options.folder))
    return 0
