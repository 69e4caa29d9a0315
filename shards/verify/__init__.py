"""Checks a dataset against its index and the dataset format, down to each sample."""

from shards.verify.all_shards import verify_dataset
from shards.verify.problem import Problem

__all__ = ["Problem", "verify_dataset"]
