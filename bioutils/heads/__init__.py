"""Heads: what turns an encoder's vectors into labels."""
