"""Tools shared by the notebooks of *Lesion Book*: one idea per module, data flowing one way.

cohort -> splits -> rois -> augment -> gans -> classifier -> scores -> figures.  A module imports only modules to its left.
"""

import os

# One thread a network, networks side by side (see parallel.py). TensorFlow reads this when it is imported.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

__version__ = "0.1.0"
