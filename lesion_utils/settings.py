"""Parameters: the notebooks' defaults (the paper's settings), profiles, a user's settings file, and where a run lives.

An unknown parameter is an error that names it and the nearest known ones; papermill alone would only warn.
"""

import difflib
import json
import os
from pathlib import Path

import yaml

from .errors import MissingInputError, SettingsError

PACKAGE = Path(__file__).resolve().parent
#: Whether the package lies in a clone of the project; if not, it was installed alone, with the notebooks and profiles inside it.
CLONE = (PACKAGE.parent / "Snakefile").is_file()
ROOT = PACKAGE.parent if CLONE else PACKAGE
#: Names of the profiles, from the smallest to the paper's.
PROFILES = ("smoke", "quick", "standard", "paper")
#: Profiles whose trainings are jobs of their own, one for each seed and fold; the others run each notebook in one job.
IN_PARTS = ("standard", "paper")
#: Parameters whose values name files of the user; no file of a run holds them.
PATHS = ("data", "reader_files")
#: Environment variables that carry them: the table to 01_data, readers' answers (JSON) to 08_reader_study.
DATA_VARIABLE, READERS_VARIABLE = "LESION_BOOK_DATA", "LESION_BOOK_READER_FILES"
#: In the run's folder: what a failed notebook said.
ERROR_FILE = "error.txt"
#: What the parameter ``precision`` may be.
PRECISIONS = ("auto", "float32", "mixed_bfloat16")


def notebook_defaults(notebook):
    """Return the names and default values in a notebook's ``parameters`` cell.

    Parameters
    ----------
    notebook : str or Path
        A file, or the name of one of the project's notebooks.

    Returns
    -------
    dict

    Raises
    ------
    SettingsError
        If the notebook has no cell tagged ``parameters``.
    """
    notebook = notebooks().get(str(notebook), notebook)
    cells = json.loads(Path(notebook).read_text(encoding="utf-8"))["cells"]
    for cell in cells:
        if "parameters" in cell.get("metadata", {}).get("tags", []):
            values = {}
            exec("".join(cell["source"]), {}, values)  # our own notebook: its cell holds literals only
            return values
    raise SettingsError(f"{notebook} has no cell tagged 'parameters'; add one so that papermill can set them")


def changed_settings(notebook, values):
    """Return the names of a notebook's parameters whose ``values`` differ from its defaults, which are the paper's settings."""
    skipped = ("run", "data", "label", "precision", "seeds")
    return [name for name, default in notebook_defaults(notebook).items() if name not in skipped and values[name] != default]


def reduction_note(notebook, values):
    """Say in a sentence which of a notebook's ``values`` differ from the paper's settings."""
    changed = changed_settings(notebook, values)
    if not changed:
        return f"All settings of notebook {notebook[:2]} are those of the full experiment."
    return (
        f"This run differs from the full experiment in {', '.join(changed)}, so its numbers are not those of the full experiment."
    )


def notebooks(root=ROOT):
    """Return the notebooks in order: dict of name (``03_dcgan``) to path."""
    return {path.stem: path for path in sorted((Path(root) / "notebooks").glob("[0-9][0-9]_*.ipynb"))}


def read_settings(path):
    """Read a flat YAML file of ``parameter: value`` lines.

    Raises
    ------
    SettingsError
        If the file is missing, is not YAML, or is not flat.
    """
    path = Path(path)
    if not path.is_file():
        raise SettingsError(f"settings file {path} is missing; check the path after SETTINGS= or PROFILE=")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"settings file {path} is not YAML: {error}; write one 'parameter: value' a line") from error
    values = {} if values is None else values
    if not isinstance(values, dict) or any(isinstance(value, dict) for value in values.values()):
        raise SettingsError(f"settings file {path} must be flat: one 'parameter: value' a line")
    return values


def check_parameters(values, defaults, where):
    """Raise unless every name in ``values`` is a parameter in ``defaults`` and of a like type.

    Raises
    ------
    SettingsError
        Naming the parameter, where it was set, and the nearest known name or the expected type.
    """
    for name, value in values.items():
        if name not in defaults:
            near = difflib.get_close_matches(str(name), defaults, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(sorted(defaults))}"
            raise SettingsError(f"{where}: unknown parameter '{name}'; {hint}")
        default = defaults[name]
        if not _alike(value, default):
            raise SettingsError(
                f"{where}: parameter '{name}' is {value!r} ({type(value).__name__}); "
                f"it must be like {default!r} ({type(default).__name__})"
            )


def _alike(value, default):
    """Return whether a value can stand for a default: an int for a float, but not the reverse; a list entry by entry."""
    if default is None:
        return True
    if isinstance(default, list):
        return isinstance(value, list) and all(_alike(entry, default[0]) for entry in value if default)
    if isinstance(default, float):
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return type(value) is type(default)


def run_parameters(profile, *, settings=None, overrides=None, root=ROOT):
    """Return the parameters of every notebook for a run.

    Order, later ones winning: the notebook's own defaults, ``profiles/<profile>/common.yml`` (parameters that several notebooks
    share), ``profiles/<profile>/<notebook>.yml``, the user's settings file, ``overrides``.

    Parameters
    ----------
    profile : str
        One of :data:`PROFILES`.
    settings : path, optional
        The user's flat YAML file. Each line goes to all notebooks that have such a parameter; none: an error.
    overrides : dict, optional
        Likewise.

    Returns
    -------
    dict of str to dict
        Notebook name to its complete parameters.
    """
    if profile not in PROFILES:
        raise SettingsError(f"PROFILE={profile} is unknown; choose one of {', '.join(PROFILES)}")
    folder = Path(root) / "profiles" / profile
    shared = [(read_settings(folder / "common.yml"), f"profiles/{profile}/common.yml")]
    shared += [(read_settings(settings), f"settings file {settings}")] if settings else []
    shared += [(dict(overrides or {}), "command line")]
    defaults = {name: notebook_defaults(path) for name, path in notebooks(root).items()}
    everything = {key: value for values in defaults.values() for key, value in values.items()}
    for values, where in shared:
        check_parameters(values, everything, where)
    parameters = {}
    for name, own in defaults.items():
        file = folder / f"{name}.yml"
        profile_values = read_settings(file)
        check_parameters(profile_values, own, f"profiles/{profile}/{name}.yml")
        layers = [shared[0][0], profile_values, *(values for values, _ in shared[1:])]
        parameters[name] = dict(own)
        for layer in layers:
            parameters[name] |= {key: value for key, value in layer.items() if key in own}
    return parameters


def run_name(profile, data=None, label=None):
    """Return the folder name of a run: ``<profile>`` or ``<profile>-<folder of the table>-<label>``."""
    if not data:
        return profile
    return f"{profile}-{Path(data).resolve().parent.name}-{label}"


def run_folder(run):
    """Return the folder of a run: ``run`` itself if absolute, else below the project's root.

    Notebooks are run from the root by ``make book`` and from ``notebooks/`` by Jupyter; both must find the same folder. Without a
    clone, runs lie where Python was started.
    """
    return (ROOT if CLONE else Path.cwd()) / os.path.expanduser(run)


def threads():
    """Return how many threads a notebook may use: those that the workflow gives it, else all cores."""
    return int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)


def require(path, command):
    """Return ``path`` if it exists.

    Raises
    ------
    MissingInputError
        Saying which command makes it.
    """
    path = Path(path)
    if not path.exists():
        raise MissingInputError(f"{path} is missing; make it with: {command}")
    return path


def require_choice(name, value, choices):
    """Raise SettingsError unless parameter ``name`` has one of ``choices``."""
    if value not in choices:
        raise SettingsError(f"parameter '{name}' is {value!r}; choose one of {', '.join(map(str, choices))}")


def require_positive(**values):
    """Raise SettingsError unless every named value is above 0."""
    for name, value in values.items():
        if not value > 0:
            raise SettingsError(f"parameter '{name}' is {value}; it must be above 0")


def resolve_precision(precision):
    """Return ``float32`` or ``mixed_bfloat16``; ``auto`` takes bfloat16 where the processor or GPU multiplies it natively.

    Raises
    ------
    SettingsError
        If ``precision`` is not one of :data:`PRECISIONS`.
    """
    require_choice("precision", precision, PRECISIONS)
    if precision != "auto":
        return precision
    return "mixed_bfloat16" if _native_bfloat16() else "float32"


def _native_bfloat16():
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        flags = ""
    if "avx512_bf16" in flags or "amx_bf16" in flags:
        return True
    from . import steps  # imports the backend, which a look at settings alone does without

    return steps.gpu_multiplies_bfloat16()
