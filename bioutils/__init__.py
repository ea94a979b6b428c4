"""Biomedical text transformers: the helper package behind the notebooks."""

import os
import warnings

__version__ = "0.1.0"

# Threads that wait must not spin: two processes that share cores (two notebooks, a test beside a benchmark) would be
# several times slower. OpenMP reads this once, when torch is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# tqdm says so in red in every notebook where ipywidgets is missing; its bars are plain text then.
warnings.filterwarnings("ignore", message="IProgress not found")
