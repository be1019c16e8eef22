"""What each expression moves, and the plan of one clip as functions of time.

A plan holds no frames and no generator: every curve is a function of the time in seconds, so the
same motion can be sampled at any rate. Nothing but the face units depends on the expression
(sadness adds a slight nod); head motion, light, blinks and noise are drawn alike for all, lest
something other than the face gives the expression away.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evfer.errors import ConfigError, UnknownNameError
from evfer.heads.asset import load_asset
from evfer.heads.identity import Person, check_seed
from evfer.heads.labels import EMOTIONS

__all__ = [
    "RECIPES",
    "Action",
    "Blink",
    "ClipPlan",
    "Light",
    "Rise",
    "Track",
    "UnitMotion",
    "Wander",
    "change_rate",
    "exposure",
    "head_pose",
    "plan_clip",
    "unit_weights",
]

Times = NDArray[np.float64]

_MIN_DURATION_S = 0.3
"""Below this there is no room for a neutral start, a rise and an apex."""

_FACE, _IDLE, _HEAD, _SCENE = range(4)  # streams of random numbers


@dataclass(frozen=True)
class Action:
    """One part of an expression.

    Attributes:
        units: face units that move together; of two, the first is the left one.
        amount: contraction at intensity 1.
        chance: how often the part takes part, 0 to 1, so that no single unit tells the class.
    """

    units: tuple[str, ...]
    amount: float
    chance: float


def _pair(unit: str, amount: float, chance: float) -> Action:
    return Action((unit + "Left", unit + "Right"), amount, chance)


def _single(unit: str, amount: float, chance: float) -> Action:
    return Action((unit,), amount, chance)


RECIPES: dict[str, tuple[Action, ...]] = {
    "happy": (
        _pair("mouthSmile", 1.0, 1.0),
        _pair("cheekSquint", 0.9, 0.9),
        _pair("eyeSquint", 0.5, 0.6),
        _pair("mouthUpperUp", 0.6, 0.5),
        _single("jawOpen", 0.18, 0.45),
        _pair("mouthDimple", 0.3, 0.4),
    ),
    "fear": (
        _single("browInnerUp", 1.2, 1.0),
        _pair("browOuterUp", 0.5, 0.5),
        _pair("browDown", 0.45, 0.7),
        _pair("eyeWide", 1.3, 0.9),
        _pair("mouthStretch", 1.1, 0.9),
        _single("jawOpen", 0.25, 0.6),
        _pair("mouthLowerDown", 0.6, 0.6),
        _pair("mouthFrown", 0.25, 0.3),
    ),
    "surprise": (
        _single("browInnerUp", 1.3, 1.0),
        _pair("browOuterUp", 1.3, 0.95),
        _pair("eyeWide", 1.2, 0.9),
        _single("jawOpen", 0.7, 0.95),
        _single("mouthFunnel", 0.3, 0.3),
    ),
    "anger": (
        _pair("browDown", 1.15, 1.0),
        _pair("noseSneer", 0.45, 0.6),
        _pair("eyeSquint", 0.6, 0.8),
        _pair("eyeWide", 0.5, 0.4),
        _pair("mouthPress", 0.8, 0.75),
        _single("mouthRollLower", 0.5, 0.5),
        _single("mouthRollUpper", 0.35, 0.5),
        _single("mouthShrugLower", 0.5, 0.5),
        _single("jawForward", 0.4, 0.3),
        _pair("mouthFrown", 0.35, 0.4),
    ),
    "disgust": (
        _pair("noseSneer", 1.2, 1.0),
        _pair("mouthUpperUp", 1.0, 0.85),
        _pair("browDown", 0.6, 0.7),
        _pair("eyeSquint", 0.6, 0.7),
        _pair("cheekSquint", 0.5, 0.6),
        _pair("mouthFrown", 0.5, 0.5),
        _single("mouthShrugLower", 0.5, 0.5),
        _single("jawOpen", 0.15, 0.35),
    ),
    "sadness": (
        _single("browInnerUp", 1.2, 0.95),
        _pair("browDown", 0.4, 0.6),
        _pair("mouthFrown", 1.2, 0.95),
        _single("mouthShrugLower", 0.8, 0.7),
        _pair("eyeLookDown", 0.6, 0.5),
        _pair("eyeSquint", 0.3, 0.4),
        _pair("eyeBlink", 0.15, 0.4),
        _pair("mouthStretch", 0.2, 0.2),
    ),
}
"""Face units of each expression, after EMFACS.

Source:
    Friesen and Ekman, EMFACS-7: Emotional Facial Action Coding System, 1983, core action units;
    deviates: units are ARKit-like face units, amounts and chances are our own.
"""

# movements that mean nothing
_IDLE_UNITS = ("mouthLeft", "mouthRight", "browInnerUp", "mouthPressLeft", "jawOpen")


@dataclass(frozen=True)
class Rise:
    """A smooth step from 0 to `amount`, beginning at `start_s` and taking `duration_s`."""

    amount: float
    start_s: float
    duration_s: float

    def at(self, times_s: Times) -> Times:
        """Sample the curve at times in seconds."""
        u = np.clip((times_s - self.start_s) / self.duration_s, 0, 1)
        return self.amount * u * u * (3 - 2 * u)


@dataclass(frozen=True)
class Wander:
    """Smooth aimless motion that is 0 at time 0 and of deviation about `amount` later.

    A sum of cosines whose rates are normally distributed has Gaussian memory.
    """

    amount: float
    rates: tuple[float, ...]
    phases: tuple[float, ...]

    def at(self, times_s: Times) -> Times:
        """Sample the curve at times in seconds."""
        rates, phases = np.array(self.rates), np.array(self.phases)
        waves = np.cos(np.outer(times_s, rates) + phases) - np.cos(phases)
        return self.amount / math.sqrt(len(self.rates)) * waves.sum(1)


@dataclass(frozen=True)
class Track:
    """One coordinate of the head: where it is, where it goes and how it sways."""

    start: float
    rise: Rise
    wander: Wander

    def at(self, times_s: Times) -> Times:
        """Sample the curve at times in seconds."""
        return self.start + self.rise.at(times_s) + self.wander.at(times_s)


@dataclass(frozen=True)
class Blink:
    """The eyes shut around `middle_s`; closing and opening each take about `half_s`."""

    middle_s: float
    half_s: float

    def at(self, times_s: Times) -> Times:
        """Sample how far the eyes are shut, 0 to 0.95, at times in seconds."""
        u = np.clip(1.25 - np.abs(times_s - self.middle_s) / self.half_s, 0, 1)
        return 0.95 * u * u * (3 - 2 * u)


@dataclass(frozen=True)
class UnitMotion:
    """The course of one face unit."""

    unit: str
    curve: Rise | Wander


@dataclass(frozen=True)
class Light:
    """Lamps, camera and background of a clip.

    Attributes:
        key: direction towards the main lamp, a unit vector.
        key_strength: light of the main lamp.
        fill: direction towards the weak lamp opposite.
        ambient: light from everywhere.
        gloss: strength of the skin's highlights.
        exposure: factor on all light.
        flicker: slow change of the exposure.
        noise: deviation of the sensor noise, grey levels.
        background: grey in the middle, slope to the right and slope downwards.
    """

    key: tuple[float, float, float]
    key_strength: float
    fill: tuple[float, float, float]
    ambient: float
    gloss: float
    exposure: float
    flicker: Wander
    noise: float
    background: tuple[float, float, float]


@dataclass(frozen=True)
class ClipPlan:
    """Everything that happens in one clip, as functions of time.

    Attributes:
        seed: the data set's seed.
        person: which person of that seed.
        emotion: one of `EMOTIONS`.
        repetition: which clip of that person and emotion.
        n_frames: number of frames.
        fps: frames a second; frame k is at k / fps seconds.
        intensity: strength of the expression.
        onset_s: when the expression begins.
        rise_s: how long it takes to the apex, which it then holds.
        motions: face units, expression and idle movements.
        blink: the blink, if any.
        yaw_deg: turning to the head's left.
        pitch_deg: nodding downwards.
        roll_deg: tilting.
        shift_x: sideways motion, decimetres.
        shift_y: upwards motion, decimetres.
        scale: factor on the size of the face in the picture.
        gaze: where the eyes look, right and up, tangents.
        light: lamps, camera and background.
    """

    seed: int
    person: int
    emotion: str
    repetition: int
    n_frames: int
    fps: float
    intensity: float
    onset_s: float
    rise_s: float
    motions: tuple[UnitMotion, ...]
    blink: Blink | None
    yaw_deg: Track
    pitch_deg: Track
    roll_deg: Track
    shift_x: Track
    shift_y: Track
    scale: float
    gaze: tuple[float, float]
    light: Light

    @property
    def label(self) -> int:
        """The published code of the expression, 1 to 6."""
        return EMOTIONS.index(self.emotion) + 1

    @property
    def times_s(self) -> Times:
        """Time of each frame, seconds from the first, shape (n_frames,)."""
        return np.arange(self.n_frames) / self.fps


def plan_clip(
    person: Person, emotion: str, repetition: int, n_frames: int, fps: float = 30.0
) -> ClipPlan:
    """Plan a clip that goes from a neutral face to an expression.

    Args:
        person: whose clip.
        emotion: one of `EMOTIONS`.
        repetition: which clip of that person and emotion, 0 or more.
        n_frames: number of frames.
        fps: frames a second. The motion depends on n_frames / fps alone, so twice the frames at
            twice the rate sample the same motion.

    Returns:
        The plan: the same for the same arguments.

    Raises:
        UnknownNameError: if there is no such emotion.
        ConfigError: if a number is out of range or the clip is shorter than 0.3 s.
    """
    if emotion not in EMOTIONS:
        raise UnknownNameError("emotion", emotion, EMOTIONS)
    check_seed("repetition", repetition)
    duration_s = _check_duration(n_frames, fps)

    def stream(aspect: int) -> np.random.Generator:
        code = EMOTIONS.index(emotion)
        # the 99 keeps these streams apart from those that make the person
        return np.random.default_rng([person.seed, person.number, 99, code, repetition, aspect])

    rng = stream(_FACE)
    intensity = float(np.clip(rng.beta(3.2, 2.0) * 1.15, 0.30, 1.05))
    onset_s = rng.uniform(0.06, 0.22) * duration_s
    longest_s = duration_s - onset_s - 1 / 30  # the apex is reached by the last frame
    rise_s = rng.lognormal(math.log(0.40), 0.30) * duration_s / person.tempo
    rise_s = float(np.clip(rise_s, min(1 / 6, longest_s), longest_s))
    motions = _plan_face(rng, person, emotion, intensity, (onset_s, rise_s))
    idle, blink = _plan_idle(stream(_IDLE), duration_s)
    rng = stream(_HEAD)

    def track(spread: float, sway: float, drift: float, nod: float = 0.0) -> Track:
        start, rise = float(rng.normal(0, spread)), rng.normal(0, drift) + nod
        return Track(
            start,
            Rise(person.sway * rise, onset_s, rise_s),
            _wander(rng, person.sway * sway, memory_s=0.2),
        )

    return ClipPlan(
        seed=person.seed,
        person=person.number,
        emotion=emotion,
        repetition=repetition,
        n_frames=n_frames,
        fps=fps,
        intensity=intensity,
        onset_s=onset_s,
        rise_s=rise_s,
        motions=motions + idle,
        blink=blink,
        yaw_deg=track(3.0, 0.8, 0.8),
        pitch_deg=track(2.5, 0.6, 0.9, nod=0.8 if emotion == "sadness" else 0.0),
        roll_deg=track(1.5, 0.5, 0.5),
        shift_x=track(0.0, 0.012, 0.0),
        shift_y=track(0.0, 0.012, 0.0),
        scale=float(rng.uniform(0.92, 1.08)),
        gaze=(float(rng.normal(0, 0.04)), float(rng.normal(0, 0.04))),
        light=_plan_light(stream(_SCENE)),
    )


def _check_duration(n_frames: int, fps: float) -> float:
    if not math.isfinite(fps) or fps <= 0:
        raise ConfigError(f"fps {fps}", expected="a positive number of frames a second")
    if n_frames < 2 or n_frames / fps < _MIN_DURATION_S:
        raise ConfigError(
            f"{n_frames} frames at {fps:g} fps",
            expected=f"at least 2 frames and {_MIN_DURATION_S} s",
            hint="Ask for more frames or a lower rate",
        )
    return n_frames / fps


def _plan_face(
    rng: np.random.Generator,
    person: Person,
    emotion: str,
    intensity: float,
    rise: tuple[float, float],
) -> tuple[UnitMotion, ...]:
    onset_s, rise_s = rise
    number = load_asset().unit_number
    motions = []
    for action in RECIPES[emotion]:
        if rng.random() > action.chance:
            continue
        # never before the clip, so that the first frame is neutral
        start_s = max(0.0, onset_s + rng.normal(0, 0.06) * rise_s)
        duration_s = rise_s * math.exp(rng.normal(0, 0.15))
        amount = action.amount * intensity * person.gain * math.exp(rng.normal(0, 0.15))
        amount *= float(person.style[number[action.units[0]]])
        for side, unit in enumerate(action.units):
            bias = 0.0 if len(action.units) == 1 else person.asymmetry * (1, -1)[side]
            peak = min(1.5, amount * (1 + bias))
            motions.append(UnitMotion(unit, Rise(peak, start_s, duration_s)))
    return tuple(motions)


def _plan_idle(
    rng: np.random.Generator, duration_s: float
) -> tuple[tuple[UnitMotion, ...], Blink | None]:
    motions = tuple(
        UnitMotion(unit, _wander(rng, 0.06, memory_s=4 / 30))
        for unit in _IDLE_UNITS
        if rng.random() < 0.35
    )
    if rng.random() >= 0.4:
        return motions, None
    half_s = rng.uniform(0.06, 0.093)
    # the lids begin to move 1.25 half-times before the middle, and the first frame is neutral
    return motions, Blink(float(rng.uniform(1.25 * half_s, duration_s - 0.1)), half_s)


def _wander(rng: np.random.Generator, amount: float, memory_s: float) -> Wander:
    # white noise smoothed by a Gaussian of this deviation has this spread of rates
    rates = rng.normal(0, 1 / (math.sqrt(2) * memory_s), 16)
    phases = rng.uniform(0, 2 * math.pi, 16)
    return Wander(amount, tuple(rates.tolist()), tuple(phases.tolist()))


def _plan_light(rng: np.random.Generator) -> Light:
    turn, height = np.deg2rad(rng.uniform(-50, 50)), np.deg2rad(rng.uniform(10, 50))
    flat = math.cos(height)
    return Light(
        key=(math.sin(turn) * flat, math.sin(height), math.cos(turn) * flat),
        key_strength=float(rng.uniform(0.50, 0.85)),
        fill=(-math.sin(turn) * 0.8, 0.1, 0.6),
        ambient=float(rng.uniform(0.26, 0.42)),
        gloss=float(rng.uniform(0.02, 0.09)),
        exposure=float(rng.uniform(0.85, 1.2)),
        flicker=_wander(rng, 0.003, memory_s=0.03),
        noise=float(rng.uniform(0.6, 1.8)),
        background=tuple(rng.uniform((0.15, -0.1, -0.1), (0.8, 0.1, 0.1)).tolist()),
    )


def change_rate(plan: ClipPlan, fps: float) -> ClipPlan:
    """Give the same motion at another frame rate.

    Args:
        plan: a clip's plan.
        fps: frames a second.

    Returns:
        A plan of the same curves with as many frames as fit into the same time.

    Raises:
        ConfigError: if `fps` is not positive or leaves fewer than two frames.
    """
    if not math.isfinite(fps) or fps <= 0:
        raise ConfigError(f"fps {fps}", expected="a positive number of frames a second")
    n_frames = round(plan.n_frames / plan.fps * fps)
    if n_frames < 2:
        raise ConfigError(f"fps {fps:g} for {plan.n_frames / plan.fps:g} s", expected="2 frames")
    return dataclasses.replace(plan, n_frames=n_frames, fps=fps)


def unit_weights(plan: ClipPlan, times_s: Times) -> NDArray[np.float32]:
    """Sample the face units.

    Args:
        plan: a clip's plan.
        times_s: seconds, shape (n,).

    Returns:
        Contractions in the order of `HeadAsset.unit_names`, shape (n, units); 0 at time 0.
    """
    number = load_asset().unit_number
    weights = np.zeros((len(times_s), len(number)))
    for motion in plan.motions:
        values = motion.curve.at(times_s)
        if isinstance(motion.curve, Wander):
            values = np.maximum(0, values)  # muscles do not push
        weights[:, number[motion.unit]] += values
    if plan.blink is not None:
        shut = plan.blink.at(times_s)
        for unit in ("eyeBlinkLeft", "eyeBlinkRight"):
            weights[:, number[unit]] = np.maximum(weights[:, number[unit]], shut)
    return weights.astype(np.float32)


def head_pose(plan: ClipPlan, times_s: Times) -> NDArray[np.float64]:
    """Sample the head's motion.

    Args:
        plan: a clip's plan.
        times_s: seconds, shape (n,).

    Returns:
        Yaw, pitch and roll in degrees, shift right and up in decimetres, shape (n, 5).
    """
    tracks = (plan.yaw_deg, plan.pitch_deg, plan.roll_deg, plan.shift_x, plan.shift_y)
    return np.stack([track.at(times_s) for track in tracks], 1)


def exposure(plan: ClipPlan, times_s: Times) -> Times:
    """Sample the camera's exposure, a factor on all light, shape (n,)."""
    return plan.light.exposure * (1 + plan.light.flicker.at(times_s))
