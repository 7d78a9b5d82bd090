"""Figures of the texture baselines: co-occurrence matrices, Gabor filters, visual words; style as in :mod:`figures`."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import ListedColormap, LogNorm, to_rgb
from matplotlib.patches import Patch

from .figure_tags import mark_plot
from .figures import WIDTH, class_colours
from .texture import cooccurrence, gabor_responses, quantise, separate

#: A word and its neighbours are drawn with this many white pixels between them.
GAP = 1


def cooccurrence_figure(images, outlines, names, *, levels, distance):
    """Draw each lesion and its co-occurrence matrices: of the outlined lesion, and of the whole ROI.

    Parameters
    ----------
    images : (n, 64, 64, 1) in [0, 1]
    outlines : (n, 64, 64) bool
    names : sequence of str
        A row's name, such as the class.
    levels, distance : int
        Grey levels, and pixels between the two of a pair; the four directions are added up.
    """
    figure, axes = plt.subplots(len(images), 3, figsize=(WIDTH * 0.9, 2.5 * len(images)), squeeze=False)
    shades = plt.get_cmap("viridis").copy()
    shades.set_bad("white")
    for line, image, outline, name in zip(axes, images[..., 0], outlines, names, strict=True):
        line[0].imshow(image, cmap="gray", vmin=0, vmax=1)
        line[0].contour(outline, levels=[0.5], colors="#f0e442", linewidths=1.2)
        line[0].set_title(name, loc="left", fontsize=10)
        line[0].axis("off")
        grey = quantise(image, levels)
        for axis, region, title in ((line[1], np.where(outline, grey, 0), "outlined lesion"), (line[2], grey, "whole ROI")):
            matrix = cooccurrence(region, levels, (distance,)).mean(axis=(2, 3))
            ends = (0.5, levels + 0.5)
            drawn = axis.imshow(
                np.where(matrix > 0, matrix, np.nan), cmap=shades, norm=LogNorm(1e-5, 0.1), extent=(*ends, *ends), origin="lower"
            )
            axis.set(title=title, xlabel="grey level", ylabel="level of the neighbour")
            axis.title.set_fontsize(9)
            axis.grid(visible=False)
    figure.colorbar(drawn, ax=axes[:, 2], shrink=0.8, label="share of pairs", extend="both")
    return figure


def bank_figure(bank):
    """Draw the cosine part of every filter of a Gabor bank: a row a frequency, a column a direction, all at one scale.

    Parameters
    ----------
    bank : dict
        From :func:`texture.gabor_bank`.
    """
    frequencies, angles = list(dict.fromkeys(f for f, _ in bank)), list(dict.fromkeys(a for _, a in bank))
    size = (WIDTH, WIDTH * len(frequencies) / len(angles) + 0.5)
    figure, axes = plt.subplots(len(frequencies), len(angles), figsize=size, squeeze=False)
    for axis, angle in zip(axes[0], angles, strict=True):
        axis.set_title(f"{angle:g} degrees", fontsize=8)
    for line, frequency in zip(axes, frequencies, strict=True):
        for axis, angle in zip(line, angles, strict=True):
            kernel = _cut_or_pad(bank[frequency, angle].real, 65)
            limit = np.abs(kernel).max()
            axis.imshow(kernel, cmap="gray", vmin=-limit, vmax=limit)
            axis.set(xticks=[], yticks=[])
            axis.grid(visible=False)
        line[0].set_ylabel(f"wave of\n{1 / frequency:.3g} pixels", fontsize=8)
    return mark_plot(figure)  # filters, of no patient


def _cut_or_pad(kernel, side):
    """Return the middle ``side`` x ``side`` pixels of a kernel, zeros where it is smaller."""
    picture = np.zeros((side, side), kernel.dtype)
    rows, columns = (min(side, length) for length in kernel.shape)
    top, left = (kernel.shape[0] - rows) // 2, (kernel.shape[1] - columns) // 2
    first, start = (side - rows) // 2, (side - columns) // 2
    picture[first : first + rows, start : start + columns] = kernel[top : top + rows, left : left + columns]
    return picture


def response_figure(image, bank, angle=0.0):
    """Draw a ROI beside the magnitude of its responses to the filters of one direction, each in its own range.

    Parameters
    ----------
    image : (64, 64, 1) in [0, 1]
    bank : dict
        From :func:`texture.gabor_bank`.
    angle : float
        Degrees; one of the bank's.
    """
    kernels = {frequency: kernel for (frequency, own), kernel in bank.items() if own == angle}
    figure, axes = plt.subplots(1, 1 + len(kernels), figsize=(WIDTH, 1.2 + WIDTH / (1 + len(kernels)) * 0.7))
    axes[0].imshow(image[..., 0], cmap="gray", vmin=0, vmax=1)
    axes[0].set_title("ROI", fontsize=9)
    responses = gabor_responses(image[..., 0], *separate(kernels.values(), image.shape[:2]))
    for axis, frequency, response in zip(axes[1:], kernels, responses, strict=True):
        axis.imshow(np.abs(response), cmap="viridis")
        axis.set_title(f"{1 / frequency:.3g} px", fontsize=9)
    for axis in axes:
        axis.axis("off")
    return figure


def dictionary_figure(vocabulary, kept=(), columns=None):
    """Draw every word of a dictionary as the patch that it stands for, dark to bright; kept words have a frame.

    Parameters
    ----------
    vocabulary : words.Vocabulary
    kept : sequence of int
        Numbers of the words to frame.
    columns : int, optional
        Words a line.
    """
    pictures = vocabulary.pictures()
    columns = columns or int(np.ceil(np.sqrt(1.8 * len(pictures))))
    lines = -(-len(pictures) // columns)
    cell = pictures.shape[1] + 2 * GAP + 2  # a patch, its frame, and white between
    panel = np.ones((lines * cell, columns * cell, 3))
    framed, frame = set(np.asarray(kept).tolist()), to_rgb("#d55e00")
    for number, picture in enumerate(pictures):
        top, left = number // columns * cell, number % columns * cell
        if number in framed:
            panel[top : top + cell - 1, left : left + cell - 1] = frame
        inner = slice(top + GAP, top + GAP + len(picture)), slice(left + GAP, left + GAP + len(picture))
        panel[inner] = np.clip(picture, 0, 1)[..., None]
    figure, axis = plt.subplots(figsize=(WIDTH, WIDTH * lines / columns + 0.2))
    axis.imshow(panel, interpolation="nearest")
    axis.axis("off")
    return figure


def kept_words_figure(model, counts, label, classes, most=8):
    """Draw the most informative words of a model, and how many training images of each class hold more of each than the median.

    Parameters
    ----------
    model : words.BovwModel
    counts : (n, words)
        Of the training images.
    label : (n,) int
    classes : sequence of str
    most : int
        Words to draw for each list of kept words.
    """
    pictures, colours = model.vocabulary.pictures(), class_colours(classes)
    present = counts > np.median(counts, axis=0)
    share = np.stack([present[label == index].mean(axis=0) for index in range(len(classes))])
    figure, axes = plt.subplots(2 * len(model.kept), most, figsize=(WIDTH, 2.3 * len(model.kept)), squeeze=False, sharey="row")
    for row, (name, words) in enumerate(model.kept.items()):
        for column in range(most):
            patch, bars = axes[2 * row, column], axes[2 * row + 1, column]
            patch.axis("off")
            if column >= len(words):
                bars.axis("off")
                continue
            word = words[column]
            patch.imshow(pictures[word], cmap="gray", vmin=0, vmax=1)
            bars.bar(range(len(classes)), share[:, word], color=[colours[each] for each in classes])
            bars.set(xticks=[], ylim=(0, 1))
            bars.set_title(f"{model.information[name][word]:.2f}", fontsize=8)
        axes[2 * row, 0].set_title(name, loc="left", fontsize=10)
        axes[2 * row + 1, 0].set_ylabel("share of\nimages", fontsize=8)
    handles = [Patch(color=colour, label=name) for name, colour in colours.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(classes), 6), fontsize=8)
    return figure


def word_places_figure(single, multi, images, outlines, names, classes):
    """Draw where the kept words lie on lesions: each pixel stands for the patch around it, and only patches that count are drawn.

    Parameters
    ----------
    single, multi : words.BovwModel
        One of each representation, of the same vocabulary. The first row shows the ROIs, the second how much the words that
        ``single`` keeps say about the class, the third which class ``multi`` keeps a word for; one that several classes
        keep is drawn for the class about which it says most.
    images : (n, 64, 64, 1) in [0, 1]
    outlines : (n, 64, 64) bool
    names : sequence of str
    classes : sequence of str
    """
    vocabulary, colours = single.vocabulary, class_colours(classes)
    (information,), (kept,) = single.information.values(), single.kept.values()
    relevance = np.full(len(vocabulary), np.nan)
    relevance[kept] = information[kept]
    owner, best = np.full(len(vocabulary), np.nan), np.full(len(vocabulary), -1.0)
    for index, name in enumerate(classes):
        words = multi.kept[name]
        better = words[multi.information[name][words] > best[words]]
        owner[better], best[better] = index, multi.information[name][better]
    maps = vocabulary.word_map(images)
    edge = vocabulary.patch_size // 2 - 0.5 * (vocabulary.step - 1)  # a map's pixel is centred on the middle of its patch
    left, right, bottom = edge - 0.5, edge - 0.5 + vocabulary.step * maps.shape[2], edge - 0.5 + vocabulary.step * maps.shape[1]
    place = {"interpolation": "nearest", "extent": (left, right, bottom, left)}
    figure, axes = plt.subplots(3, len(images), figsize=(WIDTH, 0.9 + 2.1 * 3), squeeze=False)
    for column, (image, outline, words, name) in enumerate(zip(images, outlines, maps, names, strict=True)):
        counts = vocabulary.counting(outline)
        for axis in axes[:, column]:
            axis.imshow(image[..., 0], cmap="gray", vmin=0, vmax=1)
            axis.axis("off")
        axes[0, column].set_title(name, fontsize=9)
        said = axes[1, column].imshow(
            np.where(counts, relevance[words], np.nan), cmap="viridis", vmin=0, vmax=information.max(), **place
        )
        colour = {"cmap": ListedColormap(list(colours.values())), "vmin": -0.5, "vmax": len(classes) - 0.5}
        axes[2, column].imshow(np.where(counts, owner[words], np.nan), alpha=0.85, **colour, **place)
        for axis in axes[1:, column]:
            axis.set(xlim=(-0.5, image.shape[1] - 0.5), ylim=(image.shape[0] - 0.5, -0.5))
    figure.colorbar(said, ax=axes, shrink=0.35, fraction=0.03, pad=0.01, label="mutual information (nats)")
    handles = [Patch(color=colour, label=f"kept for {name}") for name, colour in colours.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(classes), 6), fontsize=8)
    return figure
