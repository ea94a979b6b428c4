"""Figures: functions that take data and an optional ``ax``, label the axes with units, and return the Axes; ``runs`` saves.

matplotlib and its friends are imported when something is drawn, so that the command line starts fast.
"""

from bioutils.plots.annotations import link_heatmap, value_bars
from bioutils.plots.attention import attends_to_lines, attention_heatmap, attribution_bars, entropy_heatmaps
from bioutils.plots.calibration import reliability_diagram, risk_coverage_curve, ternary
from bioutils.plots.corpora import distance_heatmaps, length_lines, word_bars
from bioutils.plots.data import aspect_pie, counts_bar, length_histogram, token_lengths, word_cloud, word_count_boxes
from bioutils.plots.entities import recall_bars
from bioutils.plots.epochs import epoch_lines, map_frames, similarity_heatmap
from bioutils.plots.ontology import ancestry, most_connected_terms
from bioutils.plots.pretraining import downstream_points, judged_tokens, pieces_bars, pretraining_curves
from bioutils.plots.runs import missed_by, run_curves, score_boxes
from bioutils.plots.scores import confusion_heatmap, interval_bars, learning_curves, stacked_aspect_bars
from bioutils.plots.style import ASPECT_COLOURS, PALETTE, new_axes, readable, use_style
from bioutils.plots.training import cost_against_score, range_test_curve, scores_by_size

__all__ = [
    "ASPECT_COLOURS",
    "PALETTE",
    "ancestry",
    "aspect_pie",
    "attends_to_lines",
    "attention_heatmap",
    "attribution_bars",
    "confusion_heatmap",
    "cost_against_score",
    "counts_bar",
    "distance_heatmaps",
    "downstream_points",
    "entropy_heatmaps",
    "epoch_lines",
    "interval_bars",
    "judged_tokens",
    "learning_curves",
    "length_histogram",
    "length_lines",
    "link_heatmap",
    "map_frames",
    "missed_by",
    "most_connected_terms",
    "new_axes",
    "pieces_bars",
    "pretraining_curves",
    "range_test_curve",
    "readable",
    "recall_bars",
    "reliability_diagram",
    "risk_coverage_curve",
    "run_curves",
    "score_boxes",
    "scores_by_size",
    "similarity_heatmap",
    "stacked_aspect_bars",
    "ternary",
    "token_lengths",
    "use_style",
    "value_bars",
    "word_bars",
    "word_cloud",
    "word_count_boxes",
]
