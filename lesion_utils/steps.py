"""What training needs of Keras's backend, under the same names for TensorFlow and for JAX (``KERAS_BACKEND=jax``).

Networks and losses are written with Keras and know no backend; gradients, and the loop over the steps of an epoch, need one. Only
the one that is used is imported.
"""

import keras

from .errors import SettingsError

if keras.backend.backend() == "jax":
    from . import jax_steps as backend
elif keras.backend.backend() in ("torch", "openvino"):
    raise SettingsError(f"KERAS_BACKEND={keras.backend.backend()} cannot train here; choose tensorflow or jax")
else:
    from . import tensorflow_steps as backend

#: Functions of the backend's module, whose docstrings say what they do: :mod:`tensorflow_steps` or :mod:`jax_steps`.
all_finite = backend.all_finite
bits = backend.bits
compile_classifier_epoch = backend.compile_classifier_epoch
compile_epoch = backend.compile_epoch
gpu_multiplies_bfloat16 = backend.gpu_multiplies_bfloat16
gradients = backend.gradients
hold = backend.hold
infer = backend.infer
input_gradient = backend.input_gradient
momentum_optimizer = backend.momentum_optimizer
uniform = backend.uniform
