"""The GANs' convolutions of small images, as products of matrices.

On a processor, TensorFlow's strided convolutions are slow where the smaller image has only 4x4 places, and their gradients by
the kernel up to 8x8: there they reach a fifth to a half of a matrix product's rate. The same sums, written as one product, take
two thirds to a fifth of the time. Results differ by rounding alone. On a GPU, or on another backend than TensorFlow, layers are
Keras's own.

Images have even sides, strides are 2 and padding is ``same``. Two images stand on either side of a kernel: a wide one
(n, 2s, 2s, c) and a small one (n, s, s, f), with a kernel (k, k, c, f) between them. The three functions below are linear in both
of their arguments, and the gradient of each is the other two.
"""

import keras
import numpy as np
from keras import layers

#: Largest side of the small image with which a product is faster: for convolutions both ways, and for the gradient by the kernel.
LARGEST_SIDE, LARGEST_SIDE_OF_GRADIENT = 4, 8


def shrink(wide, kernel):
    """Return the strided convolution of the wide image: (n, s, s, f)."""
    import tensorflow as tf

    @tf.custom_gradient
    def run(wide, kernel):
        side = wide.shape[1] // 2
        if side > LARGEST_SIDE:
            small = tf.nn.conv2d(wide, kernel, 2, "SAME")
        else:
            product = tf.matmul(_patches(wide, kernel.shape[0]), tf.reshape(kernel, (-1, kernel.shape[3])))
            small = tf.reshape(product, (-1, side, side, kernel.shape[3]))
        return small, lambda upstream: (grow(upstream, kernel), between(wide, upstream, kernel.shape[0]))

    return run(wide, kernel)


def grow(small, kernel):
    """Return the transposed convolution of the small image: (n, 2s, 2s, c)."""
    import tensorflow as tf

    @tf.custom_gradient
    def run(small, kernel):
        side, channels = small.shape[1], kernel.shape[2]
        if side > LARGEST_SIDE:
            size = (tf.shape(small)[0], 2 * side, 2 * side, channels)
            wide = tf.raw_ops.Conv2DBackpropInput(
                input_sizes=size, filter=kernel, out_backprop=small, strides=[1, 2, 2, 1], padding="SAME"
            )
        else:
            wide = _grow_by_products(small, kernel)
        return wide, lambda upstream: (shrink(upstream, kernel), between(upstream, small, kernel.shape[0]))

    return run(small, kernel)


def between(wide, small, size):
    """Return the gradient by a kernel of ``size`` x ``size`` that stands between both images: (k, k, c, f)."""
    import tensorflow as tf

    @tf.custom_gradient
    def run(wide, small):
        shape = (size, size, wide.shape[3], small.shape[3])
        if small.shape[1] > LARGEST_SIDE_OF_GRADIENT:
            kernel = tf.raw_ops.Conv2DBackpropFilter(
                input=wide, filter_sizes=shape, out_backprop=small, strides=[1, 2, 2, 1], padding="SAME"
            )
        else:
            flat = tf.reshape(small, (-1, small.shape[3]))
            kernel = tf.reshape(tf.matmul(_patches(wide, size), flat, transpose_a=True), shape)
        return kernel, lambda upstream: (grow(small, upstream), shrink(wide, upstream))

    return run(wide, small)


def _patches(wide, size):
    """Return what a kernel meets at each place of the small image, as rows of a matrix: (n s s, k k c)."""
    import tensorflow as tf

    side, taps = wide.shape[1], np.arange(size) - (size - 2) // 2
    line = 2 * np.arange(side // 2)[:, None] + taps
    return tf.reshape(tf.gather(_flat(wide), _places(line, line, side), axis=1), (-1, size * size * wide.shape[3]))


def _grow_by_products(small, kernel):
    """Compute :func:`grow` by four products, one for the pixels in even or odd rows and columns: each meets taps of its own."""
    import tensorflow as tf

    side, size, channels = small.shape[1], kernel.shape[0], kernel.shape[2]
    before, flat, lines, parts = (size - 2) // 2, _flat(small), [], []
    for odd in (0, 1):
        taps = np.arange((odd + before) % 2, size, 2)
        lines.append((taps, np.arange(side)[:, None] + (odd + before - taps) // 2))
    for row_taps, rows in lines:
        for column_taps, columns in lines:
            seen = tf.gather(flat, _places(rows, columns, side), axis=1)
            own = tf.gather(tf.gather(kernel, row_taps, axis=0), column_taps, axis=1)
            own = tf.reshape(tf.transpose(own, (2, 0, 1, 3)), (channels, -1))
            product = tf.matmul(tf.reshape(seen, (-1, own.shape[1])), own, transpose_b=True)
            parts.append(tf.reshape(product, (-1, side, side, channels)))
    pixels = tf.reshape(tf.stack(parts, axis=3), (-1, side, side, 2, 2, channels))
    return tf.reshape(tf.transpose(pixels, (0, 1, 3, 2, 4, 5)), (-1, 2 * side, 2 * side, channels))


def _flat(images):
    """Return the pixels of each image in a row, and a last one of zeros that stands for all beyond the border."""
    import tensorflow as tf

    return tf.pad(tf.reshape(images, (-1, images.shape[1] * images.shape[2], images.shape[3])), [[0, 0], [0, 1], [0, 0]])


def _places(rows, columns, side):
    """Return where :func:`_flat` has the pixels at (places, taps) ``rows`` and ``columns`` of an image."""
    rows, columns = rows[:, None, :, None], columns[None, :, None, :]
    inside = (rows >= 0) & (rows < side) & (columns >= 0) & (columns < side)
    return np.where(inside, rows * side + columns, side * side).ravel().astype(np.int32)


def _by_products(layer, side):
    """Say whether a layer between images of this smaller side is computed here and not by Keras."""
    if keras.backend.backend() != "tensorflow" or side > LARGEST_SIDE_OF_GRADIENT:
        return False
    import tensorflow as tf

    return layer.strides == (2, 2) and layer.padding == "same" and not tf.config.list_physical_devices("GPU")


class StridedConvolution(layers.Conv2D):
    """Keras's strided convolution; of small images as products of matrices."""

    def convolution_op(self, inputs, kernel):
        if inputs.shape[1] % 2 or not _by_products(self, inputs.shape[1] // 2):
            return super().convolution_op(inputs, kernel)
        return shrink(inputs, keras.ops.cast(kernel, inputs.dtype))


class TransposedConvolution(layers.Conv2DTranspose):
    """Keras's transposed convolution, strided; of small images as products of matrices."""

    def call(self, inputs):
        if self.use_bias or not _by_products(self, inputs.shape[1]):
            return super().call(inputs)
        return self.activation(grow(inputs, keras.ops.cast(self.kernel, inputs.dtype)))


# Calls and no decorators: where Keras is a stand-in, as for the page of the package, the classes stay classes.
keras.saving.register_keras_serializable(package="lesion_utils")(StridedConvolution)
keras.saving.register_keras_serializable(package="lesion_utils")(TransposedConvolution)
