"""The data model: one CT slice, one outline, one label and one patient for every lesion, and the file that keeps them."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .errors import DataError, MissingInputError
from .files import atomic_path

#: What a lesion is for: cross-validation, the paper's extra real cases (green line of Fig. 8), or the independent test set.
ROLES = ("cohort", "extra", "test")


@dataclass(frozen=True)
class Cohort:
    """Lesions in a fixed order; every sequence has length n.

    Attributes
    ----------
    classes : tuple of str
        Names of the k classes; ``label`` indexes it.
    label : (n,) int64
    lesion_id, patient_id : (n,) str
        Anonymous: ``L0001``, ``P0001``, ...
    role : (n,) str
        One of :data:`ROLES`.
    spacing : (n,) float32
        Pixel size in mm; pixels are square.
    slices : list of (h, w) int16
        One axial slice a lesion, through its largest outline, in HU (or grey levels if ``intensity`` is ``grey``).
        Sizes may differ from lesion to lesion.
    outlines : list of (h, w) bool
        True inside the lesion; same shape as its slice.
    source : str
        ``simulated`` or ``table``.
    intensity : str
        ``hu`` or ``grey``.
    """

    classes: tuple
    label: np.ndarray
    lesion_id: np.ndarray
    patient_id: np.ndarray
    role: np.ndarray
    spacing: np.ndarray
    slices: list = field(repr=False)
    outlines: list = field(repr=False)
    source: str = "simulated"
    intensity: str = "hu"

    def __post_init__(self):
        n = len(self.label)
        for name in ("lesion_id", "patient_id", "role", "spacing", "slices", "outlines"):
            if len(getattr(self, name)) != n:
                raise DataError(f"cohort: {name} has {len(getattr(self, name))} entries for {n} labels; give one a lesion")
        if len(np.unique(self.lesion_id)) != n:
            raise DataError("cohort: lesion ids are not unique; give every lesion its own")
        for lesion, image, outline in zip(self.lesion_id, self.slices, self.outlines, strict=True):
            if image.shape != outline.shape:
                raise DataError(f"lesion {lesion}: slice {image.shape} and outline {outline.shape} differ in shape")
        roles_of = {}
        for patient, role in zip(self.patient_id, self.role, strict=True):
            if role not in ROLES:
                raise DataError(f"patient {patient}: role '{role}' is unknown; use one of {', '.join(ROLES)}")
            if roles_of.setdefault(patient, role) != role:
                raise DataError(
                    f"patient {patient} has lesions with role '{roles_of[patient]}' and with role '{role}': "
                    "the same patient may not be in training and in a test set; give all lesions of a patient one role"
                )

    def __len__(self):
        return len(self.label)

    def subset(self, index):
        """Return the lesions at ``index`` (integers or a boolean mask of length n), in that order."""
        index = np.arange(len(self))[index]
        return Cohort(
            classes=self.classes,
            label=self.label[index],
            lesion_id=self.lesion_id[index],
            patient_id=self.patient_id[index],
            role=self.role[index],
            spacing=self.spacing[index],
            slices=[self.slices[i] for i in index],
            outlines=[self.outlines[i] for i in index],
            source=self.source,
            intensity=self.intensity,
        )

    def with_role(self, role):
        """Return the lesions with that role (possibly none)."""
        return self.subset(self.role == role)

    def save(self, path):
        """Write the cohort to ``path`` (.npz, no pickle, compressed), whole or not at all."""
        shapes = np.array([image.shape for image in self.slices], dtype=np.int32).reshape(-1, 2)
        with atomic_path(path) as temporary:
            np.savez_compressed(
                temporary,
                classes=np.array(self.classes),
                label=self.label,
                lesion_id=self.lesion_id,
                patient_id=self.patient_id,
                role=self.role,
                spacing=self.spacing,
                shapes=shapes,
                pixels=_flatten(self.slices, np.int16),
                outline_pixels=np.packbits(_flatten(self.outlines, bool)),
                source=np.array(self.source),
                intensity=np.array(self.intensity),
            )

    @classmethod
    def load(cls, path):
        """Read a cohort written by :meth:`save`.

        Raises
        ------
        MissingInputError
            If the file is not there.
        DataError
            If it is not a whole cohort file.
        """
        path = Path(path)
        if not path.exists():
            raise MissingInputError(f"{path} is missing: run notebooks/01_data.ipynb first (`make book` runs all in order)")
        try:
            with np.load(path, allow_pickle=False) as file:
                stored = {name: file[name] for name in file.files}
            shapes = stored["shapes"]
            sizes = shapes.prod(axis=1)
            bounds = np.concatenate([[0], np.cumsum(sizes)])
            outline_pixels = np.unpackbits(stored["outline_pixels"], count=int(bounds[-1])).view(bool)
            spans = list(zip(bounds[:-1], bounds[1:], shapes, strict=True))
            return cls(
                classes=tuple(str(name) for name in stored["classes"]),
                label=stored["label"],
                lesion_id=stored["lesion_id"],
                patient_id=stored["patient_id"],
                role=stored["role"],
                spacing=stored["spacing"],
                slices=[stored["pixels"][start:stop].reshape(shape) for start, stop, shape in spans],
                outlines=[outline_pixels[start:stop].reshape(shape) for start, stop, shape in spans],
                source=str(stored["source"]),
                intensity=str(stored["intensity"]),
            )
        except Exception as error:  # a damaged zip or header raises nearly anything
            raise DataError(f"{path} is not a whole cohort file ({error}); delete it and run 01_data again") from error


def _flatten(arrays, dtype):
    return np.concatenate([np.asarray(array, dtype).ravel() for array in arrays]) if arrays else np.zeros(0, dtype)
