"""Judges a candidate against the stable version: counters in, verdicts with intervals out; pure."""
