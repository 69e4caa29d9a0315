"""Augmentations of pictures, whose parameters are drawn, recorded and applied."""
