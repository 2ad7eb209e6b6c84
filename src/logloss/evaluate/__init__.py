"""Additive states of a scoring run, the statistics they give, and the summary that reports read."""
