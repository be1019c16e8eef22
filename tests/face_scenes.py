"""Clips of rendered heads for the tests of the face stage, with their true motion."""

from __future__ import annotations

import dataclasses
import functools
import math

import cv2
import numpy as np

from evfer.heads import make_person, plan_clip, render_frames


def face(x=160.0, y=150.0, iod=60.0, angle=0.0):
    """Sixty-eight points of a plain frontal face, nose tip at (x, y)."""
    points = np.zeros((68, 2))
    jaw = np.linspace(0, np.pi, 17)
    points[:17] = np.column_stack([-1.2 * np.cos(jaw), 1.3 * np.sin(jaw)])
    points[17:27] = np.column_stack([np.linspace(-0.9, 0.9, 10), np.full(10, -0.9)])
    points[27:31] = [(0, -0.5), (0, -0.35), (0, -0.2), (0, 0)]
    points[31:36] = [(-0.2, 0.12), (-0.1, 0.15), (0, 0.17), (0.1, 0.15), (0.2, 0.12)]
    eye = [(-0.2, 0), (-0.1, -0.1), (0.1, -0.1), (0.2, 0), (0.1, 0.1), (-0.1, 0.1)]
    points[36:42] = np.array(eye) - np.array([0.5, 0.5])
    points[42:48] = np.array(eye) + np.array([0.5, -0.5])
    mouth = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    points[48:] = np.column_stack([-0.4 * np.cos(mouth), 0.6 + 0.15 * np.sin(mouth)])
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return iod * points @ turn.T + (x, y)


@functools.lru_cache(maxsize=16)
def neutral(person: int = 0, size: int = 320, yaw: float | None = None):
    """One frame without sensor noise, luma; the first of a clip is neutral."""
    who = make_person(0, person)
    plan = plan_clip(who, "happy", 0, 24)
    if yaw is not None:
        turn = dataclasses.replace(plan.yaw_deg, start=float(yaw))
        plan = dataclasses.replace(plan, yaw_deg=turn)
    frame = next(render_frames(who, plan, size, noise=False))
    grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
    grey.setflags(write=False)
    return grey


@functools.lru_cache(maxsize=4)
def expression(person: int = 0, emotion: str = "surprise", n_frames: int = 24):
    """A whole clip as the demo set has it, (n, 320, 320, 3), and its yaw in degrees."""
    who = make_person(0, person)
    plan = plan_clip(who, emotion, 0, n_frames)
    frames = np.stack(list(render_frames(who, plan)))
    frames.setflags(write=False)
    return frames, plan.yaw_deg.at(plan.times_s)


def with_noise(frames, deviation: float = 1.0, seed: int = 0):
    """Add Gaussian noise, new in every frame."""
    rng = np.random.default_rng(seed)
    noisy = [frame + rng.normal(0, deviation, frame.shape) for frame in frames]
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def moving(n_frames: int, person: int = 0):
    """A neutral head that sways by 4 degrees, 8 pixels and 2 % of its size in about 2 s.

    Returns:
        Luma, (n, 320, 320), and the true transforms from frame 0 to each frame, (n, 2, 3).
    """
    large = neutral(person, 640)
    frames, motions = [], []
    for index in range(n_frames):
        phase = 2 * np.pi * index / 60
        angle = np.deg2rad(4 * np.sin(phase))
        scale = 1 + 0.02 * np.sin(1.1 * phase)
        turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        shift = 8 * np.array([np.sin(0.9 * phase), np.sin(1.3 * phase)])
        middle = np.array([160.0, 160.0])
        motion = np.column_stack([turn, middle - turn @ middle + shift])
        # pixel centres of the large picture lie at (p + 0.5) / 2 - 0.5 of the small one
        small = np.column_stack([turn / 2, motion @ (-0.25, -0.25, 1.0)])
        frames.append(cv2.warpAffine(large, small, (320, 320), borderMode=cv2.BORDER_REPLICATE))
        motions.append(motion)
    return np.stack(frames), np.stack(motions)


def log_crossings(frames, threshold: float = 0.2) -> float:
    """Count crossings of a threshold in lin-log intensity, per frame: ideal events."""
    luma = frames.astype(np.float64)
    logs = np.where(luma < 20, luma * np.log(20) / 20, np.log(np.maximum(luma, 1)))
    memory, total = logs[0].copy(), 0.0
    for level in logs[1:]:
        steps = np.fix((level - memory) / threshold)
        memory += steps * threshold
        total += np.abs(steps).sum()
    return float(total / (len(frames) - 1))
