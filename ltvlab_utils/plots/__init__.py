"""Figures: a table in, a matplotlib Axes out; nothing is computed here (floor 4)."""

from ltvlab_utils.plots.theme import BLUE, INK, LINE, MUTE, ORANGE, PAPER, SAND, SKY, use_theme

__all__ = ["BLUE", "INK", "LINE", "MUTE", "ORANGE", "PAPER", "SAND", "SKY", "use_theme"]
