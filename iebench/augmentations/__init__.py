"""Augmentations of pictures whose parameters are recorded: what is drawn, and what it does to a picture."""
