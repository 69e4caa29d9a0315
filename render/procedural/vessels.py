"""Bottles, bowls and mugs: bodies of revolution with something that breaks the symmetry.

Lengths are in centimetres.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from render.procedural.assembly import join
from render.procedural.colors import Scheme, chance, pick, shade
from render.procedural.finishes import covered, glossy, matte, metal
from render.procedural.meshes import Floats, Material, Mesh, Pieces
from render.procedural.outlines import curve
from render.procedural.patterns import fabric, label, wrap_print
from render.procedural.shapes import box, cylinder, lathe, sweep


def _inside(outer: Floats, wall: float, segments: int) -> tuple[Mesh, Mesh]:
    """The inner surface of a vessel, from the middle of its rim to the axis, and the outer half of the rim."""
    inner = outer[::-1] - np.array([wall, 0.0])
    floor = outer[0, 1] + wall
    inner = inner[(inner[:, 0] > wall) & (inner[:, 1] > floor)]
    top = np.array([outer[-1, 0] - wall / 2, outer[-1, 1] + wall * 0.4])
    surface = np.concatenate([[top], inner, [[inner[-1, 0] * 0.7, floor], [0.0, floor]]])
    return lathe(surface, segments), lathe([outer[-1], top], segments)


def _radius_at(profile: Floats, level: float) -> float:
    return float(np.interp(level, profile[:, 1], profile[:, 0]))


@dataclass(frozen=True)
class BottleForm:
    """The proportions of a kind of bottle."""

    tall: float  # in radii
    label: float  # its end, as a share of the height
    shoulder: float  # its height, as a share of the bottle's
    neck: float  # its radius, as a share of the bottle's


BOTTLE_FORMS: dict[str, BottleForm] = {
    "wine": BottleForm(7.6, 0.54, 0.12, 0.38),
    "beer": BottleForm(6.6, 0.46, 0.24, 0.40),
    "soda": BottleForm(6.2, 0.56, 0.28, 0.36),
    "water": BottleForm(5.6, 0.66, 0.16, 0.46),
    "flask": BottleForm(4.6, 0.60, 0.12, 0.34),
    "jug": BottleForm(4.8, 0.54, 0.24, 0.36),
    "spray": BottleForm(4.6, 0.62, 0.20, 0.38),
    "medicine": BottleForm(3.4, 0.66, 0.11, 0.66),
}


def bottle(rng: Generator, colors: Scheme) -> Pieces:
    """A wine, beer, soda or water bottle, a flask or a jug, with a label and a cap."""
    kind = pick(rng, tuple(BOTTLE_FORMS))
    form = BOTTLE_FORMS[kind]
    radius = rng.uniform(3.4, 4.6)
    tall, neck = radius * form.tall * rng.uniform(0.88, 1.12), radius * form.neck * rng.uniform(0.88, 1.12)
    shoulder, label_low, label_high = _bottle_shoulder(rng, form, tall, radius, neck)
    lower = [(0.0, 0.35), (radius * 0.75, 0.0), (radius * 0.94, 0.15), (radius, 0.6), (radius, label_low)]
    body = join(lathe(lower, 32), lathe(shoulder, 32))
    sleeve = lathe([(radius * 1.003, label_low), (radius * 1.003, label_high)], 32)
    image = label(rng, colors.body, colors.second, colors.accent, pick(rng, [colors.dark, colors.accent]))
    parts = [
        (body, glossy("body", colors.body)),
        (sleeve, covered("label", image, 0.3)),
        *_bottle_top(rng, kind, colors, tall, neck),
    ]
    if kind == "jug":
        reach = radius * rng.uniform(0.75, 1.0)
        path = [(neck, tall * 0.9, 0), (neck + reach, tall * 0.86, 0), (neck + reach, tall * 0.68, 0)]
        path += [(radius * 0.85, label_high + 0.4, 0)]
        parts.append((sweep(curve(path, 18), 0.55), glossy("body", colors.body)))
    if kind == "flask":
        return [(mesh.scaled(z=0.62), material) for mesh, material in parts]
    return parts


def _bottle_shoulder(
    rng: Generator, form: BottleForm, tall: float, radius: float, neck: float
) -> tuple[Floats, float, float]:
    """The profile above the label, and the label's lowest and highest y."""
    low, high = tall * 0.14, tall * (form.label + rng.uniform(-0.04, 0.03))
    end = form.shoulder * tall
    rise = [(radius, high), (radius * 0.97, high + end * 0.25)]
    rise += [((radius + neck) / 2, high + end * 0.72), (neck * 1.04, high + end * 1.1)]
    straight = [(neck, high + end * 1.3), (neck, tall)]
    return np.concatenate([[(radius, low)], curve(rise, 12), straight]), low, high


def _bottle_top(rng: Generator, kind: str, colors: Scheme, tall: float, neck: float) -> Pieces:
    cap = glossy("cap", colors.accent)
    if kind == "spray":
        head = box(neck * 1.9, 2.2, 4.6, 0.5).moved(0, tall + 2.4, -0.9)
        trigger = sweep(curve([(0, tall + 1.6, -1.6), (0, tall + 0.4, -2.9), (0, tall - 1.6, -2.6)], 8), 0.4)
        nozzle = cylinder(0.5, 0.8).turned("x", -90).moved(0, tall + 2.7, -3.1)
        return [
            (join(cylinder(neck * 1.25, 1.8).moved(y=tall - 0.4), head), cap),
            (join(trigger, nozzle), matte("trigger", colors.dark)),
        ]
    if kind == "wine":
        wide, lip = neck * 1.06, neck * 1.2
        foil = [(wide, tall * 0.86), (wide, tall - 0.9), (lip, tall - 0.8), (lip, tall), (0, tall + 0.05)]
        return [(lathe(foil), metal("cap", colors.accent))]
    wide = neck * rng.uniform(1.12, 1.3)
    ring = lathe([(neck, tall - 1.3), (neck * 1.2, tall - 1.2), (neck * 1.2, tall - 0.8), (neck, tall - 0.7)])
    lid = lathe([(wide, tall - 0.6), (wide, tall + 0.8), (wide * 0.9, tall + 1.0), (0, tall + 1.05)], 24)
    return [(ring, glossy("body", colors.body)), (lid, cap)]


# Points above the foot, up to the rim: shares of the radius and of the depth.
BOWL_SIDES: dict[str, tuple[tuple[float, float], ...]] = {
    "round": ((0.72, 0.28), (0.94, 0.62), (1.0, 1.0)),
    "flared": ((0.62, 0.35), (0.8, 0.75), (1.06, 1.0)),
    "steep": ((0.82, 0.2), (0.93, 0.5), (0.95, 1.0)),
    "cone": ((0.56, 0.33), (0.8, 0.66), (1.0, 1.0)),
}


def bowl(rng: Generator, colors: Scheme) -> Pieces:
    """A deep or flat bowl on a foot, with a print around it and often a lug, a spout or a spoon."""
    radius, deep = rng.uniform(7, 10), rng.uniform(4.5, 8.5)
    foot, wall = radius * rng.uniform(0.3, 0.5), rng.uniform(0.35, 0.6)
    side = BOWL_SIDES[pick(rng, tuple(BOWL_SIDES))]
    outer = curve([(foot, 0.8), *((radius * across, deep * up) for across, up in side)], 14)
    inside, rim = _inside(outer, wall, 36)
    base = lathe([(0, 0.1), (foot * 0.85, 0.1), (foot * 0.9, 0.0), (foot, 0.05), (foot, 0.85)], 28)
    image = wrap_print(rng, colors.body, colors.second, colors.accent)
    if chance(rng, 0.3):
        back = np.tile(fabric(rng, colors.body, colors.accent), (2, 2, 1))[:192, :192]
        image = np.concatenate([image[:, :192], back], axis=1)
    parts = [
        (lathe(outer, 36), covered("outside", image, 0.4)),
        (inside, glossy("inside", pick(rng, [colors.second, colors.light, colors.body]))),
        (join(base, rim), glossy("foot", colors.accent)),
    ]
    return parts + _bowl_extras(rng, colors, outer, wall)


def _bowl_extras(rng: Generator, colors: Scheme, outer: Floats, wall: float) -> Pieces:
    radius, deep = float(outer[-1, 0]), float(outer[-1, 1])
    kind = pick(rng, ("spoon", "chopsticks", "lug", "food", "plain"))
    if kind == "lug":
        x, y = radius * 0.93, deep * 0.8
        path = curve([(x, y, -2.2), (x + 1.9, y + 0.2, -1.3), (x + 1.9, y + 0.2, 1.3), (x, y, 2.2)], 16)
        return [(sweep(path, 0.45), glossy("foot", colors.accent))]
    if kind == "chopsticks":
        sticks = [
            sweep([(-radius * 1.15, deep + 0.5, z), (radius * 1.2, deep + 0.6, z * 0.4)], [0.22, 0.4], 8)
            for z in (-1.6, -0.4)
        ]
        return [(join(*sticks), glossy("sticks", colors.wood))]
    if kind == "spoon":
        knots = [(0.5, 1.6, 0.5), (radius * 0.7, deep * 0.72, -1), (radius * 1.25, deep * 1.35, -1.6)]
        path = curve(knots, 14)
        return [(sweep(path, np.linspace(0.3, 0.55, 14), 8), metal("spoon", colors.metal))]
    if kind == "food":
        level = deep * rng.uniform(0.55, 0.75)
        reach = _radius_at(outer, level) - wall * 0.9
        filling = lathe(curve([(reach, level), (reach * 0.6, level + 0.5), (0, level + 0.7)], 8), 28)
        return [(filling, matte("filling", shade(colors.accent, 0.9)))]
    return []


def mug(rng: Generator, colors: Scheme) -> Pieces:
    """A mug with a handle at its right (+X) and a print around it."""
    tall, radius, wall = rng.uniform(7.5, 12), rng.uniform(3.4, 4.8), rng.uniform(0.3, 0.5)
    outer = _mug_profile(rng, radius, tall)
    inside, rim = _inside(outer, wall, 32)
    base = lathe([(0, 0.25), (outer[0, 0] * 0.8, 0.25), (outer[0, 0] * 0.86, 0.0), tuple(outer[0])], 32)
    lining = glossy("lining", pick(rng, [colors.second, colors.light, colors.accent]))
    outside: Material = glossy("outside", colors.body)
    if chance(rng, 0.75):
        outside = covered("outside", wrap_print(rng, colors.body, colors.second, colors.accent), 0.4)
    trim = glossy("trim", pick(rng, [colors.accent, colors.body]))
    parts = [
        (lathe(outer, 32), outside),
        (inside, lining),
        (join(base, rim), trim),
        (_mug_handle(rng, outer, tall), trim),
    ]
    if chance(rng, 0.3):
        level = tall * 0.82
        drink = cylinder(_radius_at(outer, level) - wall * 0.9, 0.1, segments=28).moved(y=level)
        parts.append((drink, glossy("drink", (0.25, 0.13, 0.07))))
    return parts


def _mug_profile(rng: Generator, radius: float, tall: float) -> Floats:
    kind = pick(rng, ("straight", "tapered", "round", "waist", "flared"))
    shares = {
        "straight": (1.0, 1.0, 1.0),
        "tapered": (0.76, 0.9, 1.04),
        "round": (0.72, 1.08, 0.92),
        "waist": (1.05, 0.9, 1.0),
        "flared": (0.86, 0.88, 1.14),
    }[kind]
    low, middle, high = (radius * share for share in shares)
    return curve([(low * 0.92, 0.05), (low, 0.6), (middle, tall * 0.45), (high, tall)], 14)


def _mug_handle(rng: Generator, outer: Floats, tall: float) -> Mesh:
    kind = pick(rng, ("round", "square", "ear"))
    high, low = tall * rng.uniform(0.78, 0.88), tall * rng.uniform(0.2, 0.32)
    start, end = (_radius_at(outer, level) - 0.15 for level in (high, low))
    reach = float(outer[:, 0].max()) + rng.uniform(1.8, 3.0)
    middle = (high + low) / 2
    if kind == "round":
        bend = [(reach * 0.9, high * 0.96), (reach, middle), (reach * 0.9, low * 1.2)]
    elif kind == "square":
        bend = [(reach - 0.3, high), (reach, high - 0.4), (reach, low + 0.4), (reach - 0.3, low)]
    else:
        bend = [(reach, high * 1.03), (reach * 1.02, middle * 1.1), (end + 0.7, low * 1.2)]
    knots = [(x, y, 0) for x, y in ((start, high), *bend, (end, low))]
    path = curve(knots, 26 if kind == "square" else 22)
    return sweep(path, rng.uniform(0.38, 0.6), 10, flat=rng.uniform(1.0, 1.7))
