"""t-SNE of 5,000 x 256 features, images a second: openTSNE as notebook 06 calls it, against scikit-learn.

Both start from the same positions, with the same perplexity and all cores (``OMP_NUM_THREADS`` sets fewer); each makes as many
steps as is its default, 750 and 1,000. That a faster map is no worse is shown by how many of an image's ten nearest neighbours in
feature space are still among its ten nearest on the map.
"""

import os

import numpy as np
from side_by_side import hardware, report, take_turns
from sklearn.manifold import TSNE
from sklearn.neighbors import NearestNeighbors

from lesion_utils import embedding

ROUNDS, IMAGES, FEATURES, PERPLEXITY = 3, 5_000, 256, 30.0


def features_like_a_networks(seed=0, lesions=250):
    """Return (5,000, 256) values of at least 0: 20 images near each lesion, lesions near the middle of one of three classes."""
    random = np.random.default_rng(seed)
    classes = random.normal(0, 1, (3, FEATURES))
    middle = classes[np.arange(lesions) % 3] + random.normal(0, 1, (lesions, FEATURES))
    copies = np.repeat(middle, IMAGES // lesions, axis=0)
    return np.maximum(copies + random.normal(0, 0.4, copies.shape), 0).astype(np.float32)


def neighbours_kept(features, positions, k=10):
    """Return the share of an image's k nearest neighbours that are among its k nearest on the map too."""
    near, shown = (
        NearestNeighbors(n_neighbors=k).fit(values).kneighbors(return_distance=False) for values in (features, positions)
    )
    return np.mean([len(np.intersect1d(one, two)) / k for one, two in zip(near, shown, strict=True)])


def main():
    print(__doc__.splitlines()[0])
    print(hardware("openTSNE", "scikit-learn"))
    features, cores = features_like_a_networks(), int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count())
    print(f"cores used: {cores}")
    start = embedding.common_start([features])
    maps = {}

    def with_opentsne():
        maps["openTSNE"] = embedding.embed(features, start, perplexity=PERPLEXITY, seed=0, n_jobs=cores)

    def with_scikit_learn():
        tsne = TSNE(perplexity=PERPLEXITY, init=start.astype(np.float32), random_state=0, n_jobs=cores)
        maps["scikit-learn"] = tsne.fit_transform(features)

    rates = take_turns({"openTSNE": (with_opentsne, IMAGES), "scikit-learn": (with_scikit_learn, IMAGES)}, ROUNDS)
    for name, positions in maps.items():
        print(f"neighbours kept by {name}: {neighbours_kept(features, positions):.1%}")
    report("t-SNE", rates, {("openTSNE", "scikit-learn"): None}, "image", "openTSNE", "scikit-learn")


if __name__ == "__main__":
    main()
