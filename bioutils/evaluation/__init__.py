"""What a model is worth: metrics with intervals, baselines, calibration."""
