"""Errors that a user can mend. Each message names the file, row, parameter or lesion, what is wrong, and what to do."""


class LesionBookError(ValueError):
    """Base of all errors whose message alone, without a traceback, tells the user what to do."""


class DataError(LesionBookError):
    """The table of lesions, an image or an outline cannot be used."""


class SettingsError(LesionBookError):
    """A parameter or a settings file is unknown, of the wrong type or out of range."""


class MissingInputError(LesionBookError):
    """An earlier notebook has not been run yet; the message says which command makes its output."""


class StorageError(LesionBookError):
    """The disk is full, or a folder cannot be written; what is finished is kept."""


class LeakError(LesionBookError):
    """A patient under test would have touched training, selection, normalisation or a GAN."""


class PublishError(LesionBookError):
    """A run cannot be published as it is; the message lists every reason."""
