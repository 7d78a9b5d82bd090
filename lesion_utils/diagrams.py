"""Diagrams of the networks and of the experiment, drawn from the models and the workflow (the paper's Figs. 2, 4, 5, 7)."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import networkx as nx
import numpy as np
import seaborn as sns
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

from .figures import WIDTH
from .rois import ROI_SIZE
from .settings import CLONE, ROOT, notebooks


def draw_network(model):
    """Draw a network from its own layers: one block for each change of shape, its height the image's, its width the channels'.

    Parameters
    ----------
    model : keras.Model
        A chain of layers (the paper's Figs. 2 and 5).
    """
    blocks = []
    for layer in model.layers:
        shape = tuple(size for size in layer.output.shape[1:])
        kind = type(layer).__name__
        if not blocks or shape != blocks[-1][0] or kind in ("Dense", "Conv2D"):
            blocks.append((shape, kind))
    figure, axis = plt.subplots(figsize=(WIDTH, 3.2))
    x = 0.0
    for number, (shape, kind) in enumerate(blocks):
        image = len(shape) == 3
        height = 0.35 + 1.65 * (shape[0] / ROI_SIZE if image else min(1, np.log2(max(shape[0], 2)) / 12))
        width = 0.08 + (0.1 * np.log2(shape[2] + 1) if image else 0.05)
        axis.add_patch(
            Rectangle(
                (x, -height / 2), width, height, facecolor=sns.color_palette("colorblind")[number % 2], edgecolor="0.2", alpha=0.6
            )
        )
        text = "x".join(str(size) for size in shape)
        axis.text(x + width / 2, height / 2 + 0.05, text, ha="left", va="bottom", fontsize=7, rotation=40, rotation_mode="anchor")
        axis.text(x + width / 2, -1.12, _words(kind), ha="right", va="top", fontsize=7, rotation=45, rotation_mode="anchor")
        x += width + 0.45
    axis.set(xlim=(-0.6, x), ylim=(-2.1, 1.75), aspect="auto")
    axis.axis("off")
    axis.text(-0.55, 1.65, f"{model.name}: {model.count_params():,} parameters", fontsize=9, va="top")
    return figure


def _words(kind):
    names = {
        "Conv2D": "convolution",
        "StridedConvolution": "convolution",
        "TransposedConvolution": "fractionally strided\nconvolution",
        "Conv2DTranspose": "fractionally strided\nconvolution",
        "Cropping2D": "cropping",
        "MaxPooling2D": "pooling",
        "InputLayer": "input",
    }
    return names.get(kind, re.sub(r"(?<=[a-z])(?=[A-Z])", " ", kind).lower())


def draw_acgan(generator, discriminator):
    """Draw how an ACGAN's networks play (the paper's Fig. 4b), with the sizes of these very networks."""
    size = "x".join(str(side) for side in generator.output.shape[1:])
    classes = generator.input[1].shape[1]
    boxes = {
        "noise": (0, 0.9, f"noise z\n{generator.input[0].shape[1]} numbers"),
        "class": (0, -0.1, f"class c\n1 of {classes}"),
        "G": (2.2, 0.5, f"generator G\n{generator.count_params():,}\nparameters"),
        "fake": (4.4, 0.5, f"synthetic ROI\n{size}"),
        "real": (4.4, -1.1, f"training ROI\n{size}"),
        "D": (6.6, -0.3, f"discriminator D\n{discriminator.count_params():,}\nparameters"),
        "out": (8.8, 0.2, "probability\nof real"),
        "named": (8.8, -0.8, f"probabilities of\n{classes} classes"),
    }
    edges = [("noise", "G"), ("class", "G"), ("G", "fake"), ("fake", "D"), ("real", "D"), ("D", "out"), ("D", "named")]
    return _boxes_and_arrows(boxes, edges, height=2.8)


def draw_gan(generator, discriminator):
    """Draw how the two networks play (the paper's Fig. 4a), with the sizes of these very networks."""
    size = "x".join(str(side) for side in generator.output.shape[1:])
    boxes = {
        "noise": (0, 0.5, f"noise z\n{generator.input.shape[1]} numbers"),
        "G": (2.2, 0.5, f"generator G\n{generator.count_params():,}\nparameters"),
        "fake": (4.4, 0.5, f"synthetic ROI\n{size}"),
        "real": (4.4, -1.1, f"training ROI\n{size}"),
        "D": (6.6, -0.3, f"discriminator D\n{discriminator.count_params():,}\nparameters"),
        "out": (8.8, -0.3, "probability\nof real"),
    }
    edges = [("noise", "G"), ("G", "fake"), ("fake", "D"), ("real", "D"), ("D", "out")]
    return _boxes_and_arrows(boxes, edges, height=2.8)


def draw_workflow(parts=None):
    """Draw the experiment's flow (the paper's Fig. 7) from the workflow itself: what Snakemake would run, in order.

    With the ``parts`` of a run, from :func:`provenance.minutes`, each box also says how long it took and with how much memory.
    Without a clone of the project there is no workflow to draw, and the figure says so.
    """
    if not CLONE:
        words = "The flow is drawn from the project's Snakefile.\nThis notebook was run without a clone of the project."
        return _boxes_and_arrows({"flow": (0, 0, words)}, [], height=1.2, half_width=3)
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--rulegraph", "--nolock", "--forceall"]
    with tempfile.TemporaryDirectory() as folder:
        # Every run has a file of parameters for each notebook; here it is enough that they are there.
        (Path(folder) / "parameters").mkdir()
        others = ("05_classification_classic.yml", "table.txt", "readers.txt")
        for name in [*(f"{notebook}.yml" for notebook in notebooks()), *others]:
            (Path(folder) / "parameters" / name).touch()
        result = subprocess.run(
            [*command, "--directory", folder, "--config", "cores=1"], text=True, capture_output=True, check=True
        )
    return _flow(result.stdout, {rule: _cost(one) for rule, one in (parts or {}).items()})


def _cost(one):
    jobs = f"\n{one['jobs']} jobs" if one.get("jobs", 1) > 1 else ""
    return f"{jobs}\n{one['minutes']:.1f} min\n{one['memory_gb']:.1f} GB"


def _flow(dot, costs):
    """Draw a graph in DOT text as boxes, one column for each step away from the start."""
    names = dict(re.findall(r'(\d+)\[label = "([^"\\]+)', dot))
    graph = nx.DiGraph((names[a], names[b]) for a, b in re.findall(r"(\d+) -> (\d+)", dot))
    graph = nx.transitive_closure(graph)
    graph.remove_nodes_from(["all", "book", "results"])  # these collect, join and render what the others made
    graph = nx.transitive_reduction(graph)
    texts = {name: name.replace("_", " ").replace(" ", "\n", 1) + costs.get(name, "") for name in graph}
    half_height = 0.075 * max(4, *(text.count("\n") + 1 for text in texts.values()))
    boxes = {}
    for column, generation in enumerate(nx.topological_generations(graph)):
        for line, name in enumerate(sorted(generation)):
            boxes[name] = (2.5 * column, -(2 * half_height + 0.3) * line, texts[name])
    height = 2 * half_height + 0.3 + max(-y for _, y, _ in boxes.values())
    return _boxes_and_arrows(boxes, list(graph.edges), height=height, half_width=1.05, half_height=half_height, fontsize=7)


def _boxes_and_arrows(boxes, edges, *, height, half_width=0.8, half_height=0.3, fontsize=8):
    figure, axis = plt.subplots(figsize=(WIDTH, height))
    patches = {}
    for name, (x, y, text) in boxes.items():
        patches[name] = FancyBboxPatch(
            (x - half_width, y - half_height),
            2 * half_width,
            2 * half_height,
            boxstyle="round,pad=0.05",
            facecolor="#d5e8f5",
            edgecolor="0.3",
            zorder=2,
        )
        axis.add_patch(patches[name])
        axis.text(x, y, text, ha="center", va="center", fontsize=fontsize, zorder=3)
    for start, end in edges:
        axis.add_patch(
            FancyArrowPatch(
                boxes[start][:2],
                boxes[end][:2],
                patchA=patches[start],
                patchB=patches[end],
                arrowstyle="-|>",
                mutation_scale=12,
                color="0.3",
                zorder=1,  # an arrow that passes a box passes behind it
                connectionstyle="arc3,rad=0.0",
            )  # fmt: skip
        )
    xs, ys = [box[0] for box in boxes.values()], [box[1] for box in boxes.values()]
    axis.set(
        xlim=(min(xs) - half_width - 0.2, max(xs) + half_width + 0.2),
        ylim=(min(ys) - half_height - 0.3, max(ys) + half_height + 0.3),
    )
    axis.axis("off")
    return figure
