"""Tools shared by the notebooks of *Lesion Book*: one idea per module, data flowing one way.

cohort -> splits -> rois -> augment -> scores -> runs -> classifier -> gans -> sampling -> experiment -> paired -> gan_judge ->
figures.  Of these, a module imports only modules to its left, itself or through others.
"""

import os

# One thread a network, networks side by side (see parallel.py). TensorFlow reads this when it is imported.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
# Two notebooks may run on one GPU, so none takes the whole of its memory. JAX reads this when it is imported.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

__version__ = "0.1.0"
