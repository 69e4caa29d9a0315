"""Procedural 3D models, for a benchmark without a download.

>>> from pathlib import Path
>>> from render.procedural import make_models
>>> folders = make_models(Path("models"), classes=["mug", "chair"], objects_per_class=4)  # doctest: +SKIP
"""

from render.procedural.make import make_models
from render.procedural.obj import model_files, write_object
from render.procedural.shape_classes import CLASSES, build_object, find_class

__all__ = ["CLASSES", "build_object", "find_class", "make_models", "model_files", "write_object"]
