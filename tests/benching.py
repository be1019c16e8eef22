"""A small set in a folder, and the bench that the tests of benches run on it."""

import json

from learning import SENSOR, make_config, make_set, small_net

from evfer import folds, recordings
from evfer.bench import RunOptions, make_jobs, prepare_set
from evfer.bench import run as run_jobs

MODEL = "learning:small_net"
TIMES = ("train_seconds", "test_seconds", "loader_share")


class Killed(Exception):
    pass


def failing_net(n_classes, n_steps):
    """A network whose loss is no number from its third batch on."""
    net = small_net(n_classes, n_steps)
    calls = []

    def spoil(module, args, output):
        calls.append(1)
        return output * (float("nan") if len(calls) > 2 else 1)

    net.register_forward_hook(spoil)
    return net


def write_set(data_folder, name="TinyDVS", n_folds=4, protocol="strict"):
    """Write a set of eight people who show three of the published labels, and its folds."""
    data = make_set()
    root = recordings.set_folder(data_folder, name)
    entries = []
    for i, clip_id in enumerate(data.clip_ids):
        subject, sequence = clip_id.split("/")
        path = f"{subject}/{sequence}.h5"
        digest = recordings.write(root / path, data.events(i), SENSOR, {}, duration_us=60_000)
        entries.append(
            recordings.IndexEntry(
                clip_id, path, subject, int(sequence), int(data.labels[i]) + 1,
                data.classes[data.labels[i]], len(data.events(i)), 60_000, 1, "", digest, "",
                25.0, 9,
            )
        )  # fmt: skip
    recordings.write_index(root, entries)
    folds.write(root, folds.build(entries, protocol, n_folds), entries)
    return root


PREPARED = ("plans", "protocol", "seed", "only_folds")
RUNNING = ("resume", "command", "progress", "admit", "failed")


def run(folder, out, **settings):
    recipe = settings.pop("config", None) or make_config(train={"epochs": 3})
    model = settings.pop("model", MODEL)
    settings = {"tensorboard": False, "checkpoint_every_s": 0.0} | settings
    prepared, running = (
        {name: settings.pop(name) for name in names if name in settings}
        for names in (PREPARED, RUNNING)
    )
    measurement = prepare_set(folder, model, recipe, **prepared)
    return run_jobs(make_jobs([measurement], out, RunOptions(**settings)), **running)


def timeless(row):
    row = json.loads(json.dumps(dict(row)))
    for name in TIMES:
        del row[name]
    for record in row["curve"]:
        del record["seconds"], record["loader_seconds"]
    del row["run"]
    return row


def lines(out):
    return [json.loads(line) for line in (out / "rows.jsonl").read_text().splitlines()]
