"""Aeroplanes and rockets. Lengths in metres; aeroplanes fly towards -Z, rockets towards +Y."""

import numpy as np
from numpy.random import Generator

from render.procedural.assembly import both_sides, join, ring_of
from render.procedural.colors import Scheme, chance, pick
from render.procedural.finishes import covered, glass, glossy, matte, metal
from render.procedural.meshes import Mesh, Pieces
from render.procedural.outlines import curve
from render.procedural.patterns import fuselage, wrap_print
from render.procedural.shapes import ball, bar, box, disc, extrude, lathe, wing


def airplane(rng: Generator, colors: Scheme) -> Pieces:
    """An airliner, a small propeller plane or a fighter."""
    return pick(rng, (_airliner, _airliner, _propeller, _fighter))(rng, colors)


def _tube(profile: np.ndarray, segments: int = 24) -> Mesh:
    """A body of revolution whose profile runs from the tail to the nose, laid down with its nose at -Z."""
    return lathe(profile, segments).turned("x", -90)


def _airliner(rng: Generator, colors: Scheme) -> Pieces:
    length, radius = rng.uniform(26, 40), rng.uniform(1.6, 2.3)
    half = length / 2
    nose = half - radius * 2.2
    profile = [(0.05, -half), (radius * 0.35, -half * 0.9), (radius * 0.85, -half * 0.55)]
    profile += [(radius, -half * 0.3), (radius, nose)]
    rounding = np.linspace(0, np.pi / 2, 8)[1:]
    front = np.stack([radius * np.cos(rounding), nose + radius * 2.2 * np.sin(rounding)], axis=1)
    image = fuselage(rng, colors.body, colors.accent, colors.second)
    body = _tube(np.concatenate([curve(profile, 14), front]))
    span, sweep_back = length * rng.uniform(0.42, 0.52), rng.uniform(0.35, 0.62)
    chord = length * rng.uniform(0.17, 0.23)
    middle = -length * rng.uniform(0.0, 0.06)
    rise = rng.uniform(0.04, 0.14) * span
    tip = (span, rise - radius * 0.45, middle + span * sweep_back)
    surfaces = [wing((0, -radius * 0.45, middle), tip, (chord, chord * 0.3), chord * 0.12)]
    if chance(rng, 0.5):
        surfaces.append(bar(tip, (span + 0.2, rise + radius * 0.5, tip[2] + 0.9), 0.35, 0.12))
    tee = chance(rng, 0.3)
    surfaces.append(_tailplane(length, radius, tee))
    fin_ends = (0, radius * 0.3, half * 0.74), (0, radius * 3.4, half * 0.96)
    fin = wing(*fin_ends, (length * 0.17, length * 0.08), 0.45)
    windscreen = box(radius * 0.95, radius * 0.26, radius * 0.9, radius * 0.1).turned("x", 33)
    return [
        (body, covered("body", image, 0.4)),
        (both_sides(*surfaces), glossy("wings", pick(rng, [colors.body, colors.light, colors.second]))),
        (fin, glossy("fin", colors.accent)),
        (windscreen.moved(0, radius * 0.60, -half + radius * 1.05), glass("windscreen")),
        *_jets(rng, colors, length, radius, None if tee else (middle, span, sweep_back)),
    ]


def _tailplane(length: float, radius: float, tee: bool) -> Mesh:
    y = radius * 3.2 if tee else radius * 0.25
    z = length * (0.475 if tee else 0.40)
    reach = length * 0.17
    return wing((0, y, z), (reach, y + reach * 0.08, z + reach * 0.5), (length * 0.11, length * 0.05), 0.4)


def _jets(
    rng: Generator, colors: Scheme, length: float, radius: float, wings: tuple[float, float, float] | None
) -> Pieces:
    """Engines under wings of a given z at the root, span and sweep; None puts them at the tail."""
    size = radius * rng.uniform(0.5, 0.68)
    shape = [(0.55, -1.9), (0.95, -0.6), (1.0, 0.9), (0.86, 1.3), (0.7, 1.2), (0.0, 0.9)]
    nacelle = _tube(size * np.array(shape), 18)
    mouth = disc(size * 0.72, 0.05).turned("x", -90)
    if wings is None:
        positions = [(radius + size * 0.75, radius * 0.45, length * 0.27)]
    else:
        middle, span, sweep_back = wings
        shares = (0.34, 0.62) if chance(rng, 0.4) else (0.36,)
        drop = radius * 0.45 + size * 1.0
        positions = [
            (span * share, span * share * 0.09 - drop, middle + span * share * sweep_back - length * 0.07)
            for share in shares
        ]
    engines = [nacelle.moved(*position) for position in positions]
    intakes = [mouth.moved(x, y, z - 1.22 * size) for x, y, z in positions]
    return [
        (both_sides(*engines), metal("engines", pick(rng, [colors.metal, colors.accent]))),
        (both_sides(*intakes), matte("intakes", colors.dark)),
    ]


def _propeller(rng: Generator, colors: Scheme) -> Pieces:
    length, radius = rng.uniform(7.0, 8.6), rng.uniform(0.55, 0.70)
    half, high = length / 2, chance(rng, 0.55)
    profile = [(0.04, -half), (radius * 0.5, -half * 0.45), (radius, 0.1)]
    profile += [(radius, half * 0.5), (radius * 0.72, half * 0.9), (0.1, half)]
    body = _tube(curve(profile, 18)).scaled(y=1.12)
    span, chord = rng.uniform(4.2, 5.4), rng.uniform(1.2, 1.6)
    level, z = (radius * 1.25, -half * 0.32) if high else (-radius * 0.6, -half * 0.25)
    main = wing((0, level, z), (span, level + (0.1 if high else 0.5), z + 0.1), (chord, chord * 0.75), 0.2)
    tail = wing((0, 0.15, half * 0.86), (1.6, 0.15, half * 0.92), (1.0, 0.6), 0.1)
    fin = wing((0, 0.1, half * 0.84), (0, 1.5, half * 0.97), (1.2, 0.6), 0.1)
    surfaces = [both_sides(main, tail), fin]
    if chance(rng, 0.25) and not high:
        upper = wing((0, radius * 2.1, z), (span, radius * 2.1 + 0.1, z), (chord, chord * 0.8), 0.16)
        struts = [
            bar((span * 0.7, level + 0.3, z + d), (span * 0.7, radius * 2.1, z + d), 0.05)
            for d in (-0.4, 0.4)
        ]
        struts += [bar((0.35, 0, z + d), (0.5, radius * 2.1, z + d), 0.05) for d in (-0.4, 0.4)]
        surfaces.append(both_sides(upper, *struts))
    cabin = ball(1.0, 10, 18).scaled(radius * 0.86, radius * 0.85, 1.15).moved(0, radius * 0.62, -half * 0.22)
    image = fuselage(rng, colors.body, colors.accent, colors.second)
    image[90:] = image[60]  # a small plane has no row of windows
    wings = glossy("wings", pick(rng, [colors.body, colors.second]))
    return [
        (body, covered("body", image, 0.4)),
        (join(*surfaces), wings),
        (cabin, glass("cabin")),
        *_airscrew(rng, colors, half),
        *_landing_gear(colors, radius, half),
    ]


def _airscrew(rng: Generator, colors: Scheme, half: float) -> Pieces:
    blades = int(rng.integers(2, 5))
    blade = box(0.17, 1.15, 0.05, 0.02).turned("y", 25).moved(y=0.62)
    screw = ring_of(blade, blades, "z", rng.uniform(0, 90)).moved(z=-half - 0.12)
    spinner = _tube(curve([(0.2, 0.0), (0.17, 0.2), (0.0, 0.42)], 6), 16).moved(z=-half + 0.05)
    return [
        (screw, matte("screw", colors.dark)),
        (spinner, glossy("spinner", colors.accent)),
    ]


def _landing_gear(colors: Scheme, radius: float, half: float) -> Pieces:
    leg = bar((0.3, -radius * 0.7, -half * 0.15), (1.05, -radius * 2.0, -half * 0.12), 0.07)
    tire = disc(0.26, 0.18).turned("z", 90)
    wheels = both_sides(tire.moved(1.2, -radius * 2.05, -half * 0.12))
    nose = tire.moved(0.09, -radius * 2.05, -half * 0.82)
    strut = bar((0, -radius * 0.5, -half * 0.8), (0, -radius * 2.05, -half * 0.82), 0.06)
    return [
        (join(both_sides(leg), strut), metal("gear", colors.metal)),
        (join(wheels, nose), matte("tyres", colors.dark)),
    ]


def _fighter(rng: Generator, colors: Scheme) -> Pieces:
    length, radius = rng.uniform(13, 16), rng.uniform(0.85, 1.1)
    half = length / 2
    profile = [(radius * 0.7, -half), (radius, -half * 0.55), (radius, 0.0)]
    profile += [(radius * 0.62, half * 0.55), (0.03, half)]
    body = _tube(curve(profile, 16)).scaled(x=1.15)
    span, chord = rng.uniform(4.2, 6.0), rng.uniform(5.0, 7.0)
    tip = (span, -0.2, half * rng.uniform(0.35, 0.55))
    main = wing((0, -0.1, half * 0.2), tip, (chord, chord * 0.22), 0.3)
    tail = wing((0, 0, half * 0.78), (span * 0.5, 0, half * 0.98), (2.4, 1.0), 0.2)
    surfaces = [both_sides(main, tail)]
    if chance(rng, 0.5):
        surfaces.append(both_sides(wing((0.8, 0.3, half * 0.66), (1.5, 2.8, half * 0.86), (3.0, 1.2), 0.2)))
    else:
        surfaces.append(wing((0, 0.3, half * 0.62), (0, 3.2, half * 0.9), (3.6, 1.4), 0.22))
    canopy = ball(1.0, 10, 18).scaled(radius * 0.62, radius * 0.75, length * 0.11)
    intake = box(radius * 0.8, radius * 1.1, length * 0.32, 0.15).moved(radius * 1.15, -0.1, -half * 0.02)
    nozzle = _tube(np.array([(radius * 0.5, -1.0), (radius * 0.72, 0.0)]), 18).moved(z=half)
    missiles = bar((span, -0.2, half * 0.1), (span, -0.2, half * 0.62), 0.14)
    image = fuselage(rng, colors.body, colors.body, colors.second)
    image[40:] = image[30]
    return [
        (body, covered("body", image)),
        (join(*surfaces, both_sides(intake)), matte("wings", pick(rng, [colors.body, colors.second]))),
        (canopy.moved(0, radius * 0.62, -half * 0.34), glass("canopy")),
        (nozzle, metal("nozzle", (0.25, 0.25, 0.27))),
        (both_sides(missiles), glossy("missiles", colors.accent)),
    ]


def rocket(rng: Generator, colors: Scheme) -> Pieces:
    """A space rocket: body, nose, fins, nozzle, a hatch at the front, sometimes boosters."""
    tall, radius = rng.uniform(8, 13), rng.uniform(0.9, 1.5)
    cone = rng.uniform(1.8, 3.6) * radius
    belly = rng.uniform(1.0, 1.3) if chance(rng, 0.4) else 1.0
    neck = radius * 0.92
    side = curve([(radius * 0.8, 0), (radius * belly, tall * 0.3), (radius, tall * 0.7), (neck, tall)], 14)
    peak = curve([(neck, tall), (neck * 0.72, tall + cone * 0.45), (0.0, tall + cone)], 10)
    bell = [(radius * 0.45, 0.05), (radius * 0.5, -0.3), (radius * 0.75, -radius * 0.9)]
    bell += [(radius * 0.6, -radius * 0.88), (0, -0.1)]
    image = wrap_print(rng, colors.body, colors.second, colors.accent)
    tip = glossy("nose", colors.accent)
    parts = [
        (join(lathe(side, 28), lathe([(0, 0), (radius * 0.8, 0)], 28)), covered("body", image, 0.4)),
        (lathe(peak, 28), tip),
        (lathe(bell, 20), metal("nozzle", (0.3, 0.3, 0.33))),
        (_fins(rng, tall, radius), glossy("fins", colors.second)),
    ]
    if chance(rng, 0.7):
        level, size = tall * rng.uniform(0.72, 0.8), radius * rng.uniform(0.32, 0.42)
        frame = disc(size * 1.3, 0.3).turned("x", -90).moved(0, level, -radius * 0.86)
        pane = disc(size, 0.3).turned("x", -90).moved(0, level, -radius * 0.90)
        parts += [(frame, metal("frame", colors.metal)), (pane, glass("window"))]
    if chance(rng, 0.4):
        high, size = tall * rng.uniform(0.4, 0.65), radius * 0.42
        dome = curve([(size, high), (size * 0.6, high + 0.8), (0, high + 1.3)], 6)
        tank = lathe(np.concatenate([[(0, -0.4), (size, -0.4)], dome]), 16)
        parts.append((both_sides(tank.moved(x=radius * belly + size * 0.8)), tip))
    return parts


def _fins(rng: Generator, tall: float, radius: float) -> Mesh:
    count = int(pick(rng, (3, 4, 4)))
    reach, high, drop = radius * rng.uniform(0.9, 1.7), tall * rng.uniform(0.2, 0.36), rng.uniform(0.2, 1.0)
    if chance(rng, 0.5):
        lower = [(radius * 0.5, 0.1), (radius + reach, -drop), (radius + reach, high * 0.35)]
    else:
        lower = [(radius * 0.5, 0.3), (radius + reach * 0.5, -0.1)]
        lower += [(radius + reach, -drop - 0.4), (radius + reach * 0.95, high * 0.3)]
    blade = extrude([*lower, (radius * 0.6, high)], 0.2, 0.05)
    return ring_of(blade, count, start=45)
