"""The walk through the latent space: its way, the sheet of images, and what stands in the page."""

import json

import cv2
import numpy as np
import pytest
from bs4 import BeautifulSoup

from lesion_utils import interactive, networks
from lesion_utils.errors import SettingsError

CLASSES = ("cyst", 'a "b" <script>alert(1)</script> & $c')


@pytest.mark.parametrize("noise", ["uniform", "normal"])
def test_every_point_of_the_way_is_distributed_as_the_noise(noise):
    path = interactive.noise_path(noise, stops=200, steps=2, seed=0)
    assert path.shape == (399, networks.NOISE_SIZE) and path.dtype == np.float32
    spread = {"uniform": 3**-0.5, "normal": 1}[noise]
    for points in (path[::2], path[1::2]):  # ends, and the middles between them
        assert points.std() == pytest.approx(spread, rel=0.02)
        assert points.mean() == pytest.approx(0, abs=0.02)
    assert (np.abs(path) < 1).all() or noise == "normal"


def test_way_is_smooth_and_the_same_for_the_same_seed():
    path = interactive.noise_path("normal", stops=3, steps=8, seed=1)
    steps = np.linalg.norm(np.diff(path, axis=0), axis=1)
    assert steps.max() < 0.4 * np.linalg.norm(path[8] - path[0])
    np.testing.assert_array_equal(path, interactive.noise_path("normal", stops=3, steps=8, seed=1))
    assert not np.array_equal(path, interactive.noise_path("normal", stops=3, steps=8, seed=2))


@pytest.mark.parametrize(("classes", "rows"), [(2, 9), (3, 9), (5, 9), (12, 12)])
def test_class_weights_pass_every_class_in_order(classes, rows):
    weights = interactive.class_path(classes)
    assert weights.shape == (rows, classes)
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-6)
    pure = weights[weights.max(axis=1) == 1]
    np.testing.assert_array_equal(pure, np.eye(classes))


def test_rows_are_named_by_their_shares():
    names = interactive.class_names(interactive.class_path(3), ["cyst", "metastasis", "hemangioma"])
    assert names[0] == "cyst" and names[4] == "metastasis" and names[-1] == "hemangioma"
    assert names[1] == "75 % cyst, 25 % metastasis"


def test_walk_asks_the_generator_for_each_row_and_column():
    generator = networks.conditional_generator(2, width=8, seed=0)
    images = interactive.draw_walk(generator, classes=2, noise="uniform", seed=0, stops=2, steps=2)
    assert images.shape == (9, 3, 64, 64)
    path = interactive.noise_path("uniform", stops=2, steps=2, seed=0)
    one = np.asarray(generator([path[2:3], interactive.class_path(2)[5:6]], training=False))[0, ..., 0]
    np.testing.assert_allclose(images[5, 2], (one + 1) / 2, atol=1e-4)


def marked(rows=9, columns=13):
    """Return images whose brightness says where they belong in the sheet."""
    brightness = np.arange(rows * columns).reshape(rows, columns, 1, 1) / (rows * columns)
    return np.broadcast_to(brightness, (rows, columns, 64, 64)).astype(np.float32)


def test_sheet_holds_row_by_row_what_the_walk_drew():
    images = marked()
    jpeg = interactive.sheet(images)
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert picture.shape == (9 * 64, 13 * 64) and len(jpeg) <= interactive.LARGEST_SHEET
    for row, column in ((0, 0), (3, 11), (8, 12)):
        tile = picture[64 * row : 64 * row + 64, 64 * column : 64 * column + 64]
        assert tile.mean() == pytest.approx(255 * images[row, column].mean(), abs=2)


def test_sheet_gets_coarser_to_stay_small_and_is_refused_where_that_is_not_enough():
    noisy = np.random.default_rng(0).uniform(size=(4, 4, 64, 64))
    whole = len(interactive.sheet(noisy))
    assert len(interactive.sheet(noisy, largest=whole - 1)) < whole
    with pytest.raises(SettingsError, match="4 x 4 images needs more than 1,000 bytes: draw fewer stops or steps"):
        interactive.sheet(noisy, largest=1000)


def test_page_escapes_class_names_and_labels_what_it_shows():
    page = interactive.walk_page(marked(), CLASSES)
    assert "<script>alert" not in page and page.count("<script>") == 1
    soup = BeautifulSoup(page, "html.parser")
    walk = soup.select_one(".latent-walk")
    labels = json.loads(walk["data-labels"])
    assert len(labels) == 9 and labels[0] == CLASSES[0] and labels[-1] == CLASSES[1]
    assert [slider["max"] for slider in soup.select("label input[type=range]")] == ["8", "12"]
    image = soup.select_one("img")
    assert image["src"].startswith("data:image/jpeg;base64,") and CLASSES[1] in image["alt"] and "3 draws" in image["alt"]
    assert soup.select_one(".controls").has_attr("hidden"), "without a script there are no sliders, only the sheet"
    assert "http" not in page.replace(image["src"], "")
