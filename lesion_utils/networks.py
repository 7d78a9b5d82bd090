"""The paper's networks, nothing else: the CNN (Fig. 2), and generators and discriminators of DCGAN and ACGAN (Figs. 4, 5)."""

import keras
from keras import layers

from .convolutions import StridedConvolution, TransposedConvolution
from .rois import ROI_SIZE

#: Length of the generator's input (paper, section 3.2).
NOISE_SIZE = 100
#: Length of the vector that a class becomes beside the noise of the ACGAN; not stated in the paper.
EMBEDDING_SIZE = 50


class FusedBatchNormalization(layers.BatchNormalization):
    """Keras's batch normalisation, of images and over the last axis, in one operation of TensorFlow while it trains.

    Keras casts to float32 and passes over the memory some ten times, so a GAN's step on a processor becomes a little shorter.
    Weights, outputs and running averages are the same but for rounding. On other backends it is Keras's own.
    """

    def call(self, inputs, training=None, mask=None):
        if not training or keras.backend.backend() != "tensorflow":
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs, scale=self.gamma, offset=self.beta, mean=[], variance=[], epsilon=self.epsilon, is_training=True
        )
        # The operation returns the unbiased variance; Keras averages the biased one.
        values = tf.cast(tf.size(inputs) / tf.shape(inputs)[-1], tf.float32)
        for average, new in ((self.moving_mean, mean), (self.moving_variance, variance * (values - 1) / values)):
            average.assign(average * self.momentum + new * (1 - self.momentum))
        return outputs


# A call and no decorator: where Keras is a stand-in, as for the page of the package, the class stays a class.
keras.saving.register_keras_serializable(package="lesion_utils")(FusedBatchNormalization)


class ConvolutionPooling(layers.Conv2D):
    """Convolution without padding, 2x2 max pooling and ReLU in one layer, for training.

    Outputs and gradients are those of the three layers. But the gradients of ReLU and bias are taken after the pooling, where a
    quarter of the values are left: a pooling window hands its gradient to one value only, and if its maximum was rectified, to
    none. On other backends than TensorFlow it is the three layers, but for the way of pooling.
    """

    def call(self, inputs):
        if keras.backend.backend() != "tensorflow":
            values = super().call(inputs)
            rows, columns = (side // 2 for side in values.shape[1:3])
            # By reshaping: the gradient of XLA's pooling scatters, which on a GPU is slow, or in no fixed order.
            fours = keras.ops.reshape(values[:, : 2 * rows, : 2 * columns], (-1, rows, 2, columns, 2, self.filters))
            return keras.ops.relu(keras.ops.max(fours, axis=(2, 4)))
        import tensorflow as tf

        window = {"ksize": [1, 2, 2, 1], "strides": [1, 2, 2, 1], "padding": "VALID"}
        steps = {"strides": [1, 1, 1, 1], "padding": "VALID"}

        @tf.custom_gradient
        def run(images, kernel, bias):
            values = tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(images, kernel, **steps), bias))
            pooled = tf.nn.max_pool2d(values, **window)

            def gradients(upstream):
                upstream = tf.raw_ops.ReluGrad(gradients=upstream, features=pooled)
                spread = tf.raw_ops.MaxPoolGrad(orig_input=values, orig_output=pooled, grad=upstream, **window)
                of_images = tf.raw_ops.Conv2DBackpropInput(
                    input_sizes=tf.shape(images), filter=kernel, out_backprop=spread, **steps
                )
                of_kernel = tf.raw_ops.Conv2DBackpropFilter(input=images, filter_sizes=kernel.shape, out_backprop=spread, **steps)
                return of_images, of_kernel, tf.raw_ops.BiasAddGrad(out_backprop=upstream)

            return pooled, gradients

        return run(inputs, *(tf.cast(weight, self.compute_dtype) for weight in (self.kernel, self.bias)))

    def compute_output_shape(self, input_shape):
        batch, *sides, filters = super().compute_output_shape(input_shape)
        return batch, *(side // 2 for side in sides), filters


def cnn(classes, *, width=32, precision="float32", seed=0, fused=False):
    """Return the classifier: three pairs of convolution and pooling, two dense layers (paper, section 2.2 and Fig. 2).

    Convolutions are 3x3 without padding; with 3 classes and the paper's width the network has exactly 1,273,347 parameters. Two
    things differ from the figure and change no output. ReLU stands after the pooling: the maximum of ReLUs is the ReLU of the
    maximum, and a quarter of the values remain to be rectified. And the last two rows and columns of pixels are left out at
    once: they reach only the odd row and column, 29th of 29, that the second pooling drops, and without them the convolutions
    have 4 % less to do.

    Parameters
    ----------
    classes : int
    width : int
        Filters of the first convolution, doubled at each of the next two; eight times as many features. The paper: 32.
    precision : str
        ``float32`` or ``mixed_bfloat16``; weights and probabilities are float32 in both.
    seed : int
        Initial weights and dropout.
    fused : bool
        Make each pair a :class:`ConvolutionPooling`: the same network, with the same weights in the same order, to train faster.

    Returns
    -------
    keras.Model
        (n, 64, 64, 1) with the training mean subtracted -> (n, classes) probabilities.
    """
    numbers = iter(range(100))

    def initial():
        return keras.initializers.GlorotUniform(seed=seed * 100 + next(numbers))

    image = keras.Input((ROI_SIZE, ROI_SIZE, 1), name="roi")
    x = layers.Cropping2D(((0, 2), (0, 2)), name="unseen_border", dtype=precision)(image)
    for number, filters in enumerate((width, 2 * width, 4 * width), start=1):
        own = {"kernel_initializer": initial(), "name": f"convolution_{number}", "dtype": precision}
        if fused:
            x = ConvolutionPooling(filters, 3, **own)(x)
            continue
        x = layers.Conv2D(filters, 3, **own)(x)
        x = layers.MaxPooling2D(2, name=f"pooling_{number}", dtype=precision)(x)
        x = layers.ReLU(name=f"relu_{number}", dtype=precision)(x)
    x = layers.Flatten(name="flatten", dtype=precision)(x)
    x = layers.Dense(8 * width, activation="relu", kernel_initializer=initial(), name="features", dtype=precision)(x)
    x = layers.Dropout(0.5, seed=seed, name="dropout", dtype=precision)(x)
    x = layers.Dense(classes, kernel_initializer=initial(), name="scores", dtype=precision)(x)
    probability = layers.Softmax(name="probability", dtype="float32")(x)
    return keras.Model(image, probability, name="cnn")


def generator(*, width=1024, precision="float32", seed=0):
    """Return the DCGAN's generator: dense to 4x4, then four fractionally strided 5x5 convolutions (paper, Fig. 5).

    Parameters
    ----------
    width : int
        Channels of the 4x4 layer; halved at each of the next three layers. The paper: 1024, hence 512, 256, 128.
    precision : str
    seed : int

    Returns
    -------
    keras.Model
        (n, 100) noise -> (n, 64, 64, 1) in (-1, 1).
    """
    initial = _normal_weights(seed)
    noise = keras.Input((NOISE_SIZE,), name="noise")
    return keras.Model(noise, _grow(_project(noise, width, precision, initial), width, precision, initial), name="generator")


def discriminator(*, width=64, precision="float32", seed=0):
    """Return the DCGAN's discriminator: four strided 5x5 convolutions and a dense layer (paper, section 3.2).

    Parameters
    ----------
    width : int
        Filters of the first layer; doubled at each of the next three. Not stated in the paper; 64 and 128 are both in use.
    precision : str
    seed : int

    Returns
    -------
    keras.Model
        (n, 64, 64, 1) in (-1, 1) -> (n, 1) logit. The sigmoid is part of the loss, which is exact for large logits.
    """
    initial = _normal_weights(seed)
    image = keras.Input((ROI_SIZE, ROI_SIZE, 1), name="roi")
    features = _shrink(image, width, precision, initial)
    return keras.Model(image, _logits(features, 1, "", precision, initial), name="discriminator")


def conditional_generator(classes, *, width=1024, precision="float32", seed=0):
    """Return the ACGAN's generator: the DCGAN's, with the class embedded beside the noise (paper, section 3.3 and Fig. 4b).

    The class enters as k weights that add up to 1: a single 1 asks for that class, and a mixture lies between classes. A dense
    layer without bias, whose rows are the classes' vectors, is the embedding. It becomes one 4x4 channel beside the channels
    that the noise becomes. Put beside the noise itself, before the first batch normalisation, the class alone can give each
    channel its variance: then the noise is no longer heard, and a class has a single image.

    Parameters
    ----------
    classes : int
    width, precision, seed
        As in :func:`generator`.

    Returns
    -------
    keras.Model
        [(n, 100) noise, (n, classes) class weights] -> (n, 64, 64, 1) in (-1, 1).
    """
    noise = keras.Input((NOISE_SIZE,), name="noise")
    weights = keras.Input((classes,), name="class")
    initial = _normal_weights(seed)
    rows = keras.initializers.RandomUniform(-1, 1, seed=seed * 100 + 99)
    x = layers.Dense(EMBEDDING_SIZE, use_bias=False, kernel_initializer=rows, name="class_embedding", dtype=precision)(weights)
    x = layers.Dense(4 * 4, kernel_initializer=initial(), name="project_class", dtype=precision)(x)
    x = layers.Reshape((4, 4, 1), name="reshape_class", dtype=precision)(x)
    both = layers.Concatenate(name="noise_and_class", dtype=precision)([_project(noise, width, precision, initial), x])
    return keras.Model([noise, weights], _grow(both, width, precision, initial), name="acgan_generator")


def auxiliary_discriminator(classes, *, width=64, normalisation="batch", precision="float32", seed=0):
    """Return the ACGAN's discriminator: the DCGAN's, with a second head that names the class (paper, section 3.3 and Fig. 4b).

    Parameters
    ----------
    classes : int
    width, precision, seed
        As in :func:`discriminator`.
    normalisation : str
        ``batch``, the paper's; ``spectral``, which holds the largest singular value of every layer's weights at 1 instead
        (Miyato et al. 2018); or ``none``.

    Returns
    -------
    keras.Model
        (n, 64, 64, 1) in (-1, 1) -> [(n, 1) logit of real, (n, classes) logits of the classes].
    """
    initial = _normal_weights(seed)
    image = keras.Input((ROI_SIZE, ROI_SIZE, 1), name="roi")
    features = _shrink(image, width, precision, initial, normalisation)
    sizes = ((1, ""), (classes, "class_"))
    heads = [_logits(features, size, name, precision, initial, normalisation) for size, name in sizes]
    model = keras.Model(image, heads, name="acgan_discriminator")
    for layer in model.layers:
        if isinstance(layer, layers.SpectralNormalization):  # Keras draws this vector from a seed that nobody sets
            layer.vector_u.assign(initial()(layer.vector_u.shape))
    return model


def _project(noise, width, precision, initial):
    """Dense from noise to a 4x4 image of ``width`` channels."""
    x = layers.Dense(4 * 4 * width, use_bias=False, kernel_initializer=initial(), name="project", dtype=precision)(noise)
    x = layers.Reshape((4, 4, width), name="reshape", dtype=precision)(x)
    x = _normalise("norm_0", precision)(x)
    return layers.ReLU(name="relu_0", dtype=precision)(x)


def _grow(x, width, precision, initial):
    """Four fractionally strided convolutions from 4x4 to a 64x64 image in (-1, 1)."""
    for number in (1, 2, 3):
        x = TransposedConvolution(
            width >> number,
            5,
            strides=2,
            padding="same",
            use_bias=False,
            kernel_initializer=initial(),
            name=f"upsample_{number}",
            dtype=precision,
        )(x)
        x = _normalise(f"norm_{number}", precision)(x)
        x = layers.ReLU(name=f"relu_{number}", dtype=precision)(x)
    x = layers.Conv2DTranspose(1, 5, strides=2, padding="same", kernel_initializer=initial(), name="upsample_4", dtype=precision)(
        x
    )
    return layers.Activation("tanh", name="image", dtype="float32")(x)


def _shrink(image, width, precision, initial, normalisation="batch"):
    """Four strided 5x5 convolutions, ``width`` filters doubled thrice, to a flat vector of features."""
    x = image
    for number in range(4):
        convolution = StridedConvolution(
            width << number,
            5,
            strides=2,
            padding="same",
            use_bias=number == 0 or normalisation != "batch",
            kernel_initializer=initial(),
            name=f"downsample_{number + 1}",
            dtype=precision,
        )
        x = _held(convolution, normalisation)(x)
        if number > 0 and normalisation == "batch":
            x = _normalise(f"norm_{number + 1}", precision)(x)
        x = layers.LeakyReLU(negative_slope=0.2, name=f"leaky_relu_{number + 1}", dtype=precision)(x)
    return layers.Flatten(name="flatten", dtype=precision)(x)


def _logits(features, size, prefix, precision, initial, normalisation="batch"):
    score = layers.Dense(size, kernel_initializer=initial(), name=f"{prefix}score", dtype=precision)
    x = _held(score, normalisation)(features)
    return layers.Activation("linear", name=f"{prefix}logit", dtype="float32")(x)


def _held(layer, normalisation):
    """Return the layer, or one around it that divides its weights by their largest singular value before each training step."""
    if normalisation != "spectral":
        return layer
    # In float32, whatever the layer's own precision: it writes the weights back, and bfloat16 would round them at every step.
    return layers.SpectralNormalization(layer, name=f"{layer.name}_spectral", dtype="float32")


def _normal_weights(seed):
    """Return a function that gives N(0, 0.02) initialisers, each with its own seed (paper, section 3.2)."""
    numbers = iter(range(100))
    return lambda: keras.initializers.RandomNormal(stddev=0.02, seed=seed * 100 + next(numbers))


def _normalise(name, precision):
    # Momentum 0.9 as in the DCGANs of the time: with Keras's 0.99 the averages used for sampling lag behind the weights.
    return FusedBatchNormalization(momentum=0.9, epsilon=1e-5, name=name, dtype=precision)
