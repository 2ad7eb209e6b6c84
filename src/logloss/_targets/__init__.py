"""Targets that are not arrays."""
