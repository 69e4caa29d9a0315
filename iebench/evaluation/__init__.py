"""Evaluation: features of a frozen encoder, and the probes and metrics computed on them."""
