"""Renderings of a summary; a report reads nothing else."""
