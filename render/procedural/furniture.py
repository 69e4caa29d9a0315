"""Chairs, tables, beds and sofas. Lengths are in metres; y = 0 is the floor."""

import numpy as np
from numpy.random import Generator

from render.procedural.assembly import both_sides, corners, in_row, join, ring_of, row_of
from render.procedural.colors import Scheme, chance, pick
from render.procedural.finishes import cloth, glossy, matte, metal, timber, wooden
from render.procedural.meshes import Material, Mesh, Pieces
from render.procedural.outlines import curve, ellipse, rounded_rectangle
from render.procedural.shapes import bar, beam, box, cylinder, disc, extrude, sweep

GRAIN = 0.45  # metres of wood that one image of grain covers
WEAVE = 0.4  # metres of cloth that one image of fabric covers


def chair(rng: Generator, colors: Scheme) -> Pieces:
    """A dining, lounge or office chair: seat, back, legs, sometimes arms."""
    width, depth = rng.uniform(0.42, 0.56), rng.uniform(0.40, 0.54)
    height, thick = rng.uniform(0.40, 0.52), rng.uniform(0.035, 0.09)
    frame = timber(rng, "frame", colors.body, 0.45)
    covering = cloth(rng, "seat", colors.second, colors.accent, 0.45)
    outline = rounded_rectangle(width, depth, rng.uniform(0.02, 0.16), 6)
    seat = extrude(outline, thick, thick * 0.35).turned("x", 90).moved(y=height).projected(WEAVE)
    parts = [(seat, covering)]
    if chance(rng, 0.25):
        parts += _swivel_foot(rng, colors, height - thick / 2)
    else:
        legs = _chair_legs(rng, width, depth, height - thick / 2).projected(GRAIN, "y")
        parts.append((legs, frame))
    parts += _chair_back(rng, frame, covering, width, depth, height)
    if chance(rng, 0.4):
        parts.append((_chair_arms(rng, width, depth, height).projected(GRAIN, "z"), frame))
    return parts


def _chair_legs(rng: Generator, width: float, depth: float, height: float) -> Mesh:
    kind = pick(rng, ("square", "tapered", "splayed", "sled"))
    x, z, thick = width / 2 - 0.05, depth / 2 - 0.05, rng.uniform(0.022, 0.042)
    if kind == "sled":
        loop = curve([(x, height, -z), (x, 0.02, -z - 0.02), (x, 0.02, z + 0.02), (x, height, z)], 24)
        return both_sides(sweep(loop, thick * 0.55))
    spread = rng.uniform(0.03, 0.09) if kind == "splayed" else 0.0
    square = kind == "square"
    legs = []
    for front in (-1, 1):
        ends = (x, height, front * z), (x + spread, 0.0, front * (z + spread))
        legs.append(beam(*ends, thick * 1.3) if square else bar(*ends, thick * 0.8, thick * 0.45))
    if chance(rng, 0.4):
        share = rng.uniform(0.3, 0.6)
        rail_x = x + spread * (1 - share)
        legs.append(beam((rail_x, height * share, -z), (rail_x, height * share, z), thick * 0.7))
    return both_sides(*legs)


def _swivel_foot(rng: Generator, colors: Scheme, height: float) -> Pieces:
    count, reach = int(rng.integers(4, 6)), rng.uniform(0.24, 0.30)
    steel, rubber = metal("column", colors.metal), matte("castors", colors.dark)
    column = cylinder(0.03, height - 0.06, 0.022).moved(y=0.06)
    spoke = beam((0, 0.10, 0), (0, 0.065, -reach), 0.05, 0.03)
    castor = disc(0.032, 0.04).turned("z", 90).moved(0.02, 0.032, -reach)
    return [(column, steel), (ring_of(spoke, count), steel), (ring_of(castor, count), rubber)]


def _chair_back(
    rng: Generator, frame: Material, covering: Material, width: float, depth: float, seat: float
) -> Pieces:
    kind = pick(rng, ("panel", "slats", "spindles", "ladder", "cushion", "hoop"))
    tall, lean = rng.uniform(0.38, 0.62), rng.uniform(4, 16)
    half, thick = width / 2 - 0.03, rng.uniform(0.02, 0.032)
    posts = [bar((x, 0, 0), (x, tall, 0), thick) for x in (half, -half)]
    wood: list[Mesh] = []
    soft: list[Mesh] = []
    if kind == "panel":
        outline = rounded_rectangle(width, tall * 0.62, rng.uniform(0.03, 0.16))
        soft.append(extrude(outline, 0.05, 0.018).moved(y=tall * 0.72))
        wood += [post.scaled(0.6, 0.6, 1) for post in posts]
    elif kind == "cushion":
        soft.append(box(width, tall, 0.10, 0.045, 3).moved(y=tall / 2))
    elif kind == "hoop":
        arch = [(-half, 0, 0), (-half, tall * 0.6, 0), (-half * 0.6, tall * 0.95, 0), (0, tall, 0)]
        arch += [(-x, y, z) for x, y, z in arch[-2::-1]]
        wood.append(sweep(curve(arch, 28), thick))
        wood += [
            bar((x, 0, 0), (x, tall * (1 - 0.9 * (x / width) ** 2) - 0.01, 0), thick * 0.5)
            for x in np.linspace(-half, half, int(rng.integers(5, 8)))[1:-1]
        ]
    elif kind == "ladder":
        levels = np.linspace(tall * 0.35, tall * 0.92, int(rng.integers(2, 5)))
        wood += posts + [box(2 * half, 0.07, 0.022, 0.008).moved(y=level) for level in levels]
    else:
        count = int(rng.integers(3, 7))
        wood += [*posts, box(width, 0.08, 0.035, 0.012).moved(y=tall)]
        spindle = bar((0, -tall / 2, 0), (0, tall / 2, 0), 0.011)
        slat = box(0.045, tall, 0.016, 0.005) if kind == "slats" else spindle
        wood += [slat.moved(x, tall / 2) for x in np.linspace(-half, half, count + 2)[1:-1]]
    return [
        (join(*meshes).projected(GRAIN, "y").turned("x", lean).moved(y=seat, z=depth / 2 - 0.03), material)
        for meshes, material in ((wood, frame), (soft, covering))
        if meshes
    ]


def _chair_arms(rng: Generator, width: float, depth: float, height: float) -> Mesh:
    x, rise, z = width / 2 + 0.015, rng.uniform(0.18, 0.25), depth / 2 - 0.06
    if chance(rng, 0.5):
        path = [(x, height - 0.03, -z), (x, height + rise, -z + 0.02), (x, height + rise + 0.01, z + 0.06)]
        return both_sides(sweep(curve(path, 16), 0.02, flat=1.3))
    rest = box(0.06, 0.03, depth, 0.012).moved(x, height + rise, 0.02)
    return both_sides(rest, beam((x, height - 0.03, -z), (x, height + rise, -z), 0.032))


def table(rng: Generator, colors: Scheme) -> Pieces:
    """A dining, coffee or side table: a top of some outline on legs, a pedestal or trestles."""
    width, depth = rng.uniform(0.7, 1.8), rng.uniform(0.6, 0.95)
    height, thick = rng.uniform(0.42, 0.80), rng.uniform(0.025, 0.07)
    outline = pick(rng, ("square", "square", "rounded", "oval", "round", "hexagon"))
    if outline in ("round", "hexagon"):
        width = depth = rng.uniform(0.7, 1.2)
    rim = {
        "square": rounded_rectangle(width, depth, 0.012, 2),
        "rounded": rounded_rectangle(width, depth, rng.uniform(0.08, 0.25), 6),
        "oval": ellipse(width, depth, 36),
        "round": ellipse(width, depth, 36),
        "hexagon": ellipse(width, depth, 6),
    }[outline]
    top = extrude(rim, thick, thick * 0.2).turned("x", 90).moved(y=height - thick / 2)
    board = timber(rng, "top", colors.body, 0.6)
    stand = glossy("stand", colors.second) if chance(rng, 0.5) else metal("stand", colors.metal)
    parts = [(top.projected(0.6), board)]
    share = 0.66 if outline in ("oval", "round", "hexagon") else 0.90
    parts.append((_table_stand(rng, width * share, depth * share, height - thick), stand))
    if share > 0.8:
        parts += _table_extras(rng, colors, width, depth, height - thick)
    elif chance(rng, 0.7):
        runner = box(width * 0.28, 0.008, depth * 0.86, 0.003).moved(y=height + 0.005).projected(WEAVE)
        parts.append((runner, cloth(rng, "runner", colors.accent, colors.light, 0.3)))
    return parts


def _table_stand(rng: Generator, width: float, depth: float, height: float) -> Mesh:
    kind = pick(rng, ("four", "four", "splayed", "pedestal", "trestle", "frame"))
    x, z, thick = width / 2 - 0.03, depth / 2 - 0.03, rng.uniform(0.02, 0.045)
    if kind == "pedestal":
        column = cylinder(thick * 1.6, height, thick * 1.2)
        cross = ring_of(beam((0, 0.05, 0), (0, 0.02, -z), 0.07, 0.04), 4)
        return join(column, disc(min(x, z) * 0.8, 0.03) if chance(rng, 0.5) else cross)
    if kind == "trestle":
        board = box(0.045, height, depth * 0.8, 0.01).moved(x * 0.85, height / 2)
        return join(both_sides(board), box(x * 1.7, 0.10, 0.03, 0.008).moved(y=height * 0.45))
    if kind == "frame":
        foot = beam((x, thick / 2, -z), (x, thick / 2, z), thick)
        legs = [beam((x, 0, side * z), (x, height, side * z), thick) for side in (-1, 1)]
        return both_sides(foot, *legs)
    spread = rng.uniform(0.05, 0.12) if kind == "splayed" else 0.0
    square = kind == "four" and chance(rng, 0.5)
    legs = []
    for side in (-1, 1):
        ends = (x - spread, height, side * (z - spread)), (x, 0.0, side * z)
        legs.append(beam(*ends, thick * 1.8, thick * 1.4) if square else bar(*ends, thick, thick * 0.6))
    return both_sides(*legs)


def _table_extras(rng: Generator, colors: Scheme, width: float, depth: float, height: float) -> Pieces:
    """Makes what tells a rectangular table's front from its back: drawers, or a cloth that lies off the middle."""
    kind = pick(rng, ("drawers", "drawers", "runner", "shelf"))
    if kind == "runner":
        runner = box(width * 0.3, 0.008, depth + 0.01, 0.003).moved(width * 0.12, height + 0.075)
        return [(runner.projected(WEAVE), cloth(rng, "runner", colors.accent, colors.light, 0.3))]
    if kind == "shelf":
        shelf = box(width * 0.84, 0.025, depth * 0.76, 0.005).moved(y=height * 0.3).projected(0.6)
        return [(shelf, timber(rng, "shelf", colors.accent, 0.4))]
    tall, count = rng.uniform(0.09, 0.16), int(rng.integers(1, 4))
    apron = box(width * 0.84, tall, depth * 0.8, 0.006).moved(y=height - tall / 2)
    pitch = width * 0.84 / count
    drawer = box(pitch * 0.88, tall * 0.76, 0.02, 0.005).moved(y=height - tall / 2, z=-depth * 0.4 - 0.006)
    knob = box(0.09, 0.018, 0.03, 0.008).moved(y=height - tall / 2, z=-depth * 0.4 - 0.028)
    return [
        (apron, glossy("apron", colors.second)),
        (row_of(drawer, count, pitch), glossy("drawers", colors.accent)),
        (row_of(knob, count, pitch), metal("knobs", colors.metal)),
    ]


def bed(rng: Generator, colors: Scheme) -> Pieces:
    """A single or double bed: frame, mattress, blanket, pillows, headboard, sometimes a foot or posts.

    The foot is the front.
    """
    width, length = pick(rng, (rng.uniform(0.9, 1.1), rng.uniform(1.5, 1.9))), rng.uniform(1.95, 2.15)
    deck, thick = rng.uniform(0.24, 0.42), rng.uniform(0.17, 0.28)
    frame = timber(rng, "frame", colors.body, 0.5)
    rails = box(width + 0.06, 0.16, length + 0.04, 0.02).moved(y=deck - 0.08)
    legs = [beam((x, 0, z), (x, deck, z), 0.07) for x, z in corners(width / 2, length / 2)]
    head = _headboard(rng, width, deck + thick).moved(z=length / 2 + 0.03)
    wood = [rails, *legs, head]
    if chance(rng, 0.45):
        tall = thick * rng.uniform(0.7, 1.5)
        foot = box(width + 0.06, tall + 0.16, 0.05, 0.015)
        wood.append(foot.moved(0, deck + tall / 2 - 0.08, -length / 2 - 0.03))
    elif chance(rng, 0.3):
        post = rng.uniform(1.1, 1.6)
        wood += [bar((x, 0, z), (x, post, z), 0.04, 0.025) for x, z in corners(width / 2, length / 2)]
    mattress = box(width, thick, length, 0.06, 3).moved(y=deck + thick / 2)
    return [
        (join(*wood).projected(0.7), frame),
        (mattress, matte("mattress", colors.light)),
        *_bedding(rng, colors, width, length, deck + thick, thick),
    ]


def _headboard(rng: Generator, width: float, level: float) -> Mesh:
    tall, full = level + rng.uniform(0.25, 0.6), width + 0.06
    kind = pick(rng, ("panel", "arch", "slats", "tufted"))
    if kind == "panel":
        return box(full, tall, 0.06, 0.02).moved(y=tall / 2)
    if kind == "tufted":
        count = int(rng.integers(3, 6))
        pad = box(full / count * 0.97, tall * 0.95, 0.12, 0.05, 3).moved(y=tall / 2)
        return row_of(pad, count, full / count)
    if kind == "arch":
        x = np.linspace(full / 2, -full / 2, 17)
        top = np.column_stack([x, level + (tall - level) * (0.35 + 0.65 * np.cos(np.pi * x / full))])
        return extrude(np.concatenate([[(-full / 2, 0), (full / 2, 0)], top]), 0.06, 0.015)
    posts = [beam((x, 0, 0), (x, tall, 0), 0.07) for x in (-full / 2, full / 2)]
    middles = np.linspace(-full / 2, full / 2, int(rng.integers(6, 10)))
    bars = [bar((x, level * 0.6, 0), (x, tall, 0), 0.016) for x in middles]
    return join(*posts, *bars, beam((-full / 2, tall, 0), (full / 2, tall, 0), 0.07))


def _bedding(rng: Generator, colors: Scheme, width: float, length: float, top: float, thick: float) -> Pieces:
    share = rng.uniform(0.5, 0.74)
    blanket = box(width + 0.05, thick * 0.85, length * share + 0.03, 0.07, 3)
    blanket = blanket.moved(0, top - thick * 0.85 / 2 + 0.03, -length * (1 - share) / 2 - 0.01)
    edge = box(width + 0.07, thick * 0.7, 0.22, 0.05, 3)
    edge = edge.moved(0, top - thick * 0.35 + 0.05, -length / 2 + length * share - 0.1)
    count = 2 if width > 1.3 else 1
    soft = matte("pillows", pick(rng, [colors.light, colors.light, colors.accent]))
    parts = [
        (blanket.projected(WEAVE * 1.5), cloth(rng, "blanket", colors.second, colors.accent, 0.35)),
        (edge, matte("hem", colors.accent)),
    ]
    for x in in_row(count, width * 0.48):
        pillow = box(min(0.62, width * 0.44 if count == 2 else width * 0.7), 0.13, 0.40, 0.064, 4)
        pillow = pillow.turned("x", -12).turned("y", rng.uniform(-8, 8))
        parts.append((pillow.moved(x, top + 0.06, length / 2 - 0.27), soft))
    return parts


def sofa(rng: Generator, colors: Scheme) -> Pieces:
    """A sofa or armchair: base, cushions, back, arms, feet, sometimes a chaise at one end."""
    seats = int(pick(rng, (1, 2, 2, 3, 3)))
    width, depth = seats * rng.uniform(0.58, 0.72), rng.uniform(0.75, 0.95)
    foot, seat, back = rng.uniform(0.05, 0.16), rng.uniform(0.36, 0.46), rng.uniform(0.72, 0.95)
    cover = cloth(rng, "cover", colors.body, colors.second, 0.6)
    arm, arm_tall = rng.uniform(0.11, 0.24), rng.uniform(0.52, 0.68)
    base = box(width + 0.02, seat - 0.14 - foot, depth, 0.03).moved(y=(seat - 0.14 + foot) / 2)
    rest = box(width + 0.02, back - foot, 0.2, 0.07, 3).turned("x", 7)
    rest = rest.moved(0, (back + foot) / 2, depth / 2 - 0.08)
    arms = both_sides(_sofa_arm(rng, arm, arm_tall, depth, foot).moved(x=width / 2 + arm / 2))
    shell = join(base, rest, arms).projected(WEAVE)
    pads = cloth(rng, "cushions", pick(rng, [colors.body, colors.second]), colors.light, 0.7)
    parts = [
        (shell, cover),
        (_sofa_cushions(rng, seats, width, depth, seat, back).projected(WEAVE), pads),
    ]
    if seats > 1 and chance(rng, 0.35):
        side, long = pick(rng, (-1, 1)), rng.uniform(0.45, 0.75)
        wide = width / seats
        chaise = box(wide, seat - foot, long, 0.06, 3)
        chaise = chaise.moved(side * (width - wide) / 2, (seat + foot) / 2, -depth / 2 - long / 2 + 0.03)
        parts.append((chaise.projected(WEAVE), cover))
    feet = [
        bar((x, foot + 0.05, z), (x * 1.02, 0, z * 1.03), 0.035, 0.022)
        for x, z in corners(width / 2 + arm / 2, depth / 2 - 0.07)
    ]
    parts.append((join(*feet), wooden(rng, "feet") if chance(rng, 0.4) else metal("feet", colors.metal)))
    return parts + _throw_pillows(rng, colors, seats, width, depth, seat)


def _sofa_arm(rng: Generator, arm: float, tall: float, depth: float, foot: float) -> Mesh:
    kind = pick(rng, ("box", "roll", "slope"))
    if kind == "box":
        return box(arm, tall - foot, depth, 0.04, 3).moved(y=(tall + foot) / 2)
    if kind == "roll":
        radius = arm * 0.62
        level = tall - radius * 0.7
        roll = bar((0, level, -depth / 2), (0, level, depth / 2), radius, sides=18)
        panel = box(arm * 0.9, tall - foot - radius, depth * 0.98, 0.02)
        return join(roll, panel.moved(y=(tall - radius + foot) / 2))
    side = [(-depth / 2, foot), (depth / 2, foot), (depth / 2, tall + 0.12), (-depth / 2 + 0.12, tall - 0.02)]
    side += [(-depth / 2, tall - 0.12)]
    return extrude(side, arm, 0.03).turned("y", -90)


def _sofa_cushions(rng: Generator, seats: int, width: float, depth: float, seat: float, back: float) -> Mesh:
    pitch, tall = width / seats, back - seat - rng.uniform(-0.02, 0.08)
    cushions = []
    for x in in_row(seats, pitch):
        cushions.append(box(pitch * 0.98, 0.17, depth * 0.86, 0.06, 3).moved(x, seat - 0.07, -depth * 0.08))
        rest = box(pitch * 0.95, tall, 0.17, 0.07, 3).turned("x", 11)
        cushions.append(rest.moved(x, seat + tall / 2, depth / 2 - 0.23))
    return join(*cushions)


def _throw_pillows(
    rng: Generator, colors: Scheme, seats: int, width: float, depth: float, seat: float
) -> Pieces:
    parts = []
    soft = cloth(rng, "pillow", colors.accent, colors.light, 0.4)
    square = box(0.38, 0.38, 0.13, 0.06, 3).projected(0.38)
    for side in pick(rng, ((-1,), (1,), (-1, 1))):
        if seats == 1 and chance(rng, 0.4):
            continue
        pillow = square.turned("z", rng.uniform(-20, 20)).turned("x", 22)
        parts.append((pillow.moved(side * (width / 2 - 0.22), seat + 0.18, depth / 2 - 0.38), soft))
    return parts
