"""Chairs, tables, beds and sofas. Lengths are in metres; y = 0 is the floor."""

import numpy as np

from render.procedural.colors import Scheme, chance, pick, scheme
from render.procedural.finishes import cloth, glossy, matte, metal, timber, wooden
from render.procedural.meshes import Material, Mesh, MeshPart, both_sides, join
from render.procedural.shapes import (
    bar,
    beam,
    box,
    curve,
    cylinder,
    disc,
    ellipse,
    extrude,
    rounded_rectangle,
    sweep,
)

GRAIN = 0.45  # metres of wood that one image of grain covers
WEAVE = 0.4  # metres of cloth that one image of fabric covers


def chair(rng: np.random.Generator) -> list[MeshPart]:
    """A dining, lounge or office chair: seat, back, legs, sometimes arms."""
    colors = scheme(rng)
    width, depth = rng.uniform(0.42, 0.56), rng.uniform(0.40, 0.54)
    height, thick = rng.uniform(0.40, 0.52), rng.uniform(0.035, 0.09)
    frame = timber(rng, "frame", colors.body, 0.45)
    covering = cloth(rng, "seat", colors.second, colors.accent, 0.45)
    outline = rounded_rectangle(width, depth, rng.uniform(0.02, 0.16), 6)
    seat = extrude(outline, thick, thick * 0.35).turned("x", 90).moved(y=height).projected(WEAVE)
    parts = [MeshPart(seat, covering)]
    if chance(rng, 0.25):
        parts += _swivel_foot(rng, colors, height - thick / 2)
    else:
        legs = _chair_legs(rng, width, depth, height - thick / 2).projected(GRAIN, "y")
        parts.append(MeshPart(legs, frame))
    parts += _chair_back(rng, frame, covering, width, depth, height)
    if chance(rng, 0.4):
        parts.append(MeshPart(_chair_arms(rng, width, depth, height).projected(GRAIN, "z"), frame))
    return parts


def _chair_legs(rng: np.random.Generator, width: float, depth: float, height: float) -> Mesh:
    kind = pick(rng, ("square", "tapered", "splayed", "sled"))
    x, z, thick = width / 2 - 0.05, depth / 2 - 0.05, rng.uniform(0.022, 0.042)
    if kind == "sled":
        loop = curve([(x, height, -z), (x, 0.02, -z - 0.02), (x, 0.02, z + 0.02), (x, height, z)], 24)
        return both_sides(sweep(loop, thick * 0.55))
    spread = rng.uniform(0.03, 0.09) if kind == "splayed" else 0.0
    square = kind == "square"
    legs = []
    for front in (-1, 1):
        top, foot = (x, height, front * z), (x + spread, 0.0, front * (z + spread))
        legs.append(beam(top, foot, thick * 1.3) if square else bar(top, foot, thick * 0.8, thick * 0.45))
    if chance(rng, 0.4):
        share = rng.uniform(0.3, 0.6)
        rail_x = x + spread * (1 - share)
        legs.append(beam((rail_x, height * share, -z), (rail_x, height * share, z), thick * 0.7))
    return both_sides(join(legs))


def _swivel_foot(rng: np.random.Generator, colors: Scheme, height: float) -> list[MeshPart]:
    count, reach = int(rng.integers(4, 6)), rng.uniform(0.24, 0.30)
    steel, rubber = metal("column", colors.metal), matte("castors", colors.dark)
    parts = [MeshPart(cylinder(0.03, height - 0.06, 0.022).moved(y=0.06), steel)]
    for turn in np.arange(count) * 360 / count:
        spoke = beam((0, 0.10, 0), (0, 0.065, -reach), 0.05, 0.03).turned("y", turn)
        castor = disc(0.032, 0.04).turned("z", 90).moved(0.02, 0.032, -reach).turned("y", turn)
        parts += [MeshPart(spoke, steel), MeshPart(castor, rubber)]
    return parts


def _chair_back(
    rng: np.random.Generator, frame: Material, covering: Material, width: float, depth: float, seat: float
) -> list[MeshPart]:
    kind = pick(rng, ("panel", "slats", "spindles", "ladder", "cushion", "hoop"))
    tall, lean = rng.uniform(0.38, 0.62), rng.uniform(4, 16)
    half, thick = width / 2 - 0.03, rng.uniform(0.02, 0.032)
    posts = [bar((half, 0, 0), (half, tall, 0), thick), bar((-half, 0, 0), (-half, tall, 0), thick)]
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
        for x in np.linspace(-half, half, count + 2)[1:-1]:
            slat = (
                box(0.045, tall, 0.016, 0.005)
                if kind == "slats"
                else bar((0, -tall / 2, 0), (0, tall / 2, 0), 0.011)
            )
            wood.append(slat.moved(x=x, y=tall / 2))
    pieces = [(join(meshes), material) for meshes, material in ((wood, frame), (soft, covering)) if meshes]
    return [
        MeshPart(mesh.projected(GRAIN, "y").turned("x", lean).moved(y=seat, z=depth / 2 - 0.03), material)
        for mesh, material in pieces
    ]


def _chair_arms(rng: np.random.Generator, width: float, depth: float, height: float) -> Mesh:
    x, rise, z = width / 2 + 0.015, rng.uniform(0.18, 0.25), depth / 2 - 0.06
    if chance(rng, 0.5):
        path = [(x, height - 0.03, -z), (x, height + rise, -z + 0.02), (x, height + rise + 0.01, z + 0.06)]
        return both_sides(sweep(curve(path, 16), 0.02, flat=1.3))
    rest = box(0.06, 0.03, depth, 0.012).moved(x, height + rise, 0.02)
    return both_sides(join([rest, beam((x, height - 0.03, -z), (x, height + rise, -z), 0.032)]))


def table(rng: np.random.Generator) -> list[MeshPart]:
    """A dining, coffee or side table: a top of some outline on legs, a pedestal or trestles."""
    colors = scheme(rng)
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
    parts = [MeshPart(top.projected(0.6), board)]
    share = 0.66 if outline in ("oval", "round", "hexagon") else 0.90
    parts.append(MeshPart(_table_stand(rng, width * share, depth * share, height - thick), stand))
    if share > 0.8:
        parts += _table_extras(rng, colors, width, depth, height - thick)
    elif chance(rng, 0.7):
        runner = box(width * 0.28, 0.008, depth * 0.86, 0.003).moved(y=height + 0.005).projected(WEAVE)
        parts.append(MeshPart(runner, cloth(rng, "runner", colors.accent, colors.light, 0.3)))
    return parts


def _table_stand(rng: np.random.Generator, width: float, depth: float, height: float) -> Mesh:
    kind = pick(rng, ("four", "four", "splayed", "pedestal", "trestle", "frame"))
    x, z, thick = width / 2 - 0.03, depth / 2 - 0.03, rng.uniform(0.02, 0.045)
    if kind == "pedestal":
        column = cylinder(thick * 1.6, height, thick * 1.2)
        foot = disc(min(x, z) * 0.8, 0.03) if chance(rng, 0.5) else None
        cross = [
            beam((0, 0.05, 0), (0, 0.02, -z), 0.07, 0.04).turned("y", turn) for turn in range(0, 360, 90)
        ]
        return join([column, foot] if foot else [column, *cross])
    if kind == "trestle":
        board = box(0.045, height, depth * 0.8, 0.01).moved(x * 0.85, height / 2)
        return join([both_sides(board), box(x * 1.7, 0.10, 0.03, 0.008).moved(y=height * 0.45)])
    if kind == "frame":
        foot = beam((x, thick / 2, -z), (x, thick / 2, z), thick)
        legs = [beam((x, 0, side * z), (x, height, side * z), thick) for side in (-1, 1)]
        return both_sides(join([foot, *legs]))
    spread = rng.uniform(0.05, 0.12) if kind == "splayed" else 0.0
    square = kind == "four" and chance(rng, 0.5)
    legs = []
    for side in (-1, 1):
        head, foot_at = (x - spread, height, side * (z - spread)), (x, 0.0, side * z)
        legs.append(
            beam(head, foot_at, thick * 1.8, thick * 1.4)
            if square
            else bar(head, foot_at, thick, thick * 0.6)
        )
    return both_sides(join(legs))


def _table_extras(
    rng: np.random.Generator, colors: Scheme, width: float, depth: float, height: float
) -> list[MeshPart]:
    """Makes what tells a rectangular table's front from its back: drawers, or a cloth that lies off the middle."""
    kind = pick(rng, ("drawers", "drawers", "runner", "shelf"))
    if kind == "runner":
        cover = cloth(rng, "runner", colors.accent, colors.light, 0.3)
        runner = (
            box(width * 0.3, 0.008, depth + 0.01, 0.003).moved(width * 0.12, height + 0.075).projected(WEAVE)
        )
        return [MeshPart(runner, cover)]
    if kind == "shelf":
        shelf = box(width * 0.84, 0.025, depth * 0.76, 0.005).moved(y=height * 0.3).projected(0.6)
        return [MeshPart(shelf, timber(rng, "shelf", colors.accent, 0.4))]
    tall, count = rng.uniform(0.09, 0.16), int(rng.integers(1, 4))
    apron = box(width * 0.84, tall, depth * 0.8, 0.006).moved(y=height - tall / 2)
    parts = [MeshPart(apron, glossy("apron", colors.second))]
    pitch = width * 0.84 / count
    for index in range(count):
        x = (index - (count - 1) / 2) * pitch
        front = box(pitch * 0.88, tall * 0.76, 0.02, 0.005).moved(x, height - tall / 2, -depth * 0.4 - 0.006)
        knob = box(0.09, 0.018, 0.03, 0.008).moved(x, height - tall / 2, -depth * 0.4 - 0.028)
        parts += [
            MeshPart(front, glossy("drawers", colors.accent)),
            MeshPart(knob, metal("knobs", colors.metal)),
        ]
    return parts


def bed(rng: np.random.Generator) -> list[MeshPart]:
    """A single or double bed: frame, mattress, blanket, pillows, headboard, sometimes a foot or posts.

    The foot is the front.
    """
    colors = scheme(rng)
    width, length = pick(rng, (rng.uniform(0.9, 1.1), rng.uniform(1.5, 1.9))), rng.uniform(1.95, 2.15)
    deck, thick = rng.uniform(0.24, 0.42), rng.uniform(0.17, 0.28)
    frame = timber(rng, "frame", colors.body, 0.5)
    rails = box(width + 0.06, 0.16, length + 0.04, 0.02).moved(y=deck - 0.08)
    legs = [
        beam((x, 0, z), (x, deck, z), 0.07)
        for x in (-width / 2, width / 2)
        for z in (-length / 2, length / 2)
    ]
    head = _headboard(rng, width, deck + thick).moved(z=length / 2 + 0.03)
    wood = [rails, *legs, head]
    if chance(rng, 0.45):
        tall = thick * rng.uniform(0.7, 1.5)
        wood.append(
            box(width + 0.06, tall + 0.16, 0.05, 0.015).moved(0, deck + tall / 2 - 0.08, -length / 2 - 0.03)
        )
    elif chance(rng, 0.3):
        post = rng.uniform(1.1, 1.6)
        wood += [
            bar((x, 0, z), (x, post, z), 0.04, 0.025)
            for x in (-width / 2, width / 2)
            for z in (-length / 2, length / 2)
        ]
    mattress = box(width, thick, length, 0.06, 3).moved(y=deck + thick / 2)
    parts = [
        MeshPart(join(wood).projected(0.7), frame),
        MeshPart(mattress, matte("mattress", colors.light)),
    ]
    return parts + _bedding(rng, colors, width, length, deck, thick)


def _headboard(rng: np.random.Generator, width: float, level: float) -> Mesh:
    tall, full = level + rng.uniform(0.25, 0.6), width + 0.06
    kind = pick(rng, ("panel", "arch", "slats", "tufted"))
    if kind == "panel":
        return box(full, tall, 0.06, 0.02).moved(y=tall / 2)
    if kind == "tufted":
        count = int(rng.integers(3, 6))
        pitch = full / count
        pads = [
            box(pitch * 0.97, tall * 0.95, 0.12, 0.05, 3).moved((i - (count - 1) / 2) * pitch, tall / 2)
            for i in range(count)
        ]
        return join(pads)
    if kind == "arch":
        x = np.linspace(full / 2, -full / 2, 17)
        top = np.column_stack([x, level + (tall - level) * (0.35 + 0.65 * np.cos(np.pi * x / full))])
        return extrude(np.concatenate([[(-full / 2, 0), (full / 2, 0)], top]), 0.06, 0.015)
    posts = [beam((x, 0, 0), (x, tall, 0), 0.07) for x in (-full / 2, full / 2)]
    bars = [
        bar((x, level * 0.6, 0), (x, tall, 0), 0.016)
        for x in np.linspace(-full / 2, full / 2, int(rng.integers(6, 10)))
    ]
    return join([*posts, *bars, beam((-full / 2, tall, 0), (full / 2, tall, 0), 0.07)])


def _bedding(
    rng: np.random.Generator, colors: Scheme, width: float, length: float, deck: float, thick: float
) -> list[MeshPart]:
    share, top = rng.uniform(0.5, 0.74), deck + thick
    blanket = box(width + 0.05, thick * 0.85, length * share + 0.03, 0.07, 3)
    blanket = blanket.moved(0, top - thick * 0.85 / 2 + 0.03, -length * (1 - share) / 2 - 0.01).projected(
        WEAVE * 1.5
    )
    edge = box(width + 0.07, thick * 0.7, 0.22, 0.05, 3)
    edge = edge.moved(0, top - thick * 0.35 + 0.05, -length / 2 + length * share - 0.1)
    count = 2 if width > 1.3 else 1
    soft = matte("pillows", pick(rng, [colors.light, colors.light, colors.accent]))
    parts = [
        MeshPart(blanket, cloth(rng, "blanket", colors.second, colors.accent, 0.35)),
        MeshPart(edge, matte("hem", colors.accent)),
    ]
    for index in range(count):
        x = (index - (count - 1) / 2) * width * 0.48
        pillow = box(min(0.62, width * 0.44 if count == 2 else width * 0.7), 0.13, 0.40, 0.064, 4)
        pillow = pillow.turned("x", -12).turned("y", rng.uniform(-8, 8))
        parts.append(MeshPart(pillow.moved(x, top + 0.06, length / 2 - 0.27), soft))
    return parts


def sofa(rng: np.random.Generator) -> list[MeshPart]:
    """A sofa or armchair: base, cushions, back, arms, feet, sometimes a chaise at one end."""
    colors = scheme(rng)
    seats = int(pick(rng, (1, 2, 2, 3, 3)))
    width, depth = seats * rng.uniform(0.58, 0.72), rng.uniform(0.75, 0.95)
    foot, seat, back = rng.uniform(0.05, 0.16), rng.uniform(0.36, 0.46), rng.uniform(0.72, 0.95)
    cover = cloth(rng, "cover", colors.body, colors.second, 0.6)
    arm, arm_tall = rng.uniform(0.11, 0.24), rng.uniform(0.52, 0.68)
    base = box(width + 0.02, seat - 0.14 - foot, depth, 0.03).moved(y=(seat - 0.14 + foot) / 2)
    rest = (
        box(width + 0.02, back - foot, 0.2, 0.07, 3)
        .turned("x", 7)
        .moved(0, (back + foot) / 2, depth / 2 - 0.08)
    )
    arms = both_sides(_sofa_arm(rng, arm, arm_tall, depth, foot).moved(x=width / 2 + arm / 2))
    shell = join([base, rest, arms]).projected(WEAVE)
    pads = cloth(rng, "cushions", pick(rng, [colors.body, colors.second]), colors.light, 0.7)
    parts = [
        MeshPart(shell, cover),
        MeshPart(_sofa_cushions(rng, seats, width, depth, seat, back).projected(WEAVE), pads),
    ]
    if seats > 1 and chance(rng, 0.35):
        side, long = pick(rng, (-1, 1)), rng.uniform(0.45, 0.75)
        wide = width / seats
        chaise = box(wide, seat - foot, long, 0.06, 3)
        chaise = chaise.moved(side * (width - wide) / 2, (seat + foot) / 2, -depth / 2 - long / 2 + 0.03)
        parts.append(MeshPart(chaise.projected(WEAVE), cover))
    feet = [
        bar((x, foot + 0.05, z), (x * 1.02, 0, z * 1.03), 0.035, 0.022)
        for x in (-width / 2 - arm / 2, width / 2 + arm / 2)
        for z in (-depth / 2 + 0.07, depth / 2 - 0.07)
    ]
    parts.append(
        MeshPart(join(feet), wooden(rng, "feet") if chance(rng, 0.4) else metal("feet", colors.metal))
    )
    return parts + _throw_pillows(rng, colors, seats, width, depth, seat)


def _sofa_arm(rng: np.random.Generator, arm: float, tall: float, depth: float, foot: float) -> Mesh:
    kind = pick(rng, ("box", "roll", "slope"))
    if kind == "box":
        return box(arm, tall - foot, depth, 0.04, 3).moved(y=(tall + foot) / 2)
    if kind == "roll":
        radius = arm * 0.62
        roll = bar(
            (0, tall - radius * 0.7, -depth / 2), (0, tall - radius * 0.7, depth / 2), radius, sides=18
        )
        return join(
            [
                roll,
                box(arm * 0.9, tall - foot - radius, depth * 0.98, 0.02).moved(y=(tall - radius + foot) / 2),
            ]
        )
    side = [(-depth / 2, foot), (depth / 2, foot), (depth / 2, tall + 0.12), (-depth / 2 + 0.12, tall - 0.02)]
    side += [(-depth / 2, tall - 0.12)]
    return extrude(side, arm, 0.03).turned("y", -90)


def _sofa_cushions(
    rng: np.random.Generator, seats: int, width: float, depth: float, seat: float, back: float
) -> Mesh:
    pitch, tall = width / seats, back - seat - rng.uniform(-0.02, 0.08)
    cushions = []
    for index in range(seats):
        x = (index - (seats - 1) / 2) * pitch
        cushions.append(box(pitch * 0.98, 0.17, depth * 0.86, 0.06, 3).moved(x, seat - 0.07, -depth * 0.08))
        rest = box(pitch * 0.95, tall, 0.17, 0.07, 3).turned("x", 11)
        cushions.append(rest.moved(x, seat + tall / 2, depth / 2 - 0.23))
    return join(cushions)


def _throw_pillows(
    rng: np.random.Generator, colors: Scheme, seats: int, width: float, depth: float, seat: float
) -> list[MeshPart]:
    parts = []
    soft = cloth(rng, "pillow", colors.accent, colors.light, 0.4)
    for side in pick(rng, ((-1,), (1,), (-1, 1))):
        if seats == 1 and chance(rng, 0.4):
            continue
        pillow = (
            box(0.38, 0.38, 0.13, 0.06, 3).projected(0.38).turned("z", rng.uniform(-20, 20)).turned("x", 22)
        )
        parts.append(MeshPart(pillow.moved(side * (width / 2 - 0.22), seat + 0.18, depth / 2 - 0.38), soft))
    return parts
