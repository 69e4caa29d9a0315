"""Guitars, caps and knives. Lengths in centimetres; the front looks towards -Z."""

import numpy as np
from numpy.random import Generator

from render.procedural.assembly import join
from render.procedural.colors import Scheme, chance, pick
from render.procedural.finishes import covered, glossy, matte, metal, timber, wooden
from render.procedural.meshes import Floats, Mesh, Pieces
from render.procedural.outlines import curve, rounded_rectangle
from render.procedural.patterns import panels, wrap_print
from render.procedural.shapes import ball, bar, box, cylinder, disc, extrude, lathe, loft, sweep

# Half outlines from the lower end to the neck: shares of the half width, and of the length.
GUITAR_BODIES: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "concert": (
        (0.0, 0.55, 0.97, 0.92, 0.62, 0.70, 0.52, 0.12),
        (0.0, 0.01, 0.18, 0.38, 0.58, 0.80, 0.96, 1.0),
    ),
    "jumbo": (
        (0.0, 0.60, 1.0, 0.90, 0.66, 0.80, 0.60, 0.12),
        (0.0, 0.01, 0.22, 0.42, 0.57, 0.80, 0.97, 1.0),
    ),
    "single": (
        (0.0, 0.60, 1.0, 0.90, 0.66, 0.74, 0.48, 0.12),
        (0.0, 0.01, 0.20, 0.42, 0.58, 0.80, 0.97, 0.92),
    ),
    "double": (
        (0.0, 0.55, 0.95, 0.82, 0.66, 0.80, 0.60, 0.30, 0.12),
        (0.0, 0.02, 0.18, 0.42, 0.58, 0.92, 1.02, 0.82, 0.80),
    ),
    "arrow": (
        (0.0, 0.45, 0.85, 1.0, 0.78, 0.45, 0.22, 0.12),
        (0.34, 0.12, 0.0, 0.06, 0.40, 0.75, 0.97, 1.0),
    ),
}

# Length and width of the blade.
KNIFE_BLADES: dict[str, tuple[float, float]] = {
    "chef": (19.0, 5.6),
    "cleaver": (17.0, 8.0),
    "bread": (20.0, 4.2),
    "dagger": (16.0, 4.0),
    "paring": (10.0, 3.4),
}


def guitar(rng: Generator, colors: Scheme) -> Pieces:
    """An acoustic or electric guitar, upright, its strings at the front."""
    kind = pick(rng, ("concert", "concert", "jumbo", "single", "double", "arrow"))
    acoustic = kind in ("concert", "jumbo")
    half, tall = rng.uniform(17, 21), rng.uniform(42, 50)
    deep = rng.uniform(8, 11) if acoustic else rng.uniform(4, 5.5)
    outline = _guitar_outline(rng, kind, half, tall, cutaway=not acoustic or chance(rng, 0.3))
    side = extrude(outline, deep, 0.8)
    front = -deep / 2
    face = extrude(outline * 0.955 + np.array([0, tall * 0.02]), 0.5, 0.2).moved(z=front - 0.1)
    top = wooden(rng, "top") if acoustic and chance(rng, 0.7) else glossy("top", colors.body)
    rim = glossy("rim", pick(rng, [colors.second, colors.dark, colors.wood]))
    parts = [(side, rim), (face.projected(30, "y"), top)]
    parts += _guitar_neck(rng, colors, tall, front, count=pick(rng, (6, 6, 4)))
    if not acoustic:
        return parts + _electrics(rng, colors, half, tall, front)
    hole = disc(half * 0.30, 0.3).turned("x", -90).moved(0, tall * 0.60, front - 0.2)
    rosette = disc(half * 0.37, 0.3).turned("x", -90).moved(0, tall * 0.60, front - 0.12)
    bridge = box(half * 0.8, 2.4, 1.4, 0.4).moved(0, tall * 0.24, front - 0.7)
    return [
        *parts,
        (hole, matte("hole", (0.03, 0.025, 0.02))),
        (rosette, glossy("rosette", colors.accent)),
        (bridge, matte("fittings", colors.dark)),
    ]


def _guitar_outline(rng: Generator, kind: str, half: float, tall: float, cutaway: bool) -> Floats:
    knots = np.transpose(GUITAR_BODIES[kind]) * np.array([half, tall])
    right = curve(knots, 40 if kind != "arrow" else 24)
    left = right[::-1].copy()
    if cutaway and kind != "arrow":
        depth = rng.uniform(0.45, 0.8)
        bite = np.clip((left[:, 1] / tall - 0.72) / 0.28, 0, 1)
        left[:, 0] *= 1 - depth * bite
    left[:, 0] *= -1
    outline = np.concatenate([right, left])
    keep = np.linalg.norm(outline - np.roll(outline, 1, axis=0), axis=1) > 1e-6
    return np.asarray(outline[keep])


def _guitar_neck(rng: Generator, colors: Scheme, tall: float, front: float, count: int) -> Pieces:
    long, z = rng.uniform(38, 48) * (1.12 if count == 4 else 1.0), front - 0.6
    top = tall + long
    neck = box(5.0, long + 9, 2.4, 0.9).moved(0, tall + long / 2 - 3, z + 1.3)
    board = box(5.2, long + 0.3 * tall, 0.8, 0.2).moved(0, tall + long / 2 - 0.15 * tall, z - 0.3)
    wide = rng.uniform(3.4, 4.6)
    waist, tips = wide * 0.8, wide * 1.2
    shape = pick(rng, ("paddle", "flared", "hooked"))
    heads: dict[str, list[tuple[float, float]]] = {
        "paddle": [(2.5, 0), (wide, 3), (wide, 16), (-wide, 16), (-wide, 3), (-2.5, 0)],
        "flared": [(2.5, 0), (waist, 3), (tips, 17), (0, 15), (-tips, 17), (-waist, 3), (-2.5, 0)],
        "hooked": [(2.5, 0), (3.0, 3), (3.6, 14), (1.0, 18), (-3.0, 16), (-4.5, 3.5), (-2.5, 0)],
    }
    head = extrude(heads[shape], 1.8, 0.3).turned("x", -10).moved(0, top, z + 0.9)
    pegs = []
    for index in range(count):
        side, step = (-1, index) if shape == "hooked" else ((-1, 1)[index % 2], index // 2)
        y = top + 4.5 + step * (11.0 / (count if shape == "hooked" else count / 2))
        pegs.append(bar((side * 2.4, y, z + 1.6), (side * (wide + 2.4), y, z + 1.6), 0.45))
        pegs.append(ball(1.1, 4, 8).scaled(1.0, 0.8, 0.5).moved(side * (wide + 2.6), y, z + 1.6))
    strings = [  # thick enough to be seen
        bar((x * 1.3, tall * 0.24, z - 0.95), (x, top + 3, z - 0.95), 0.16, sides=4)
        for x in np.linspace(-1.9, 1.9, count)
    ]
    fret = box(5.2, 0.35, 0.3).moved(z=z - 0.68)
    frets = [fret.moved(y=top - long * (1 - 0.5 ** (k / 6.5))) for k in range(1, 11)]
    return [
        (join(neck, head).projected(30, "y"), timber(rng, "neck", colors.second, 0.6)),
        (board, matte("fingerboard", colors.dark)),
        (join(*pegs, *frets, *strings), metal("steel", colors.metal)),
    ]


def _electrics(rng: Generator, colors: Scheme, half: float, tall: float, front: float) -> Pieces:
    z = front - 0.5
    levels = (0.36, 0.50, 0.64)[: int(rng.integers(2, 4))]
    pickups = [box(9.0, 2.6, 1.2, 0.4).moved(0, tall * level, z) for level in levels]
    bridge = box(9.5, 2.6, 1.4, 0.4).moved(0, tall * 0.23, z)
    knob = cylinder(1.3, 1.6, 1.1, 12).turned("x", -90)
    spots = ((-0.48, 0.30), (-0.60, 0.18), (-0.36, 0.16))
    knobs = [knob.moved(half * x, tall * y, z) for x, y in spots]
    outline = np.array([(0.1, 0.30), (0.55, 0.34), (0.5, 0.66), (0.12, 0.74)]) * np.array([half, tall])
    guard = extrude(outline, 0.3, 0.1).mirrored().moved(z=front - 0.42)
    return [
        (join(*pickups), matte("fittings", colors.dark)),
        (join(bridge, *knobs), metal("steel", colors.metal)),
        (guard, glossy("guard", colors.accent)),
    ]


def cap(rng: Generator, colors: Scheme) -> Pieces:
    """A baseball cap: crown, brim to the front, button, often a badge and a strap at the back."""
    wide, tall = rng.uniform(8.2, 9.2), rng.uniform(8.5, 12.0)
    square = rng.uniform(0.55, 0.95)
    rise = np.linspace(0, np.pi / 2, 12)
    profile = np.stack([wide * np.cos(rise) ** square, tall * np.sin(rise)], axis=1)
    profile[-1, 0] = 0.0
    crown = lathe(profile, 30).scaled(z=1.14)
    lining = lathe(profile * 0.97, 30).scaled(z=1.14).flipped()
    style = pick(rng, ("panels", "print", "plain"))
    if style == "panels":
        outside = covered("crown", panels(rng, colors.body, colors.second))
    elif style == "print":
        outside = covered("crown", wrap_print(rng, colors.body, colors.second, colors.accent))
    else:
        outside = matte("crown", colors.body)
    brim_color = pick(rng, [colors.body, colors.second, colors.accent])
    button = ball(0.8, 6, 12).scaled(y=0.6).moved(y=tall)
    band = lathe([(wide * 1.005, -0.1), (wide * 1.005, 1.0)], 30).scaled(z=1.14)
    parts = [
        (crown, outside),
        (lining, matte("lining", colors.dark)),
        (_brim(rng, wide), matte("brim", brim_color)),
        (join(button, band), matte("trim", colors.accent)),
    ]
    if style != "print":
        badge = extrude(rounded_rectangle(wide * 0.75, tall * 0.34, 1.2), 0.5, 0.15).turned("x", 22 * square)
        badge = badge.moved(0, tall * 0.45, -wide * 1.14 * 0.93)
        parts.append((badge, glossy("badge", colors.accent)))
    return parts


def _brim(rng: Generator, wide: float) -> Mesh:
    """A curved plate: for each angle across the front, from the crown's edge outward."""
    reach, droop, half = rng.uniform(5.5, 8.0), rng.uniform(0.5, 2.6), np.radians(rng.uniform(62, 76))
    rings = []
    for angle in np.linspace(-half, half, 19):
        share = np.cos(angle / half * np.pi / 2) ** 0.55
        edge = np.array([wide * np.sin(angle), 0.25, -wide * 1.14 * np.cos(angle)])
        inner = edge * np.array([0.97, 1, 0.97])
        out = np.array([np.sin(angle) * 0.35, 0.0, -1.0]) * reach * share
        rows = []
        for far in (0.0, 0.5, 1.0):
            point = inner + far * out
            sink = droop * (abs(point[0]) / wide) ** 2 + 0.5 * far**2
            rows.append(point - np.array([0, sink, 0]))
        upper = [row + np.array([0, 0.3, 0]) for row in rows]
        rings.append(np.array(upper + rows[::-1]))
    return loft(rings)


def knife(rng: Generator, colors: Scheme) -> Pieces:
    """A kitchen knife, cleaver, bread knife, dagger or table knife; the point looks up."""
    kind = pick(rng, tuple(KNIFE_BLADES))
    long, wide = (size * rng.uniform(0.88, 1.15) for size in KNIFE_BLADES[kind])
    blade = extrude(_blade_outline(kind, long, wide), 0.8, 0.3)
    grip = rng.uniform(9.5, 12.5)
    thick = rng.uniform(1.5, 2.1)
    knots = [(thick, -grip), (thick * 1.15, -grip * 0.85), (thick * 0.85, -grip * 0.45), (thick, 0)]
    radii, along = curve(knots, 12).T
    handle = sweep(np.column_stack([0 * radii, along, 0 * radii]), radii, 14, flat=0.62)
    levels = np.linspace(-grip * 0.8, -grip * 0.2, int(rng.integers(2, 4)))
    rivets = [bar((0, y, -thick * 0.8), (0, y, thick * 0.8), 0.45) for y in levels]
    fittings = [*rivets, box(thick * 2.3, 1.0, thick * 1.6, 0.3).moved(y=0.2)]
    if kind == "dagger":
        fittings.append(box(wide * 2.4, 0.9, 1.6, 0.35).moved(y=0.5))
    lanyard = disc(1.0, 0.5).turned("x", 90).moved(0, -grip - 0.5, -0.25)
    return [
        (blade, metal("blade", pick(rng, [(0.80, 0.81, 0.83), colors.metal, (0.55, 0.57, 0.60)]))),
        (handle.projected(9, "y"), timber(rng, "handle", colors.body, 0.4)),
        (join(*fittings), metal("fittings", colors.metal)),
        (lanyard, glossy("end", colors.accent)),
    ]


def _blade_outline(kind: str, long: float, wide: float) -> Floats:
    """Edge at +x, back at -x, point upward."""
    back = -wide * 0.35
    edge = back + wide
    if kind == "cleaver":
        return np.array([(back, 0.2), (edge, 0.6), (edge + 0.3, long), (back, long)])
    if kind == "dagger":
        half = wide / 2
        return np.array(
            [(-half, 0.5), (half, 0.5), (half * 0.8, long * 0.7), (0.0, long), (-half * 0.8, long * 0.7)]
        )
    belly = curve([(edge * 0.7, 0.2), (edge, 0.8), (edge * 0.9, long * 0.6), (back + 0.1, long)], 16)
    if kind == "bread":
        teeth = np.arange(24)
        x = edge - 0.25 * (teeth % 2)
        saw = np.column_stack([x, np.linspace(0.8, long * 0.92, 24)])
        return np.concatenate([[(back, 0.2)], saw, [(back + 0.3, long), (back, long * 0.97)]])
    return np.concatenate([[(back, 0.2)], belly, [(back, long * 0.85)]])
