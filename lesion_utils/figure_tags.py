"""What a picture in a notebook shows: every PNG says in its own bytes whether it is a plot or holds images of lesions.

A run on patients may be published with its plots, never with their images. So the decision is made where a figure is drawn, from
what it contains, and travels with the picture. Whatever carries no such tag counts as untrusted.
"""

import io

from PIL import Image, PngImagePlugin, UnidentifiedImageError

#: What a PNG says that shows numbers, and one that shows pixels of lesions.
PLOT = "plot"
#: See :data:`PLOT`.
IMAGES = "images of lesions"
#: Key of the text chunk of a PNG that holds one of the two.
TAG = "Content"
#: Cells of a colour mesh from which on it could be an image; a confusion matrix has few.
MESH_CELLS = 400


def content(figure):
    """Return :data:`PLOT` or :data:`IMAGES`: what a figure was marked as, else what it contains.

    Parameters
    ----------
    figure : matplotlib Figure
        Pixels in it (``imshow``, ``figimage``, a large ``pcolormesh``) make it :data:`IMAGES`, unless :func:`mark_plot` says
        that they are of no patient.
    """
    from matplotlib.collections import QuadMesh
    from matplotlib.image import AxesImage, BboxImage, FigureImage

    if figure.get_gid() == PLOT:
        return PLOT
    meshes = figure.findobj(QuadMesh)
    pixels = [found for kind in (AxesImage, BboxImage, FigureImage) for found in figure.findobj(kind)]
    return IMAGES if pixels or any(mesh.get_array().size >= MESH_CELLS for mesh in meshes) else PLOT


def mark_plot(figure):
    """Mark a figure whose pixels show no patient, such as a bank of filters, as a plot; return it."""
    figure.set_gid(PLOT)
    return figure


def tag_outputs():
    """Make the notebook that runs this write :func:`content` into each figure it shows; do nothing outside of a notebook."""
    from IPython import get_ipython
    from IPython.core.pylabtools import print_figure
    from matplotlib.figure import Figure

    shell = get_ipython()
    if shell is None or not hasattr(shell, "kernel"):
        return
    shell.enable_matplotlib("inline")  # first, because it sets a formatter of its own

    def png(figure):
        return print_figure(figure, "png", base64=True, bbox_inches="tight", metadata={TAG: content(figure)})

    shell.display_formatter.formatters["image/png"].for_type(Figure, png)


def read_tag(data):
    """Return the tag of a picture, given as bytes of its file; None if it has none or is no PNG."""
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as picture:
            tag = picture.text.get(TAG)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
        return None
    return tag if tag in (PLOT, IMAGES) else None


def squeeze(data):
    """Return a PNG, given as bytes, in fewer bytes and with the same pixels and tag.

    One with transparency, and what is no PNG, stay as they are.

    Matplotlib saves four channels; most figures of ROIs are grey, and most plots have few colours.
    """
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as picture:
            notes, picture = picture.text, picture.convert("RGBA")
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
        return data
    if picture.getextrema()[3] != (255, 255):
        return data
    picture = picture.convert("RGB")
    red, green, blue = (channel.tobytes() for channel in picture.split())
    if red == green == blue:
        picture = picture.convert("L")
    elif picture.getcolors(256):
        picture = picture.quantize(256, dither=Image.Dither.NONE)
    kept = PngImagePlugin.PngInfo()
    for name, text in notes.items():
        kept.add_text(name, text)
    small = io.BytesIO()
    picture.save(small, "PNG", optimize=True, pnginfo=kept)
    return min(small.getvalue(), data, key=len)
