"""Two hues and ink: blue for gain, orange for loss, safe for colour-blind readers; one family of type."""

from __future__ import annotations

import matplotlib_fontja  # noqa: F401  registers the Japanese font
import pandas as pd
import seaborn as sns

INK, MUTE, LINE, PAPER = "#1d2129", "#596275", "#e2e6ec", "#ffffff"
BLUE, SKY, ORANGE, SAND = "#1f5a93", "#9cc3e6", "#b84a12", "#f0bf9a"


def readable(value: float) -> str:
    """A number of a notebook's table: whole with separators from 1,000 on, else three significant digits."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def use_theme() -> None:
    """Sets the look of all figures and tables of a notebook; the Japanese font survives because the theme names it."""
    pd.options.display.float_format = readable
    pd.options.display.max_colwidth = 120  # a remedy is read to its end
    sns.set_theme(
        style="white",
        font="IPAexGothic",
        palette=[BLUE, ORANGE, MUTE, SKY, SAND],
        rc={
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.edgecolor": LINE,
            "axes.labelcolor": MUTE,
            "axes.titlelocation": "left",
            "axes.titlesize": 11,
            "axes.titleweight": "normal",
            "axes.labelsize": 9,
            "axes.unicode_minus": False,
            "xtick.color": MUTE,
            "ytick.color": MUTE,
            "xtick.labelsize": 9,
            "ytick.labelsize": 9,
            "text.color": INK,
            "figure.figsize": (7.2, 3.2),
            "figure.dpi": 110,
            "figure.constrained_layout.use": True,
            "legend.frameon": False,
            "svg.fonttype": "none",
            "svg.hashsalt": "ltvlab",
        },
    )
