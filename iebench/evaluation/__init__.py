"""Evaluation: features of a frozen encoder, and the probes and metrics computed on them."""

from iebench.evaluation.scores import r2, r2_per_component

__all__ = ["r2", "r2_per_component"]
