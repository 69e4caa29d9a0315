"""Lamps, laptops and taps. Lengths in centimetres; the front looks towards -Z."""

import numpy as np
from numpy.random import Generator

from render.procedural.assembly import both_sides, join, ring_of
from render.procedural.colors import Scheme, chance, pick, shade
from render.procedural.finishes import covered, glossy, matte, metal, timber
from render.procedural.meshes import Material, Mesh, Pieces
from render.procedural.outlines import curve, rounded_rectangle
from render.procedural.patterns import fabric, keyboard, screen, wrap_print
from render.procedural.shapes import ball, bar, beam, box, cylinder, disc, extrude, lathe, sweep

GLOW = (1.0, 0.93, 0.72)


def lamp(rng: Generator, colors: Scheme) -> Pieces:
    """A table lamp, a floor lamp, a desk lamp with a jointed arm, or a lamp on a bent stem."""
    return pick(rng, (_table_lamp, _table_lamp, _floor_lamp, _desk_lamp, _arc_lamp))(rng, colors)


def _shade(rng: Generator, colors: Scheme, radius: float) -> tuple[Mesh, Material, float]:
    """A lampshade standing on y = 0, its material and its height."""
    kind = pick(rng, ("empire", "drum", "cone", "bell", "pleated"))
    tall = radius * rng.uniform(1.0, 1.5)
    high = {"empire": 0.6, "drum": 0.93, "cone": 0.3, "bell": 0.5, "pleated": 0.65}[kind] * radius
    if kind == "bell":
        side = curve([(radius, 0), (radius * 0.72, tall * 0.3), (high * 1.05, tall * 0.75), (high, tall)], 10)
    else:
        side = np.array([(radius, 0.0), (high, tall)])
    inner = side[::-1] - np.array([radius * 0.03, 0.0])
    mesh = lathe(np.concatenate([side, inner]), 24 if kind != "pleated" else 12)
    if chance(rng, 0.7):
        image = wrap_print(rng, colors.second, colors.accent, colors.body)
        if chance(rng, 0.5):
            cloth = fabric(rng, colors.second, shade(colors.accent, 0.9))
            image = np.concatenate([np.tile(cloth, (1, 3, 1)), cloth[:, :, ::-1]], axis=1)
        return mesh, covered("shade", image), tall
    return mesh, matte("shade", colors.second), tall


def _table_lamp(rng: Generator, colors: Scheme) -> Pieces:
    radius, tall = rng.uniform(12, 18), rng.uniform(22, 36)
    wide = radius * rng.uniform(0.4, 0.62)
    kind = pick(rng, ("vase", "gourd", "column", "block", "cone"))
    foot = disc(wide * 0.9, 1.5)
    if kind == "block":
        trunk = box(wide * 1.3, tall * 0.7, wide * 1.0, 1.0).moved(y=tall * 0.37).projected(25, "y")
    else:
        shares = {
            "vase": [(0.5, 0.0), (1.0, 0.35), (0.85, 0.6), (0.3, 0.85), (0.25, 1.0)],
            "gourd": [(0.6, 0.0), (1.0, 0.22), (0.5, 0.48), (0.68, 0.66), (0.2, 0.9), (0.18, 1.0)],
            "column": [(0.36, 0.0), (0.3, 0.1), (0.3, 0.85), (0.42, 0.95), (0.2, 1.0)],
            "cone": [(1.0, 0.0), (0.8, 0.2), (0.3, 0.8), (0.15, 1.0)],
        }[kind]
        profile = curve([(r * wide, 1.0 + h * tall * 0.75) for r, h in shares], 20)
        trunk = lathe(profile, 24).projected(25, "y")
    stem = cylinder(1.0, tall * 0.5, segments=10).moved(y=tall * 0.6)
    mesh, material, high = _shade(rng, colors, radius)
    level = tall * 0.92
    bulb = ball(radius * 0.26).moved(y=level + high * 0.45)
    return [
        (trunk, timber(rng, "trunk", colors.body, 0.25)),
        (join(foot, stem), metal("stem", colors.metal)),
        (mesh.moved(y=level), material),
        (bulb, matte("bulb", GLOW)),
        *_cord(rng, colors, wide * 0.8),
    ]


def _cord(rng: Generator, colors: Scheme, start: float) -> Pieces:
    """A cord that leaves at the back, and a switch at the front: they tell how the lamp is turned."""
    bend = pick(rng, (-1, 1)) * rng.uniform(3, 7)
    path = [(0, 0.8, start), (bend * 0.3, 0.5, start + 5)]
    path += [(bend, 0.5, start + 10), (bend * 2.2, 0.5, start + 12)]
    knob = box(2.2, 1.6, 2.6, 0.5).moved(0, 1.8, -start * 0.8)
    return [(join(sweep(curve(path, 14), 0.5, 8), knob), matte("cord", colors.dark))]


def _floor_lamp(rng: Generator, colors: Scheme) -> Pieces:
    radius, tall = rng.uniform(15, 21), rng.uniform(65, 95)
    steel = metal("stand", colors.metal) if chance(rng, 0.4) else timber(rng, "stand", colors.body, 0.5)
    if chance(rng, 0.5):
        leg = bar((0, tall * 0.62, 0), (0, 0, -radius * 1.15), 1.5, 1.0)
        stand = join(ring_of(leg, 3), cylinder(1.4, tall * 0.4).moved(y=tall * 0.6))
    else:
        stand = join(disc(radius * 0.75, 2.2), cylinder(1.4, tall))
    mesh, material, high = _shade(rng, colors, radius)
    chain = bar((0, tall * 0.97, -radius * 0.4), (0, tall * 0.72, -radius * 0.4), 0.5)
    pull = ball(1.6, 6, 10).moved(0, tall * 0.72, -radius * 0.4)
    return [
        (stand.projected(30, "y"), steel),
        (mesh.moved(y=tall * 0.95), material),
        (ball(radius * 0.28).moved(y=tall * 0.95 + high * 0.4), matte("bulb", GLOW)),
        (join(chain, pull), glossy("pull", colors.accent)),
    ]


def _desk_lamp(rng: Generator, colors: Scheme) -> Pieces:
    lower, upper = rng.uniform(18, 26), rng.uniform(16, 24)
    back, front = np.radians(rng.uniform(8, 30)), np.radians(rng.uniform(25, 60))
    hip = np.array([0.0, 2.0, 4.0])
    knee = hip + lower * np.array([0, np.cos(back), np.sin(back)])
    head = knee + upper * np.array([0, np.sin(front), -np.cos(front)])
    thick = rng.uniform(0.6, 1.1)
    rods = [bar(a, b, thick * 0.7).moved(x=x) for a, b in ((hip, knee), (knee, head)) for x in (-1.1, 1.1)]
    joint = cylinder(1.7, 4.4, segments=14).turned("z", -90)
    joints = [joint.moved(-2.2, y, z) for _, y, z in (hip, knee, head)]
    size = rng.uniform(5.0, 7.0)
    outer = curve(size * np.array([(0.32, 1.5), (0.45, 0.9), (0.95, 0.3), (1.0, 0.0)]), 10)[::-1]
    bowl = lathe(np.concatenate([outer, outer[::-1] - np.array([0.3, 0.0])]), 24)
    top = lathe([(size * 0.32, size * 1.5), (0, size * 1.55)], 24)
    tilt = rng.uniform(10, 40)
    offset = {"y": float(head[1]) - size * 1.1, "z": float(head[2]) - size * 0.4}
    base = disc(rng.uniform(7, 9.5), 2.0) if chance(rng, 0.6) else box(15, 2.0, 13, 0.8).moved(y=1.0)
    return [
        (join(*rods, *joints), metal("arm", colors.metal)),
        (join(bowl, top).turned("x", tilt).moved(**offset), glossy("shade", colors.body)),
        (ball(size * 0.5).moved(y=size * 0.4).turned("x", tilt).moved(**offset), matte("bulb", GLOW)),
        (base.moved(z=3.0), glossy("base", pick(rng, [colors.body, colors.second]))),
        (cylinder(1.1, 1.0, segments=12).moved(4.0, 1.9, -0.5), glossy("switch", colors.accent)),
    ]


def _arc_lamp(rng: Generator, colors: Scheme) -> Pieces:
    tall, reach = rng.uniform(40, 60), rng.uniform(18, 32)
    path = [(0, 1, reach * 0.5), (0, tall * 0.7, reach * 0.5), (0, tall, 0), (0, tall * 0.86, -reach * 0.5)]
    stem = sweep(curve(path, 24), rng.uniform(0.7, 1.2))
    mesh, material, high = _shade(rng, colors, rng.uniform(8, 11))
    foot = disc(rng.uniform(8, 11), 2.5) if chance(rng, 0.6) else box(16, 2.5, 16, 0.8).moved(y=1.2)
    level = tall * 0.86 - high
    return [
        (stem, metal("stem", colors.metal)),
        (mesh.moved(0, level, -reach * 0.5), material),
        (ball(3.0).moved(0, level + high * 0.4, -reach * 0.5), matte("bulb", GLOW)),
        (foot.moved(z=reach * 0.5), glossy("foot", colors.body)),
    ]


def laptop(rng: Generator, colors: Scheme) -> Pieces:
    """An open laptop: base with keyboard and touch pad, lid with screen and, at the back, a mark."""
    width, depth = rng.uniform(29, 39), rng.uniform(20, 26)
    thick, edge = rng.uniform(1.3, 2.6), rng.uniform(0.3, 0.65)
    opening, radius = rng.uniform(80, 140), rng.uniform(0.6, 2.2)
    case_color = pick(rng, [colors.body, colors.metal, colors.dark])
    case = glossy("case", case_color)
    base = extrude(rounded_rectangle(width, depth, radius), thick, edge).turned("x", 90).moved(y=thick / 2)
    keys_color = colors.dark if sum(case_color) > 0.9 else colors.light
    deck = box(width - 1.6, 0.1, depth - 1.4).moved(y=thick + 0.03).fitted("-x", "+z")
    deck_image = keyboard(rng, shade(case_color, pick(rng, (0.85, 1.1))), keys_color)
    tall = depth * rng.uniform(0.93, 1.0)
    lid = extrude(rounded_rectangle(width, tall, radius), 0.9, 0.3)
    bezel = box(width - 0.8, tall - 0.8, 0.08).moved(z=-0.46)
    border = rng.uniform(0.8, 1.8)
    glass_pane = box(width - 2 * border, tall - 2.2 * border, 0.08).moved(0, 0.3, -0.52).fitted("-x", "+y")
    mark = disc(rng.uniform(1.6, 2.6), 0.12).turned("x", 90).moved(rng.uniform(-1, 1) * width * 0.2, 0, 0.42)
    hinge = np.array([0.0, thick, depth / 2 - 0.4])

    def raised(mesh: Mesh) -> Mesh:
        return mesh.moved(y=tall / 2).turned("x", opening - 90).moved(*hinge)

    barrel = bar((-width * 0.36, thick, hinge[2]), (width * 0.36, thick, hinge[2]), 0.65)
    ports = box(0.4, thick * 0.45, 3.5).moved(width / 2, thick / 2, depth * rng.uniform(-0.1, 0.3))
    return [
        (join(base, raised(lid)), case),
        (deck, covered("keyboard", deck_image, 0.2)),
        (raised(bezel), matte("bezel", colors.dark)),
        (raised(glass_pane), covered("screen", screen(rng), 0.5)),
        (raised(mark), glossy("mark", colors.accent)),
        (join(barrel, ports), matte("bezel", colors.dark)),
    ]


def faucet(rng: Generator, colors: Scheme) -> Pieces:
    """A tap: foot, spout towards the front, one lever or two handles."""
    chrome = metal("chrome", pick(rng, [colors.metal, colors.metal, colors.body]))
    tall, reach, pipe = rng.uniform(13, 25), rng.uniform(12, 18), rng.uniform(0.95, 1.4)
    kind = pick(rng, ("swan", "swan", "square", "low"))
    if kind == "swan":
        turn = np.linspace(0, np.pi, 16)
        arch = np.column_stack([0 * turn, tall + reach / 2 * np.sin(turn), -reach / 2 * (1 - np.cos(turn))])
        mouth = (0, tall - rng.uniform(2, 5), -reach)
        path = np.concatenate([[(0, 0.5, 0), (0, tall * 0.5, 0)], arch, [mouth]])
    elif kind == "square":
        knots = [(0, 0.5, 0), (0, tall - 1.2, 0), (0, tall, -1.2), (0, tall, 1 - reach)]
        path = curve([*knots, (0, tall - 1, -reach), (0, tall - 4, -reach)], 30)
    else:
        tall *= 0.7
        knots = [(0, 0.5, 0), (0, tall * 0.85, 0), (0, tall, -reach * 0.12), (0, tall * 0.9, -reach)]
        path = curve([*knots, (0, tall * 0.7, -reach * 1.04)], 24)
    end = path[-1]
    tip = cylinder(pipe * 1.25, 2.2, segments=16).moved(end[0], end[1] - 1.6, end[2])
    foot = [(0, 0), (pipe * 2.4, 0), (pipe * 2.4, 0.8), (pipe * 1.7, 1.6), (pipe * 1.6, 5.0), (pipe, 5.8)]
    grips = glossy("handles", pick(rng, [colors.accent, colors.body, colors.light]))
    return [
        (join(sweep(path, pipe, 14), lathe(foot, 24)), chrome),
        (tip, matte("tip", colors.dark)),
        *_tap_handles(rng, chrome, grips, colors, pipe),
    ]


def _tap_handles(rng: Generator, chrome: Material, grips: Material, colors: Scheme, pipe: float) -> Pieces:
    if chance(rng, 0.4):
        stub = bar((0, 3.6, 0), (pipe * 2.6, 3.6, 0), pipe * 1.1, sides=16)
        lever = bar((pipe * 2.4, 3.6, 0), (pipe * 2.6 + 2.5, rng.uniform(8, 12), 0), 0.9, 0.6)
        return [(stub, chrome), (lever, grips), (ball(1.0).moved(pipe * 2.6 + 2.5, 10.0, 0), grips)]
    apart = rng.uniform(6, 9)
    bridge = beam((-apart, 1.2, 0), (apart, 1.2, 0), 2.4)
    riser = lathe([(2.0, 0), (1.9, 1.8), (1.2, 2.4), (1.2, 5.0)], 16)
    if chance(rng, 0.5):
        cross = [bar((-2.8, 0, 0), (2.8, 0, 0), 0.65), bar((0, 0, -2.8), (0, 0, 2.8), 0.65)]
        knob = join(*cross, ball(1.3, 6, 12))
    else:
        knob = lathe([(0.9, -0.8), (2.3, -0.5), (2.4, 1.2), (1.9, 1.6), (0, 1.7)], 16)
    knob = knob.turned("y", 20).moved(apart, 5.6)
    spot = disc(0.8, 0.3, segments=12).moved(y=7.1)
    return [
        (join(bridge, both_sides(riser.moved(x=apart))), chrome),
        (both_sides(knob), grips),
        (spot.moved(-apart), glossy("cold", (0.10, 0.25, 0.75))),
        (spot.moved(apart), glossy("hot", (0.78, 0.08, 0.08))),
    ]
