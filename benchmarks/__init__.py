"""Measurements: `python -m benchmarks.relay` compares tasktap with nginx and with no proxy at all, in one run."""
