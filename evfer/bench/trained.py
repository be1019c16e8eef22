"""A trained network in one file: its weights, and all that it takes to use them.

The file is safetensors, whose metadata holds the rest as JSON: nothing in it can run as code. What
a network of one's own is built by is named in it, so that one is built only where the caller names
it too.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from evfer import config, formats, models, video
from evfer.convert.clip import events_of_frames
from evfer.convert.recipe import ConversionConfig
from evfer.datasets.base import Clip
from evfer.errors import ConfigError, RecordingError, UnknownNameError
from evfer.events import Events, SensorSize
from evfer.files import whole_file
from evfer.frames import FramesParams, to_frames

__all__ = [
    "SUFFIX",
    "Trained",
    "TrainedFile",
    "find_trained",
    "load",
    "read_trained",
    "write_trained",
]

SUFFIX = ".trained.safetensors"
_OLDER = ".weights.pt"
_FORMAT = 1
_EXPECTED = f"a file <run>/checkpoints/*{SUFFIX} that evfer bench wrote"


@dataclass(frozen=True, kw_only=True)
class TrainedFile:
    """What a file of a trained network says of itself.

    Args:
        key: digest of what names its result row; see `evfer.bench.row_key`.
        model: the network's name.
        options: the network's options, as `evfer.models.create` takes them.
        classes: names of the classes.
        n_steps: frames of a sequence.
        frames: the recipe's `[frames]`: how events become frames.
        shape: of a sample, (t, c, h, w).
        sensor_size: the sensor that its events lay on, (width, height); None where it was fed
            something else.
        dataset: short name of the set that it learnt from.
        conversion: the recipe by which that set's clips became events, without the set's own
            `[dataset]`; empty where nothing says so.
        fingerprint: digest of the set's events.
        scores: of its row, such as "accuracy".
        versions: of the packages that it was trained with.
    """

    key: str
    model: str
    options: Mapping[str, Any] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    n_steps: int = 1
    frames: Mapping[str, Any] = field(default_factory=dict)
    shape: tuple[int, ...] = ()
    sensor_size: tuple[int, int] | None = None
    dataset: str = ""
    conversion: Mapping[str, Any] = field(default_factory=dict)
    fingerprint: str = ""
    scores: Mapping[str, float] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained network that is ready to use.

    Args:
        module: the network, for evaluation; (n, t, c, h, w) frames to (n, classes) logits.
        about: what its file says.
        path: the file.

    Examples:
        trained = evfer.load("results/spiking-fer/checkpoints/....trained.safetensors")
        shares = trained.predict("my.mp4")[0]
        print(trained.classes[shares.argmax()], shares.max())
    """

    module: nn.Module
    about: TrainedFile
    path: Path

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.about.classes

    @property
    def frames(self) -> FramesParams:
        """How events become the network's frames."""
        return config.build(FramesParams, self.about.frames, "frames")

    def predict(self, x: object, times_s: NDArray[np.float64] | None = None) -> NDArray[np.float32]:
        """Give the share of each class.

        Args:
            x: frames (n, t, c, h, w) or (t, c, h, w), or whatever `inputs_for` takes.
            times_s: see `inputs_for`.

        Returns:
            Probabilities, shape (n, classes), rows sum to 1.

        Raises:
            EvferError: as `inputs_for`.
        """
        ready = isinstance(x, torch.Tensor) or (
            isinstance(x, np.ndarray) and x.dtype.names is None and x.ndim >= 4 and times_s is None
        )
        frames = torch.as_tensor(x) if ready else self.inputs_for(x, times_s)
        frames = frames[None] if frames.ndim == 4 else frames
        if tuple(frames.shape[1:]) != self.about.shape:
            raise ConfigError(
                f"frames of shape {tuple(frames.shape)}",
                expected=f"(n, {', '.join(map(str, self.about.shape))}), as it was trained on",
            )
        with torch.inference_mode():
            return self.module(frames.float()).float().softmax(1).numpy()

    def inputs_for(self, source: object, times_s: NDArray[np.float64] | None = None) -> Tensor:
        """Make what the network is fed, as its set was made.

        Args:
            source: a video, a folder of pictures or an event recording, by path; events as a
                structured array; or pictures (n, h, w) or (n, h, w, 3), uint8, with `times_s`.
            times_s: times of the pictures in seconds, shape (n,).

        Returns:
            Frames, shape (1, t, c, h, w).

        Raises:
            VideoError, FaceError, RecordingError: if the source cannot be read, or shows no face.
            ConfigError: for another kind of source, or one that the set's settings do not reach.
        """
        if isinstance(source, np.ndarray) and source.dtype.names:
            return self._of_events(source, None)
        if isinstance(source, np.ndarray) and source.ndim in (3, 4) and times_s is not None:
            return self._of_video(_Pictures(source, np.asarray(times_s, np.float64)), "pictures")
        if not isinstance(source, str | Path):
            raise ConfigError(
                f"a source of type {type(source).__name__}",
                expected="a path, events as a structured array, or pictures with their times_s",
            )
        path = Path(source)
        if not path.exists():
            raise RecordingError(f"{path}: no such file", expected="a video or an event recording")
        if video.is_clip(path):
            return self._of_video(video.open_frames(path), path.stem)
        own = None if self.about.sensor_size is None else SensorSize(*self.about.sensor_size)
        # the network's sensor stands in where a file names none
        unnamed = formats.sensor_size(path) is None
        recording = formats.read_recording(path, own if unnamed else None)
        return self._of_events(recording.events, recording.sensor_size)

    def _of_events(self, events: Events, sensor_size: SensorSize | None) -> Tensor:
        own = self.about.sensor_size
        if own is None:
            raise ConfigError(f"events for {self.path.name}", expected="what it was trained on")
        size = SensorSize(*own)
        if sensor_size is not None and sensor_size != size:
            raise RecordingError(
                f"a sensor of {sensor_size.width} x {sensor_size.height}",
                expected=f"{size.width} x {size.height}, as the network was trained on",
                hint="Convert it as a set: --set dataset.crop=... cuts the face out",
            )
        frames = to_frames(events, size, **dataclasses.asdict(self.frames))
        return torch.from_numpy(frames)[None]

    def _of_video(self, frames: video.FrameSource, name: str) -> Tensor:
        if not self.about.conversion:
            raise ConfigError(
                f"a video for {self.path.name}",
                expected="events: its set says in no conversion.toml how videos become events",
            )
        settings = config.build(ConversionConfig, self.about.conversion)
        clip = Clip(name, 0, 0, "", name, name)
        converted = events_of_frames(frames, clip, settings.resolved("folder"), self.about.dataset)
        return self._of_events(converted.events, converted.sensor_size)


@dataclass(frozen=True, eq=False)
class _Pictures:
    """Pictures in memory as frames of a video."""

    pictures: NDArray[np.uint8]
    times_s: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.pictures)

    def __iter__(self) -> Any:
        return iter(self.pictures)


def write_trained(path: Path, module: nn.Module, about: TrainedFile) -> None:
    """Write a trained network, whole or not at all.

    Raises:
        OutputError: if the file cannot be written.
    """
    # tensors that share memory are written one by one
    state = {name: value.detach().cpu().clone() for name, value in module.state_dict().items()}
    text = config.canonical_json({"format": _FORMAT, **dataclasses.asdict(about)})
    with whole_file(path) as part:
        save_file(
            {name: value.contiguous() for name, value in state.items()}, part, {"evfer": text}
        )


def read_trained(path: Path) -> TrainedFile:
    """Read what a file of a trained network says of itself.

    Raises:
        RecordingError: if the file is missing, damaged, of an older evfer or no such file.
    """
    return _read(Path(path))[0]


def load(path: str | Path, model: str | None = None) -> Trained:
    """Load a trained network from the file that `evfer bench` wrote.

    Args:
        path: the file, or a run's folder that holds only one.
        model: the network that the file must hold. One of your own, `module:factory`, has to be
            named here: a file alone never says which code is run.

    Raises:
        RecordingError: if the file is missing, damaged, of an older evfer, or does not fit the
            network as it is built now.
        ConfigError: if it holds another network, or one of your own that was not named.
    """
    path = _one(Path(path))
    about, weights = _read(path)
    if model is not None and model != about.model:
        raise ConfigError(f"{path}: weights of {about.model}", expected=f"weights of {model}")
    if model is None and ":" in about.model:
        raise ConfigError(
            f"{path}: weights of {about.model}, which is no network of evfer's",
            expected="its name, since a file does not say which code is run",
            hint=f'evfer.load(path, model="{about.model}")',
        )
    try:
        module = models.create(
            about.model, len(about.classes), about.n_steps, shape=about.shape, **about.options
        )
        module.load_state_dict(weights)
    except (RuntimeError, TypeError, KeyError, ValueError, UnknownNameError) as error:
        raise RecordingError(
            f"{path}: weights of another network than {about.model} builds now",
            expected="weights written by this version of it",
            hint="Measure it again with evfer bench --no-resume",
        ) from error
    return Trained(module.eval(), about, path)


def find_trained(folder: Path, key: str) -> Path | None:
    """Find a row's trained network among those of its run; None where it was not kept.

    Args:
        folder: the run's folder.
        key: the row's key.
    """
    for suffix in (SUFFIX, _OLDER):  # an older one is refused where it is opened
        for path in (folder / "checkpoints").glob(f"*-{key[:8]}{suffix}"):
            return path
    return None


def _one(path: Path) -> Path:
    if not path.is_dir():
        return path
    files = sorted((*path.glob(f"*{SUFFIX}"), *path.glob(f"checkpoints/*{SUFFIX}")))
    if len(files) != 1:
        names = ", ".join(file.name for file in files[:10])
        raise RecordingError(
            f"{path}: {len(files)} trained networks{': ' if names else ''}{names}",
            expected="one of them" if files else _EXPECTED,
        )
    return files[0]


def _read(path: Path) -> tuple[TrainedFile, dict[str, Tensor]]:
    if path.name.endswith(_OLDER):
        raise RecordingError(
            f"{path}: weights of an older evfer, which say too little to be used",
            expected=_EXPECTED,
            hint="Measure it again with evfer bench --no-resume",
        )
    if not path.is_file():
        raise RecordingError(f"{path}: no such file", expected=_EXPECTED)
    try:
        with safe_open(path, "pt") as file:
            values = json.loads((file.metadata() or {}).get("evfer", "null"))
            weights = {name: file.get_tensor(name) for name in file.keys()}
    except (OSError, ValueError, SafetensorError, RecursionError) as error:
        raise RecordingError(f"{path}: cannot be read", expected=_EXPECTED) from error
    known = {item.name for item in dataclasses.fields(TrainedFile)}
    kinds = {"key": str, "model": str, "options": dict, "classes": list, "n_steps": int,
             "frames": dict, "shape": list, "conversion": dict}  # fmt: skip
    if (
        not isinstance(values, dict)
        or values.get("format") != _FORMAT
        or any(not isinstance(values.get(name), kind) for name, kind in kinds.items())
    ):
        raise RecordingError(f"{path}: no trained network", expected=_EXPECTED)
    fields = {name: value for name, value in values.items() if name in known}
    size = fields.get("sensor_size")
    fields |= {
        "classes": tuple(fields["classes"]),
        "shape": tuple(fields["shape"]),
        "sensor_size": tuple(size) if isinstance(size, list) else None,
    }
    return TrainedFile(**fields), weights
