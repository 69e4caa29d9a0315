"""Evaluation: features of a frozen encoder, and the probes and metrics computed on them."""

from iebench.evaluation.evaluate import evaluate_encoder
from iebench.evaluation.protocol import EvaluationConfig
from iebench.evaluation.results import Evaluation, read_evaluation, read_evaluations
from iebench.evaluation.scores import r2, r2_per_component

__all__ = [
    "Evaluation",
    "EvaluationConfig",
    "evaluate_encoder",
    "r2",
    "r2_per_component",
    "read_evaluation",
    "read_evaluations",
]
