"""The paper's printed numbers that stand beside ours, each with its place in the paper, and what kind of number it is.

Where the paper prints a percentage of its 182 lesions, the whole number of lesions behind it is computed, and with it the Wilson
interval that the paper does not give. Tables 2, 3 and 5 and the curves of Fig. 8 are in :mod:`scores`, Table 4 in
:mod:`agreement` and Table 6 in :mod:`texture`, beside the code that makes ours.
"""

import pandas as pd

from .phantom import CLASSES, PAPER_COUNTS
from .scores import PAPER_CLASSIC, PAPER_SYNTHETIC, PAPER_TABLE_2, PAPER_TABLE_3, PAPER_TABLE_5
from .texture import PAPER_TABLE_6

#: Lesions of the cross-validation, and of each class (section 2.1).
LESIONS = sum(PAPER_COUNTS)
COUNTS = dict(zip(CLASSES, PAPER_COUNTS, strict=True))
#: Gain in accuracy of the green line of Fig. 8, with 78 new cases, "improved by 2% until saturation" (section 4.2.2).
GREEN_LINE_GAIN = 0.02
#: Fig. 2: exactly the "approximately 1.3 M" of section 2.2, when convolutions use no padding.
CNN_PARAMETERS = 1_273_347
#: Filters of its first convolution that give so many; 64 and 128 follow (Fig. 2).
CNN_WIDTH = 32
#: N = 30 x (1 + 3 + 7 + 5) augmentations of each lesion (section 4.2.1), and samples at the optimum (Fig. 8).
AUGMENTATIONS, CLASSIC_OPTIMUM, SYNTHETIC_OPTIMUM = 480, 5000, 3000
#: Channels of the generator's 4x4 layer (Fig. 5).
GENERATOR_WIDTH = 1024

#: Table 1, the training algorithm, in our words.
TABLE_1 = (
    "extend the training set by classic augmentation",
    "train one GAN a class on the extended set, and draw synthetic ROIs from it",
    "train the classifier on originals, classic augmentations and synthetic ROIs together",
)
#: Table 5: weighted sensitivity (total accuracy) and specificity; rows by our names of arms.
TABLE_5 = pd.DataFrame.from_dict(PAPER_TABLE_5, orient="index", columns=["sensitivity", "specificity"]).rename_axis("arm")
#: Table 6, with the line of CNN-AUG-GAN that Table 5 holds too.
TABLE_6 = pd.concat([TABLE_5.loc[["dcgan"]], PAPER_TABLE_6])
#: Table 7: per class and weighted; ``dcgan`` is CNN-AUG-GAN, ``classic`` is CNN-AUG.
TABLE_7 = pd.DataFrame(
    {
        ("dcgan", "sensitivity"): (1.0, 0.812, 0.785, 0.857),
        ("dcgan", "specificity"): (0.977, 0.890, 0.914, 0.924),
        ("classic", "sensitivity"): (0.981, 0.687, 0.723, 0.786),
        ("classic", "specificity"): (0.984, 0.839, 0.846, 0.884),
    },
    index=[*CLASSES, "weighted average"],
)
#: Confusion matrices by table, with our arm.
MATRICES = {"table2": PAPER_TABLE_2, "table3": PAPER_TABLE_3}

#: Total accuracy of each arm that the paper has: Fig. 8 and Tables 5 and 6; the green line by its gain.
ACCURACY = {
    "real": PAPER_CLASSIC[0],
    "classic": PAPER_CLASSIC[CLASSIC_OPTIMUM],
    "classic_extra_real": PAPER_CLASSIC[CLASSIC_OPTIMUM] + GREEN_LINE_GAIN,
    "dcgan": PAPER_SYNTHETIC[CLASSIC_OPTIMUM + SYNTHETIC_OPTIMUM],
} | pd.concat([TABLE_5.iloc[1:], PAPER_TABLE_6.iloc[1:]])["sensitivity"].to_dict()
