"""Figures that say what they show: by content, by mark, and in the PNG of an executed notebook."""

import base64
import io

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from PIL import Image

from lesion_utils import figure_tags, figures, texture, texture_figures


@pytest.fixture
def axis():
    figure, axis = plt.subplots()
    yield axis
    plt.close(figure)


def test_lines_and_small_matrices_are_plots(axis):
    axis.plot([1, 2, 3])
    assert figure_tags.content(axis.figure) == figure_tags.PLOT
    figure = figures.confusion_heatmaps({"all": np.eye(3, dtype=int)}, ["a", "b", "c"])
    assert figure_tags.content(figure) == figure_tags.PLOT


@pytest.mark.parametrize(
    "draw",
    [
        lambda axis: axis.imshow(np.zeros((4, 4))),
        lambda axis: axis.pcolormesh(np.zeros((64, 64))),
        lambda axis: axis.figure.figimage(np.zeros((4, 4))),
        lambda axis: axis.inset_axes([0, 0, 0.5, 0.5]).imshow(np.zeros((4, 4))),
    ],
    ids=["imshow", "mesh", "figimage", "inset"],
)
def test_pixels_however_drawn_are_images(axis, draw):
    draw(axis)
    assert figure_tags.content(axis.figure) == figure_tags.IMAGES


def test_every_figure_of_rois_is_one_of_images():
    rois = np.zeros((3, 64, 64, 1), np.float32)
    assert figure_tags.content(figures.roi_rows({"rois": rois})) == figure_tags.IMAGES


def test_filters_are_marked_as_a_plot_where_they_are_drawn():
    bank = texture.gabor_bank([0.1], 2)
    assert figure_tags.content(texture_figures.bank_figure(bank)) == figure_tags.PLOT


def test_tag_is_read_from_the_bytes_and_from_nothing_else(axis):
    data = io.BytesIO()
    axis.figure.savefig(data, metadata={figure_tags.TAG: figure_tags.PLOT})
    assert figure_tags.read_tag(data.getvalue()) == figure_tags.PLOT
    plain, invented, jpeg = io.BytesIO(), io.BytesIO(), io.BytesIO()
    axis.figure.savefig(plain)
    axis.figure.savefig(invented, metadata={figure_tags.TAG: "harmless"})
    Image.new("L", (4, 4)).save(jpeg, "JPEG")
    for data in (plain.getvalue(), invented.getvalue(), jpeg.getvalue(), b"", b"\x89PNG\r\n\x1a\n"):
        assert figure_tags.read_tag(data) is None


@pytest.mark.parametrize("draw", ["grey", "few colours", "many colours"])
def test_squeezed_picture_has_the_same_pixels_and_tag(draw):
    pixels = np.random.default_rng(0).random((40, 40, 3))
    values = {"grey": pixels[..., 0], "few colours": pixels[..., 0].round(), "many colours": pixels}[draw]
    figure = plt.figure(figsize=(0.4, 0.4))
    figure.figimage(values, cmap="gray" if draw == "grey" else "viridis")
    data = io.BytesIO()
    figure.savefig(data, dpi=100, metadata={figure_tags.TAG: figure_tags.IMAGES})
    plt.close(figure)
    small = figure_tags.squeeze(data.getvalue())
    before, after = (np.asarray(Image.open(io.BytesIO(one)).convert("RGB")) for one in (data.getvalue(), small))
    np.testing.assert_array_equal(before, after)
    assert figure_tags.read_tag(small) == figure_tags.IMAGES and len(small) < len(data.getvalue())


def test_transparent_picture_stays_as_it_is():
    data = io.BytesIO()
    Image.new("RGBA", (4, 4), (0, 0, 0, 99)).save(data, "PNG")
    assert figure_tags.squeeze(data.getvalue()) == data.getvalue()
    assert figure_tags.squeeze(b"no PNG") == b"no PNG"


def test_executed_notebook_carries_the_tags(tmp_path):
    first = "from lesion_utils import figures\nimport numpy as np\nimport matplotlib.pyplot as plt\nfigures.use_style()"
    cells = ["figures.roi_rows({'a': np.zeros((2, 64, 64, 1))});", "plt.plot([1, 2]);", "figure, axis = plt.subplots()\nfigure"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in [first, *cells]])
    NotebookClient(notebook, kernel_name="python3", timeout=120).execute()
    tags = []
    for cell in notebook.cells[1:]:
        own = [output.data["image/png"] for output in cell.outputs if "image/png" in output.get("data", {})]
        tags.append({figure_tags.read_tag(base64.b64decode(picture)) for picture in own})
    assert tags == [{figure_tags.IMAGES}, {figure_tags.PLOT}, {figure_tags.PLOT}]
