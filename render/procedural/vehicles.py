"""Cars, buses and skateboards. Lengths in metres (centimetres for skateboards); front is -Z."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from render.procedural.assembly import both_sides, join
from render.procedural.colors import Color, Scheme, chance, pick, shade
from render.procedural.finishes import covered, glass, glossy, matte, metal
from render.procedural.meshes import Mesh, Pieces
from render.procedural.outlines import Span, ring_at, rounded_rectangle
from render.procedural.patterns import poster
from render.procedural.shapes import bar, box, cylinder, disc, hull, loft

AMBER: Color = (0.98, 0.85, 0.55)
RED: Color = (0.75, 0.06, 0.06)


@dataclass(frozen=True)
class CarForm:
    """The proportions of a kind of car; heights are shares of its height, places of its length, from nose to tail."""

    size: tuple[float, float, float]  # length, width and height in metres
    belt: float  # height of the windows' lower edge
    bonnet: float  # height of the bonnet's front end
    # where windscreen and roof start, where roof and rear window end
    cabin: tuple[float, float, float, float]
    bed: float | None = None  # where an open load bed starts


CAR_FORMS: dict[str, CarForm] = {
    "saloon": CarForm((4.6, 1.80, 1.42), 0.64, 0.50, (0.27, 0.42, 0.68, 0.84)),
    "hatchback": CarForm((3.9, 1.72, 1.48), 0.62, 0.52, (0.23, 0.39, 0.83, 0.96)),
    "sports": CarForm((4.3, 1.86, 1.20), 0.64, 0.44, (0.32, 0.52, 0.64, 0.90)),
    "estate": CarForm((4.7, 1.86, 1.70), 0.62, 0.55, (0.25, 0.36, 0.90, 0.98)),
    "van": CarForm((4.5, 1.90, 2.00), 0.56, 0.46, (0.08, 0.24, 0.95, 0.99)),
    "pickup": CarForm((5.1, 1.90, 1.75), 0.60, 0.53, (0.24, 0.34, 0.54, 0.58), 0.60),
}


def car(rng: Generator, colors: Scheme) -> Pieces:
    """A saloon, hatchback, sports car, estate, van or pickup truck."""
    form = CAR_FORMS[pick(rng, tuple(CAR_FORMS))]
    length, width, height = (float(size * rng.uniform(0.93, 1.07)) for size in form.size)
    belt, wheel = height * form.belt, height * rng.uniform(0.205, 0.235) if height < 1.9 else 0.34
    body = glossy("body", colors.body)
    low = wheel * 0.55
    bonnet = height * form.bonnet

    def at(share: float) -> float:
        return (share - 0.5) * length

    bed = belt * 0.97 if form.bed is None else belt
    stations = [
        (at(0.0), width * 0.80, (low + 0.10, bonnet * 0.86)),
        (at(0.02), width * 0.90, (low + 0.02, bonnet * 0.96)),
        (at(0.10), width * 0.98, (low, bonnet)),
        (at(form.cabin[0]), width, (low, belt * 0.985)),
        (at(0.75), width, (low, belt)),
        (at(0.93), width * 0.97, (low, bed)),
        (at(0.985), width * 0.92, (low + 0.03, bed * 0.97)),
        (at(1.0), width * 0.84, (low + 0.12, bed * 0.90)),
    ]
    parts = [(hull(stations), body)]
    parts += _cabin(rng, colors, form, (length, width, height))
    parts += _wheels(colors, wheel, width, (at(0.19), at(0.80)))
    parts += _car_face(rng, colors, length, width, (low, bonnet, bed))
    if form.bed is not None:
        hold = box(width * 0.78, 0.02, length * (0.97 - form.bed))
        hold = hold.moved(0, bed + 0.012, at((form.bed + 0.97) / 2))
        rail = box(0.09, 0.10, length * (0.985 - form.bed), 0.03)
        rail = rail.moved(width * 0.45, bed + 0.03, at((form.bed + 0.985) / 2))
        gate = box(width * 0.9, 0.10, 0.07, 0.03).moved(0, bed + 0.03, at(0.965))
        parts += [(hold, matte("trim", colors.dark)), (join(both_sides(rail), gate), body)]
    elif chance(rng, 0.25):
        start, end = at(form.cabin[1]), at(form.cabin[2])
        rack = box(width * 0.42, 0.16, (end - start) * 0.8, 0.06, 3)
        rack = rack.moved(pick(rng, (0.0, width * 0.12)), height + 0.08, (start + end) / 2)
        parts.append((rack, glossy("rack", colors.second)))
    return parts


def _cabin(rng: Generator, colors: Scheme, form: CarForm, size: tuple[float, float, float]) -> Pieces:
    """Windows all round, pillars between them, and the roof of a car of a length, width and height."""
    length, width, height = size
    belt, top = height * form.belt - 0.04, height - 0.06
    below, above = width * 0.93, width * rng.uniform(0.70, 0.78)
    z0, z1, z2, z3 = ((share - 0.5) * length for share in form.cabin)

    def ring(start: float, end: float, across: float, y: float, radius: float) -> np.ndarray:
        outline = rounded_rectangle(across, end - start, radius, 4) + np.array([0.0, (start + end) / 2])
        return ring_at(outline, y)[:, [0, 2, 1]]

    panes = loft([ring(z0, z3, below, belt, 0.12), ring(z1, z2, above, top, 0.12)])
    grow = 0.035
    roof = loft(
        [
            ring(z1 - grow, z2 + grow, above + 2 * grow, top - 0.01, 0.14),
            ring(z1 - grow * 0.6, z2 + grow * 0.6, above + grow, top + 0.035, 0.14),
            ring(z1 + 0.10, z2 - 0.10, above - 0.2, top + 0.06, 0.10),
        ]
    )
    lean, thick = (below - above) / 2, 0.05
    pillars = [
        bar((below / 2 - 0.02, belt, z0 + 0.06), (above / 2 - 0.01, top, z1 + 0.03), thick * 0.8),
        bar((below / 2 - 0.02, belt, z3 - 0.06), (above / 2 - 0.01, top, z2 - 0.03), thick * 1.1),
    ]
    doors = 1 if form.bed is not None or z2 - z1 < 1.0 else 2
    for door in range(1, doors + 1):
        share = door / (doors + 1)
        foot, head = z0 + 0.25 + share * (z3 - z0 - 0.45), z1 + share * (z2 - z1)
        pillars.append(bar((below / 2 - 0.025, belt, foot), (below / 2 - lean - 0.01, top, head), thick))
    mirror = box(0.16, 0.11, 0.09, 0.03).moved(below / 2 + 0.12, belt + 0.14, z0 + 0.38)
    roof_color = colors.body if chance(rng, 0.7) else colors.second
    return [
        (panes, glass("windows")),
        (both_sides(*pillars), glossy("body", colors.body)),
        (roof, glossy("roof", roof_color)),
        (both_sides(mirror), glossy("roof", roof_color)),
    ]


def _wheels(colors: Scheme, radius: float, width: float, axles: Sequence[float]) -> Pieces:
    tire = disc(radius, 0.24, 0.22, 24).turned("z", -90)  # its outer face looks towards +X
    hub = cylinder(radius * 0.62, 0.03, radius * 0.5, 16).turned("z", -90).moved(x=0.235)
    arch = disc(radius * 1.16, 0.05, 0.1, 24).turned("z", -90)

    def at_axles(mesh: Mesh, x: float, y: float) -> Mesh:
        return both_sides(*(mesh.moved(x, y, z) for z in axles))

    return [
        (at_axles(tire, width / 2 - 0.20, radius), matte("tyres", (0.05, 0.05, 0.055))),
        (at_axles(hub, width / 2 - 0.20, radius), metal("hubs", colors.metal)),
        (at_axles(arch, width / 2 - 0.038, radius * 1.04), matte("trim", colors.dark)),
    ]


def _car_face(
    rng: Generator, colors: Scheme, length: float, width: float, levels: tuple[float, float, float]
) -> Pieces:
    """Lamps, grille, bumpers and number plates."""
    low, bonnet, boot = levels
    nose, tail = -length / 2, length / 2
    x, eye = width * 0.33, low + (bonnet - low) * 0.66
    if chance(rng, 0.5):
        lamp = box(0.34, 0.15, 0.2, 0.05).moved(x, eye, nose + 0.06)
    else:
        lamp = disc(0.12, 0.16).turned("x", -90).moved(x, eye, nose + 0.10)
    tall = rng.uniform(0.3, 0.5) * (boot - low)
    rear = box(0.2, tall, 0.14, 0.04).moved(width * 0.38, low + (boot - low) * 0.66, tail - 0.05)
    grille = box(width * rng.uniform(0.3, 0.42), 0.17, 0.1, 0.03).moved(0, eye - 0.05, nose + 0.02)
    bumper = box(width * 0.9, 0.17, 0.26, 0.07, 3).moved(y=low + 0.12)
    bumpers = [bumper.moved(z=nose + 0.08), bumper.moved(z=tail - 0.08)]
    plate = box(0.5, 0.12, 0.02).moved(0, low + (boot - low) * 0.55, tail + 0.005)
    return [
        (both_sides(lamp), glossy("headlamps", AMBER)),
        (both_sides(rear), glossy("taillamps", RED)),
        (join(grille, *bumpers), matte("trim", colors.dark)),
        (plate, matte("plate", colors.light)),
    ]


def bus(rng: Generator, colors: Scheme) -> Pieces:
    """A city bus, a coach, a double-decker or a school bus with a bonnet."""
    kind = pick(rng, ("city", "coach", "double", "school"))
    length, width = rng.uniform(7.5, 11.5), rng.uniform(2.3, 2.6)
    height = {"city": 3.0, "coach": 3.4, "double": 4.3, "school": 2.9}[kind] * rng.uniform(0.95, 1.05)
    wheel, low = 0.5, 0.35
    hood = 1.3 if kind == "school" else 0.0
    start, end = -length / 2 + hood, length / 2
    shell = box(width, height - low, end - start, 0.22, 3).moved(0, (height + low) / 2, (start + end) / 2)
    body = glossy("body", colors.body)
    parts = [(shell, body)]
    if hood:
        nose = box(width * 0.82, 1.25, hood + 0.6, 0.2, 3).moved(0, low + 0.72, start - hood / 2 + 0.3)
        parts.append((nose, body))
    parts += _bus_windows(rng, kind, width, height, (start, end))
    axles = (start + (0.1 if hood else 1.6), end - 2.0)
    parts += _wheels(colors, wheel, width, axles if kind != "coach" else (*axles, end - 3.1))
    parts += _bus_face(colors, width, height, start - hood, end)
    return parts + _bus_trim(rng, colors, kind, width, height, (start, end))


def _bus_windows(rng: Generator, kind: str, width: float, height: float, ends: Span) -> Pieces:
    start, end = ends
    storeys = [(0.40, 0.60), (0.74, 0.92)] if kind == "double" else [(0.55, 0.84)]
    count = int(rng.integers(5, 9))
    pitch = (end - start - 1.5) / count
    proud = 0.03
    panes = []
    for low, high in storeys:
        y, tall = (low + high) / 2 * height, (high - low) * height
        for index in range(count):
            z = start + 1.15 + (index + 0.5) * pitch
            panes.append(box(proud, tall, pitch * 0.86).moved(width / 2, y, z))
        panes.append(box(width * 0.42, tall, proud).moved(width * 0.215, y, start))
        panes.append(box(width * 0.40, tall * 0.8, proud).moved(width * 0.2, y, end))
    return [(both_sides(*panes), glass("windows"))]


def _bus_face(colors: Scheme, width: float, height: float, nose: float, tail: float) -> Pieces:
    lamps = disc(0.16, 0.1).turned("x", -90).moved(width * 0.33, 0.85, nose + 0.05)
    rear = box(0.22, 0.5, 0.08, 0.03).moved(width * 0.4, 1.1, tail)
    bumpers = [box(width * 0.96, 0.26, 0.3, 0.08).moved(0, 0.48, z) for z in (nose + 0.06, tail - 0.06)]
    grille = box(width * 0.36, 0.34, 0.06, 0.02).moved(0, 0.9, nose)
    x, z = width / 2 + 0.28, nose - 0.12  # of the mirrors, ahead of the corners
    arm = bar((width / 2 - 0.1, height * 0.74, nose + 0.2), (x, height * 0.7, z), 0.04)
    mirror = box(0.2, 0.42, 0.08, 0.03).moved(x, height * 0.62, z)
    return [
        (both_sides(lamps), glossy("headlamps", AMBER)),
        (both_sides(rear), glossy("taillamps", RED)),
        (join(*bumpers, grille, both_sides(arm), both_sides(mirror)), matte("trim", colors.dark)),
    ]


def _bus_trim(rng: Generator, colors: Scheme, kind: str, width: float, height: float, ends: Span) -> Pieces:
    """A stripe, doors on one side, a sign above the windscreen, and what stands on the roof."""
    start, end = ends
    level = height * (rng.uniform(0.64, 0.69) if kind == "double" else rng.uniform(0.36, 0.46))
    stripe = box(width + 0.025, rng.uniform(0.12, 0.4), end - start - 0.4, 0.01)
    door_top = height * (0.6 if kind == "double" else 0.84)
    leaf = box(0.07, door_top - 0.6, 0.44, 0.02).moved(-width / 2, (door_top + 0.6) / 2)
    doors = (start + 0.62, (start + end) / 2 + rng.uniform(-0.6, 0.6))
    leaves = [leaf.moved(z=z + side) for z in doors for side in (-0.24, 0.24)]
    sign_level = height * (0.67 if kind == "double" else 0.9)
    sign = box(width * 0.62, height * 0.07, 0.05, 0.02).moved(0, sign_level, start)
    parts = [
        (stripe.moved(0, level, (start + end) / 2), glossy("stripe", colors.second)),
        (join(*leaves), glossy("doors", colors.accent)),
        (sign, matte("sign", shade(AMBER, 0.9))),
    ]
    if kind != "double" and chance(rng, 0.7):
        shift = rng.uniform(-0.2, 0.25) * (end - start)
        cooler = box(width * 0.6, 0.3, rng.uniform(1.2, 2.4), 0.1, 3).moved(0, height + 0.1, shift)
        parts.append((cooler, matte("cooler", colors.light)))
    return parts


def skateboard(rng: Generator, colors: Scheme) -> Pieces:
    """A short board, a long board or a cruiser: a deck with upturned ends, two axles, four wheels."""
    length, width = rng.uniform(62, 96), rng.uniform(18, 23)
    tail_width, nose = rng.uniform(0.6, 0.95), rng.uniform(3.5, 8.5)
    axle, wheel = rng.uniform(0.29, 0.35) * length, rng.uniform(2.6, 3.8)
    ride = wheel + 5.0
    deck = _deck(length, width, tail_width, (nose, nose * rng.uniform(0.5, 1.0)), axle)
    print_ = deck(-0.9, 0.0).fitted("-x", "-z").moved(y=ride)
    grip = matte("grip", pick(rng, [colors.dark, colors.accent, colors.second]))
    if chance(rng, 0.6):
        grip = covered("grip", poster(rng, grip.color, colors.body, shade(grip.color, 0.55)))
    parts = [
        (print_, covered("print", poster(rng, colors.body, colors.second, colors.light), 0.3)),
        (deck(0.001, 0.35).fitted("-x", "-z").moved(y=ride), grip),
    ]
    roll = rng.uniform(3.0, 4.4)
    for z in (-axle, axle):
        turn = 1 if z < 0 else -1
        base = box(5.5, 1.2, 8.0, 0.4).moved(0, ride - 1.5, z)
        post = bar((0, ride - 1.5, z + turn * 2.5), (0, wheel + 0.4, z), 2.2, 1.3)
        shaft = bar((-width * 0.46, wheel, z), (width * 0.46, wheel, z), 0.75)
        hanger = bar((-width * 0.28, wheel + 0.2, z), (width * 0.28, wheel + 0.2, z), 1.2)
        tire = disc(wheel, roll, 0.25, 20).turned("z", -90).moved(width * 0.46 - roll / 2, wheel, z)
        nut = cylinder(0.9, 0.5, segments=8).turned("z", -90).moved(width * 0.46 + roll / 2, wheel, z)
        parts += [
            (join(base, post, shaft, hanger, both_sides(nut)), metal("trucks", colors.metal)),
            (both_sides(tire), glossy("wheels", colors.accent)),
        ]
    return parts


def _deck(
    length: float, width: float, tail_width: float, rises: Span, axle: float
) -> Callable[[float, float], Mesh]:
    """Returns a function that makes one layer of the deck between two heights above its underside."""
    z = np.sin(np.linspace(-np.pi / 2, np.pi / 2, 31)) * length / 2
    rounded = np.sqrt(np.clip(1 - (np.abs(z) / (length / 2)) ** 5, 0.0, None))
    taper = 1 + (tail_width - 1) * np.clip(z / (length / 2), 0, 1) ** 2
    across = np.maximum(width * rounded * taper, 0.02)
    start = axle + 0.06 * length
    over = np.clip((np.abs(z) - start) / (length / 2 - start), 0, 1) ** 1.4
    lift = np.where(z < 0, rises[0], rises[1]) * over

    def layer(low: float, high: float) -> Mesh:
        x = np.array([-0.5, -0.47, -0.25, 0.0, 0.25, 0.47, 0.5])
        dip = np.array([0.9, 0.75, 0.2, 0.0, 0.2, 0.75, 0.9])
        rings = []
        for here, wide, up in zip(z, across, lift, strict=True):
            upper = np.column_stack([x * wide, up + high + dip])
            lower = np.column_stack([x * wide, up + low + dip])
            rings.append(ring_at(np.concatenate([upper, lower[::-1]]), here))
        return loft(rings)

    return layer
