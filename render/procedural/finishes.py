"""The kinds of material that builders use."""

from numpy.random import Generator

from render.procedural.colors import WOODS, Color, chance, pick
from render.procedural.meshes import Image, Material
from render.procedural.patterns import fabric, wood_grain


def matte(name: str, color: Color) -> Material:
    """Cloth, rubber, paper, dull plastic."""
    return Material(name, color, specular=0.08, shininess=10.0)


def glossy(name: str, color: Color) -> Material:
    """Paint, glaze, hard plastic."""
    return Material(name, color, specular=0.5, shininess=350.0)


def metal(name: str, color: Color) -> Material:
    """Bare metal, as well as a Phong material shows it."""
    return Material(name, color, specular=0.9, shininess=250.0)


def glass(name: str) -> Material:
    """A dark, shining window."""
    return Material(name, (0.10, 0.13, 0.18), specular=0.9, shininess=700.0)


def covered(name: str, image: Image, specular: float = 0.1) -> Material:
    """A surface that carries an image."""
    return Material(name, (1.0, 1.0, 1.0), specular=specular, shininess=60.0, image=image)


def wooden(rng: Generator, name: str, color: Color | None = None) -> Material:
    """Wood with visible grain; a mesh needs `projected` texture coordinates for it."""
    return covered(name, wood_grain(rng, pick(rng, WOODS) if color is None else color), 0.2)


def cloth(rng: Generator, name: str, first: Color, second: Color, plain: float = 0.5) -> Material:
    """Plain cloth with probability `plain`, otherwise a pattern of both colors."""
    if chance(rng, plain):
        return matte(name, first)
    return covered(name, fabric(rng, first, second))


def timber(rng: Generator, name: str, color: Color, grain: float = 0.5) -> Material:
    """Wood with visible grain with probability `grain`, otherwise paint of the given color."""
    return wooden(rng, name) if chance(rng, grain) else glossy(name, color)
