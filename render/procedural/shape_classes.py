"""The classes that can be made, and one object of one class."""

import difflib
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from render.procedural import aircraft, electronics, furniture, handhelds, vehicles, vessels
from render.procedural.bake import baked
from render.procedural.colors import Scheme, scheme
from render.procedural.meshes import Pieces, ProceduralModel, normalized
from shards.errors import UsageError


@dataclass(frozen=True)
class ShapeClass:
    """A class of ShapeNetCore by its WordNet offset and its name in 3DIEBench, and what builds an object of it."""

    synset: str
    name: str
    builder: Callable[[Generator, Scheme], Pieces]


CLASSES: dict[str, ShapeClass] = {
    shape.name: shape
    for shape in (
        ShapeClass("02691156", "airplane", aircraft.airplane),
        ShapeClass("02818832", "bed", furniture.bed),
        ShapeClass("02876657", "bottle", vessels.bottle),
        ShapeClass("02880940", "bowl", vessels.bowl),
        ShapeClass("02924116", "bus", vehicles.bus),
        ShapeClass("02954340", "cap", handhelds.cap),
        ShapeClass("02958343", "car", vehicles.car),
        ShapeClass("03001627", "chair", furniture.chair),
        ShapeClass("03325088", "faucet", electronics.faucet),
        ShapeClass("03467517", "guitar", handhelds.guitar),
        ShapeClass("03624134", "knife", handhelds.knife),
        ShapeClass("03636649", "lamp", electronics.lamp),
        ShapeClass("03642806", "laptop", electronics.laptop),
        ShapeClass("03797390", "mug", vessels.mug),
        ShapeClass("04099429", "rocket", aircraft.rocket),
        ShapeClass("04225987", "skateboard", vehicles.skateboard),
        ShapeClass("04256520", "sofa", furniture.sofa),
        ShapeClass("04379243", "table", furniture.table),
    )
}


def find_class(name: str) -> ShapeClass:
    """The class of a name or of a synset.

    Raises:
        UsageError: There is none; the message names the nearest one and all there are.
    """
    named = CLASSES | {shape.synset: shape for shape in CLASSES.values()}
    if found := named.get(name.strip().lower()):
        return found
    nearest = difflib.get_close_matches(name.lower(), named, n=1, cutoff=0.5)
    hint = f"did you mean {nearest[0]!r}? " if nearest else ""
    raise UsageError(f"no procedural class {name!r}: {hint}available are {', '.join(CLASSES)}.")


def build_object(name: str, index: int, seed: int = 0) -> ProceduralModel:
    """Makes one object, centred, with a bounding box of diagonal 1; it depends on nothing but the arguments.

    Args:
        name: Class name or synset.
        index: Number of the object in its class, from 0.
        seed: Seed of the whole set.

    Raises:
        UsageError: The class is unknown.
    """
    shape = find_class(name)
    key = hashlib.sha256(f"{seed}/{shape.synset}/{index}".encode()).digest()
    rng = Generator(np.random.Philox(key=np.frombuffer(key[:16], dtype="<u8")))
    parts = baked(normalized(shape.builder(rng, scheme(rng))))
    return ProceduralModel(shape.synset, f"{shape.name}-{index:04d}", parts)
