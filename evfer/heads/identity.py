"""People: face shape, skin, hair and manner of moving, all drawn from a seed."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evfer.errors import ConfigError
from evfer.heads.asset import (
    FACE_TARGETS,
    LEFT_EYE,
    RIGHT_EYE,
    SKIN,
    TEETH,
    TONGUE,
    HeadAsset,
    load_asset,
)
from evfer.heads.hair import grow_hair, paint_strands
from evfer.heads.raster import find_visible, vertex_normals
from evfer.heads.skin import Look, paint_skin, texture_coordinates

__all__ = ["Person", "check_seed", "make_person"]

Colour = tuple[float, float, float]

_SHAPE, _LOOK, _PAINT, _HAIR, _MANNER = range(5)  # streams of random numbers

_LEFT_OF_PAIR = ("eyes/l-", "cheek/l-", "ears/l-")
_RIGHT_OF_PAIR = ("eyes/r-", "cheek/r-", "ears/r-")

# blue, green, red
_PALE, _DEEP = np.array([0.50, 0.62, 0.82]), np.array([0.10, 0.16, 0.27])
_BLACK, _BROWN, _FAIR, _GREY = (
    *((0.035, 0.04, 0.05), (0.06, 0.10, 0.16), (0.16, 0.28, 0.40)),
    (0.42, 0.44, 0.47),
)
_IRISES = ((0.08, 0.12, 0.20), (0.16, 0.25, 0.28), (0.45, 0.38, 0.30))


@dataclass(frozen=True, eq=False)
class Person:
    """A person at rest, ready to be moved and drawn. Arrays are read-only.

    Attributes:
        seed: the data set's seed.
        number: which person of that seed.
        vertices: head at rest, then hair, decimetres, shape (n, 3), float32.
        triangles: vertex numbers, shape (m, 3), int32; those from `n_outer` on only close the
            hair's inside and have no part in normals.
        materials: one a triangle, see `evfer.heads.asset`, shape (m,), int32.
        n_outer: number of triangles that make normals.
        texels: texture column and row of every vertex, shape (n, 2), float32.
        follows: how far each vertex follows the head's turning, 0 (neck base) to 1, shape (n,).
        openness: share of the sky that reaches each vertex, 0 to 1, shape (n,), float32.
        gloss: factor on the highlight of each vertex, shape (n,), float32.
        skin: reflectance (blue, green, red), shape (h, w, 3), float32.
        strands: brightness of hair, shape (h, w), float32.
        hair: hair colour (blue, green, red).
        iris: iris colour (blue, green, red).
        eye_middle: point between the eye centres, shape (3,), float32.
        iod: distance between the eye centres, decimetres.
        style: how strongly the person uses each face unit, shape (units,), float32.
        gain: expressivity, a factor on every unit.
        asymmetry: the left side's surplus over the right, a share.
        sway: restlessness of the head, a factor.
        tempo: speed of expressions, a factor.
    """

    seed: int
    number: int
    vertices: NDArray[np.float32]
    triangles: NDArray[np.int32]
    materials: NDArray[np.int32]
    n_outer: int
    texels: NDArray[np.float32]
    follows: NDArray[np.float32]
    openness: NDArray[np.float32]
    gloss: NDArray[np.float32]
    skin: NDArray[np.float32]
    strands: NDArray[np.float32]
    hair: Colour
    iris: Colour
    eye_middle: NDArray[np.float32]
    iod: float
    style: NDArray[np.float32]
    gain: float
    asymmetry: float
    sway: float
    tempo: float


def check_seed(name: str, value: int) -> None:
    """Refuse what cannot seed a generator.

    Raises:
        ConfigError: if `value` is not a whole number from 0.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
        raise ConfigError(f"{name} {value!r}", expected="a whole number, 0 or more")


@functools.lru_cache(maxsize=4)
def make_person(seed: int, person: int) -> Person:
    """Make one person; the last few are kept, since clips come person by person.

    Args:
        seed: the data set's seed, 0 or more; 0 is a seed.
        person: which person of that seed, 0 or more.

    Returns:
        The person: the same for the same numbers.

    Raises:
        ConfigError: if a number is negative or not whole.
    """
    check_seed("seed", seed)
    check_seed("person", person)
    asset = load_asset()

    def stream(aspect: int) -> np.random.Generator:
        return np.random.default_rng([seed, person, aspect])

    rng = stream(_SHAPE)
    male = bool(rng.integers(2))
    age = float(np.clip(rng.beta(1.3, 2.5), 0, 0.9))
    ancestry = rng.dirichlet([0.6, 0.6, 0.6])  # african, asian, caucasian
    vertices = asset.shape(_draw_shape(rng, asset, male, age, ancestry))
    look, style, iris = _draw_look(stream(_LOOK), male, age, float(ancestry[0]))
    eyes = [vertices[eye].mean(0) for eye in asset.eyes]
    triangles, materials, n_outer = asset.triangles, asset.materials, len(asset.triangles)
    texels = texture_coordinates(asset.vertices)
    follows = np.clip((asset.vertices[:, 1] - 5.9) / 0.5, 0, 1)
    if style:
        hair = grow_hair(stream(_HAIR), asset, vertices, style)
        n_head, n_own = len(vertices), len(asset.triangles)
        triangles = np.concatenate([triangles, hair.triangles + np.int32(n_head)])
        materials = np.concatenate([materials, hair.materials])
        n_outer = n_own + hair.n_outer
        vertices = np.concatenate([vertices, hair.vertices])
        texels = np.concatenate([texels, hair.texels])
        below = np.clip((hair.vertices[:, 1] - 5.7) / 0.6, 0, 1)
        follows = np.concatenate([follows, below])
    manner = stream(_MANNER)
    made = Person(
        seed=seed,
        number=person,
        vertices=vertices,
        triangles=np.ascontiguousarray(triangles),
        materials=np.ascontiguousarray(materials),
        n_outer=n_outer,
        texels=texels,
        follows=follows.astype(np.float32),
        openness=_openness(asset, vertices, triangles, n_outer),
        gloss=_gloss(asset, vertices, look),
        skin=paint_skin(stream(_PAINT), look),
        strands=paint_strands(stream(_HAIR)),
        hair=look.hair,
        iris=iris,
        eye_middle=(eyes[0] + eyes[1]) / 2,
        iod=float(np.linalg.norm(eyes[0] - eyes[1])),
        style=np.exp(manner.normal(0, 0.25, len(asset.unit_names))).astype(np.float32),
        gain=float(np.exp(manner.normal(-0.15, 0.22))),
        asymmetry=float(manner.normal(0, 0.10)),
        sway=float(manner.uniform(0.3, 1.6)),
        tempo=float(np.exp(manner.normal(0, 0.25))),
    )
    for value in vars(made).values():
        if isinstance(value, np.ndarray):
            value.flags.writeable = False
    return made


def _draw_shape(
    rng: np.random.Generator,
    asset: HeadAsset,
    male: bool,
    age: float,
    ancestry: NDArray[np.float64],
) -> dict[str, float]:
    """Draw the amounts of the identity targets."""
    sex = "male" if male else "female"
    amounts: dict[str, float] = {}
    for kind, share in zip(("african", "asian", "caucasian"), ancestry, strict=True):
        amounts[f"macrodetails/{kind}-{sex}-young"] = float(share) * (1 - age)
        amounts[f"macrodetails/{kind}-{sex}-old"] = float(share) * age
    weight = rng.normal(0, 0.45)
    end = "max" if weight > 0 else "min"
    name = f"macrodetails/universal-{sex}-young-averagemuscle-{end}weight"
    amounts[name] = min(0.8, abs(weight))
    for name in asset.names:
        if not name.startswith(FACE_TARGETS) or name.startswith(_RIGHT_OF_PAIR):
            continue
        # targets come in opposite pairs, so only positive amounts are used
        amount = min(0.9, rng.normal(0, 0.30)) if rng.random() < 0.5 else 0.0
        if amount <= 0:
            continue
        amount *= _restraint(name)
        amounts[name] = amount
        if name.startswith(_LEFT_OF_PAIR):
            amounts[name.replace("/l-", "/r-", 1)] = amount * rng.uniform(0.9, 1.1)
    return amounts


def _restraint(name: str) -> float:
    """Factor for targets that at full strength make a caricature."""
    if "asym" in name:
        return 0.35
    if name.startswith("eyes/") and "eye-height" in name and name.endswith("decr"):
        return 0.25  # half-shut eyes hide what the lids do
    if "head/head-" in name and ("trans" in name or "scale" in name or "age" in name):
        return 0.6
    if name.startswith("eyes/") and ("height" in name or "push" in name):
        return 0.6
    if name.startswith("mouth/mouth-scale-horiz-decr") or "nose-base" in name:
        return 0.4
    return 0.4 if "nose-point" in name else 1.0


def _draw_look(
    rng: np.random.Generator, male: bool, age: float, african: float
) -> tuple[Look, str, Colour]:
    """Draw colours, the hair's cut ("" for shorn and bald heads) and the iris's colour."""
    depth = float(np.clip(african * 0.9 + rng.normal(0.12, 0.08), 0, 0.85))
    tone = _PALE * (1 - depth) + _DEEP * depth
    colours = (_BLACK, _BROWN, _FAIR, _GREY)
    chances = [0.45, 0.3, 0.15, 0.10] if african < 0.4 else [0.9, 0.07, 0.0, 0.03]
    hair = np.array(colours[rng.choice(4, p=chances)]) * rng.uniform(0.85, 1.15)
    if male:
        cuts = ["crop", "swept", "fringe", "curls", "shorn", "bald"]
        weights = np.array([0.34, 0.22, 0.12, 0.10 + 0.3 * african, 0.12, 0.10])
    else:
        cuts = ["long", "bob", "bob fringe", "swept", "curls", "fringe"]
        weights = np.array([0.30, 0.22, 0.18, 0.12, 0.08 + 0.4 * african, 0.10])
    cut = str(rng.choice(cuts, p=weights / weights.sum()))
    stubble, beard = 0.0, 0.0
    if male:
        stubble = float(rng.choice([0, 0.08, 0.18, 0.30], p=[0.3, 0.35, 0.2, 0.15]))
        beard = float(rng.uniform(0.6, 0.95)) if rng.random() < 0.18 else 0.0
    look = Look(
        tone=_colour(tone),
        hair=_colour(hair),
        shirt=_colour(rng.uniform(0.08, 0.7, 3)),
        male=male,
        age=age,
        stubble=stubble,
        beard=beard,
        hairline=float(rng.uniform(7.80, 7.98)) + 0.10 * (cut == "shorn"),
        temples=float(rng.uniform(-0.05, 0.30)),
        scalp={"bald": 0.3, "shorn": 0.75}.get(cut, 0.95),
        crown_bare=cut == "bald",
        collar=float(rng.uniform(5.62, 5.85)),
    )
    iris = _IRISES[rng.choice(3, p=[0.6, 0.25, 0.15])]
    return look, "" if cut in ("bald", "shorn") else cut, iris


def _colour(values: NDArray[np.float64]) -> Colour:
    blue, green, red = (float(value) for value in values)
    return blue, green, red


def _openness(
    asset: HeadAsset,
    vertices: NDArray[np.float32],
    triangles: NDArray[np.int32],
    n_outer: int,
) -> NDArray[np.float32]:
    """Share of the sky each vertex sees, weighted by the cosine to its normal."""
    n = 48
    # a spiral of directions evenly spread over the sphere, none along the axis
    height = 1 - (2 * np.arange(n) + 1) / n
    turn = np.arange(n) * np.pi * (3 - np.sqrt(5))
    flat = np.sqrt(1 - height**2)
    sky = np.stack([flat * np.sin(turn), height, flat * np.cos(turn)], 1).astype(np.float32)
    normals = vertex_normals(vertices, triangles[:n_outer])
    seen = find_visible(vertices, normals, triangles, sky, 160)
    cosine = np.maximum(0, sky @ normals.T)
    share = (seen * cosine).sum(0) / np.maximum(cosine.sum(0), 1e-6)
    floor = np.full(len(vertices), 0.12, np.float32)
    x, y, _ = asset.vertices.T
    # folds that open when the eyes or the mouth do must not be black then
    lids = np.exp(-(((np.abs(x) - 0.30) / 0.20) ** 2 + ((y - 7.29) / 0.10) ** 2))
    floor[: len(x)] = np.maximum(0.12, 0.85 * lids)
    skin = asset.vertices_of(SKIN)
    lips = np.exp(-((x[skin] / 0.30) ** 2 + ((y[skin] - 6.59) / 0.09) ** 2))
    floor[skin] = np.maximum(floor[skin], 0.75 * lips)
    floor[asset.vertices_of(LEFT_EYE, RIGHT_EYE)] = 0.75
    share = np.maximum(share, floor)
    # the closed mouth hides teeth and tongue; open, they are lit the less the deeper they lie
    mouth = asset.vertices_of(TEETH, TONGUE)
    depth = vertices[mouth, 2].max() - vertices[mouth, 2]
    share[mouth] = np.clip(1.7 - 4.0 * depth, 0.25, 1.5)
    return share.astype(np.float32)


def _gloss(asset: HeadAsset, vertices: NDArray[np.float32], look: Look) -> NDArray[np.float32]:
    """Highlights: none on the shirt, stronger on hair, weaker on a beard."""
    gloss = np.full(len(vertices), 2.2, np.float32)
    x, y, _ = asset.vertices.T
    head = gloss[: len(x)]
    head[:] = 1.0
    head[y < look.collar + 0.3 * x * x + 0.05] = 0.0
    if look.beard:
        head[(y < 6.45) & (np.abs(x) < 0.9)] *= 0.3
    return gloss
