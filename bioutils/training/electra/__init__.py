"""ELECTRA from raw text: clean, learn a vocabulary, pack, pre-train, measure (Clark et al. 2020, arXiv 2003.10555)."""
