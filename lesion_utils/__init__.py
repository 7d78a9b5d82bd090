"""Tools shared by the notebooks of *Lesion Book*: one idea per module, data flowing one way.

cohort -> splits -> rois -> augment -> gans -> classifier -> scores -> figures.  A module imports only modules to its left.
"""

__version__ = "0.1.0"
