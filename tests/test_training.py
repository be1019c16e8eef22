"""Training: it learns, repeats itself, resumes, stops when it must, and keeps the test apart."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from exploring import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from learning import SENSOR, SmallNet, make_set
from learning_folds import TEST, TRAIN, build, same, same_weights, task
from torch import nn

from evfer.errors import ConfigError, EventsError
from evfer.inputs import Loader
from evfer.inputs.cache import PackedEvents
from evfer.models import create
from evfer.training import fit, learning_rate, predict
from evfer.training.recipe import TrainParams
from evfer.training.validation import validation_split

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def data():
    return make_set()


def test_it_learns_people_it_has_not_seen(data):
    events = []
    found = fit(build, task(data, train={"epochs": 10}), progress=events.append)
    assert found.predictions.accuracy >= 0.8
    assert found.selected_epoch == 10
    assert found.predictions.labels.tolist() == data.labels[list(TEST)].tolist()
    assert ((found.predictions.confidences > 1 / 3) & (found.predictions.confidences <= 1)).all()
    assert [record.epoch for record in found.curve] == list(range(1, 11))
    assert found.curve[-1].train_loss < found.curve[0].train_loss / 2
    assert found.parameters == 3 * 2 * 9 * 8 + 16 + 16 * 8 * 3 + 3
    assert (found.n_train, found.n_validation) == (36, 0)
    assert found.device == "cpu" or torch.cuda.is_available()
    # 36 clips in batches of 8 are 5 batches
    assert [event.kind for event in events] == (["step"] * 5 + ["epoch"]) * 10
    assert [event.step for event in events[:6]] == [1, 2, 3, 4, 5, 5]
    times = [event.seconds for event in events]
    assert times == sorted(times)
    assert events[-1].seconds_left == 0
    assert events[0].seconds_left > 0
    assert found.train_seconds == pytest.approx(sum(r.seconds for r in found.curve))


def test_the_same_seed_gives_the_same_result_whatever_the_workers(data):
    first = fit(build, task(data), loader_workers=0)
    assert same(first, fit(build, task(data), loader_workers=3))
    assert not same(first, fit(build, task(data, seed=1)))
    assert not same(first, fit(build, task(data, fold=1)))


def test_the_callers_generator_is_left_alone(data):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fit(build, task(data, train={"epochs": 1}))
    assert torch.equal(torch.rand(3), expected)


def poison(data, clips):
    """Move some clips' events off the sensor, so that whoever reads them gets an error."""
    packed = data.packed
    x = packed.columns.x.copy()
    for clip in clips:
        x[packed.offsets[clip] : packed.offsets[clip + 1]] = SENSOR.width + 1
    moved = PackedEvents(SENSOR, packed.offsets, packed.columns._replace(x=x))
    return dataclasses.replace(data, packed=moved)


@pytest.mark.parametrize("on", ["last", "inner_validation"])
def test_the_test_is_not_read_before_training_is_over(data, on):
    events = []
    job = task(poison(data, TEST), select={"on": on})
    with pytest.raises(EventsError, match="at x = 33"):
        fit(build, job, progress=events.append)
    assert events[-1].epoch == 6
    assert events[-1].kind == "epoch"


def test_choosing_on_the_test_reads_it_from_the_first_epoch_on(data):
    events = []
    job = task(poison(data, TEST), select={"on": "best_test_epoch"})
    with pytest.raises(EventsError, match="at x = 33"):
        fit(build, job, progress=events.append)
    assert {event.epoch for event in events} == {1}


def test_training_reads_the_training_clips_alone(data):
    kept, held = validation_split(
        [data.subjects[i] for i in TRAIN], data.labels[list(TRAIN)], 0.2, seed=0, fold=0
    )
    everyone_else = sorted(set(range(48)) - {TRAIN[i] for i in kept})
    assert {TRAIN[i] for i in held} < set(everyone_else)
    events = []
    job = task(poison(data, everyone_else), select={"on": "inner_validation"})
    with pytest.raises(EventsError):
        fit(build, job, progress=events.append)
    assert [event.kind for event in events] == ["step"] * len(events)
    assert events[-1].step == events[-1].steps  # the first to read them is the validation


def test_the_epoch_that_people_held_out_like_best_is_tested(data):
    job = task(data, select={"on": "inner_validation"}, train={"lr": 0.05, "epochs": 8})
    found = fit(build, job)
    accuracies = [record.validation_accuracy for record in found.curve]
    assert accuracies[found.selected_epoch - 1] == max(accuracies)
    assert (found.n_train, found.n_validation) == (30, 6)
    # the weights are those of that epoch: training stopped there would end in them
    constant = {"schedule": "constant", "lr": 0.05}
    long = fit(build, task(data, select={"on": "inner_validation"}, train=constant | {"epochs": 8}))
    short = fit(
        build,
        task(
            data,
            select={"on": "inner_validation"},
            train=constant | {"epochs": long.selected_epoch},
        ),
    )
    assert same_weights(short, long)
    assert short.accuracy_last == short.predictions.accuracy == long.predictions.accuracy


def test_choosing_on_the_test_takes_the_first_best_epoch(data):
    found = fit(build, task(data, select={"on": "best_test_epoch"}, train={"lr": 0.05}))
    accuracies = [record.validation_accuracy for record in found.curve]
    assert found.predictions.accuracy == max(accuracies)
    assert found.selected_epoch == 1 + accuracies.index(max(accuracies))
    assert found.accuracy_last == accuracies[-1]


def test_the_test_may_be_watched_without_choosing(data):
    """Asking the test after each epoch changes no number but its own."""
    settings_ = {"on": "inner_validation"}
    plain = fit(build, task(data, select=settings_))
    seen = fit(build, task(data, select=settings_ | {"optimistic": True}))
    tests = [record.test_accuracy for record in seen.curve]
    assert seen.accuracy_best == max(tests) == tests[seen.best_epoch - 1]
    assert tests[seen.selected_epoch - 1] == seen.predictions.accuracy
    assert tests[-1] == seen.accuracy_last
    assert (plain.accuracy_best, plain.best_epoch) == (None, None)
    blind = [dataclasses.replace(record, test_accuracy=None) for record in seen.curve]
    assert same(plain, dataclasses.replace(seen, curve=tuple(blind)))
    chosen = fit(build, task(data, select={"on": "best_test_epoch"}))
    assert chosen.accuracy_best == chosen.predictions.accuracy
    assert chosen.best_epoch == chosen.selected_epoch


def test_training_ends_when_people_held_out_see_no_better(data, tmp_path):
    wild = {"lr": 0.2, "epochs": 40, "schedule": "constant"}
    job = task(data, select={"on": "inner_validation"}, train=wild | {"patience": 3})
    found = fit(build, job)
    long = fit(build, task(data, select={"on": "inner_validation"}, train=wild))
    assert len(found.curve) == found.selected_epoch + 3 < 40
    keys = [(r.validation_accuracy, r.train_loss) for r in found.curve]
    assert keys == [(r.validation_accuracy, r.train_loss) for r in long.curve[: len(keys)]]
    # no longer after a resumption, even one from the last state
    path = tmp_path / "state.pt"
    assert same(fit(build, job, checkpoint=path, checkpoint_every_s=0), found)
    assert same(fit(build, job, checkpoint=path, checkpoint_every_s=0), found)
    with pytest.raises(ConfigError, match=r'train\.patience = 3 with select\.on = "last"'):
        task(data, train={"patience": 3})
    with pytest.raises(ConfigError, match=r"train\.patience = 0"):
        TrainParams(patience=0)


def test_waiting_for_batches_is_measured(data):
    found = fit(build, task(data), loader_workers=0)
    for record in found.curve:
        assert 0 < record.loader_seconds < record.seconds


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # PyTorch's own
def test_a_compiled_network_learns_the_same(data):
    # without dropout, which a compiled network draws otherwise
    plain, found = (
        fit(lambda: SmallNet(3, 3, dropout=0.0), task(data, train={"compile": c}))
        for c in (False, True)
    )
    assert found.module.state_dict().keys() == plain.module.state_dict().keys()
    losses = [[r.train_loss for r in result.curve] for result in (plain, found)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-2)


def test_gradients_are_clipped_and_decay_spares_norms(data):
    """One step of plain SGD moves the weights by lr times the clipped gradient."""

    def first_step(**train):
        settings_ = {
            "epochs": 1, "batch_size": 36, "optimizer": "sgd", "lr": 1.0, "momentum": 0.0,
            "weight_decay": 0.0, "schedule": "constant",
        }  # fmt: skip
        start = {}

        def remember():
            net = build()
            start.update({k: v.detach().clone() for k, v in net.named_parameters()})
            return net

        found = fit(remember, task(data, train=settings_ | train))
        return {k: found.module.state_dict()[k] - v for k, v in start.items()}, start

    free, start = first_step()
    clipped, _ = first_step(clip_norm=0.1)
    length = math.sqrt(sum(float((v**2).sum()) for v in clipped.values()))
    assert length == pytest.approx(0.1, rel=1e-3)
    ratios = {k: float(clipped[k].norm() / free[k].norm()) for k in free if k != "layers.5.bias"}
    assert max(ratios.values()) == pytest.approx(min(ratios.values()), rel=1e-3)
    decayed, _ = first_step(weight_decay=0.5)
    spared, _ = first_step(weight_decay=0.5, decay_norm=False)
    norm, conv = "layers.1.weight", "layers.0.weight"
    torch.testing.assert_close(decayed[norm], free[norm] - 0.5 * start[norm])
    torch.testing.assert_close(spared[norm], free[norm])
    torch.testing.assert_close(spared[conv], free[conv] - 0.5 * start[conv], rtol=1e-4, atol=1e-6)


def test_label_smoothing_lifts_the_least_loss(data):
    plain, smooth = (
        fit(build, task(data, train={"epochs": 12, "label_smoothing": s})).curve[-1].train_loss
        for s in (0.0, 0.3)
    )
    assert smooth > plain + 0.3


def test_precisions_follow_one_another_in_one_process(data):
    results = [fit(build, task(data, train={"precision": p})) for p in ("no", "bf16", "no")]
    assert same(results[0], results[2])
    assert not same(results[0], results[1])
    assert all(
        result.module.state_dict()["layers.0.weight"].dtype == torch.float32 for result in results
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there_is_named(data):
    with pytest.raises(ConfigError, match='device "cuda"'):
        fit(build, task(data), device="cuda")
    with pytest.raises(ConfigError, match='device "tpu"'):
        fit(build, task(data), device="tpu")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_it_learns_on_a_gpu(data):
    found = fit(build, task(data, train={"epochs": 10, "precision": "bf16"}), device="cuda")
    assert found.device.startswith("cuda")
    assert found.predictions.accuracy >= 0.8
    assert all(value.device.type == "cpu" for value in found.module.state_dict().values())


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("spiking-fer", {"head": "linear", "logit_scale": "mean", "zero_init_gamma": False}),
        ("resnet18", {}),
    ],
)
def test_the_real_networks_train(data, model, options):
    job = task(data, frames={"size": 24, "n_steps": 2}, train={"epochs": 1, "precision": "bf16"})
    found = fit(lambda: create(model, 3, 2, **options), job)
    assert math.isfinite(found.curve[0].train_loss)
    assert found.parameters > 11_000_000


def test_the_published_schedule_is_torchs_cosine_annealing():
    params = TrainParams(epochs=7, lr=0.005)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.005)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=7)
    for epoch in range(7):
        assert learning_rate(params, epoch, 3, 9) == pytest.approx(cosine.get_last_lr()[0])
        optimizer.step()
        cosine.step()


@given(st.integers(1, 30), st.integers(1, 20), st.floats(0, 0.9))
@settings(max_examples=examples(60))
def test_warm_up_rises_to_the_rate_and_the_cosine_falls_from_it(epochs, steps, warmup):
    params = TrainParams(epochs=epochs, lr=0.2, schedule="cosine_steps", warmup=warmup)
    rates = [learning_rate(params, e, s, steps) for e in range(epochs) for s in range(steps)]
    rise = round(warmup * epochs * steps)
    assert (np.diff(rates[:rise]) > 0).all()
    assert (np.diff(rates[rise:]) < 0).all()
    assert max(rates) == pytest.approx(0.2)
    assert min(rates) > 0
    assert {learning_rate(TrainParams(schedule="constant"), e, 0, 5) for e in range(3)} == {0.005}


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 4)), min_size=2, max_size=60),
    st.floats(0.05, 0.9),
    st.integers(0, 5),
)
@settings(max_examples=examples(80))
def test_people_held_out_are_not_trained_on(clips, share, seed):
    subjects = [f"S{s}" for s, _ in clips]
    labels = [label for _, label in clips]
    people = len(set(subjects))
    if people < 2:
        with pytest.raises(ConfigError, match="1 training subject"):
            validation_split(subjects, labels, share, seed=seed, fold=0)
        return
    kept, held = validation_split(subjects, labels, share, seed=seed, fold=0)
    assert sorted((*kept, *held)) == list(range(len(clips)))
    assert not {subjects[i] for i in kept} & {subjects[i] for i in held}
    number = len({subjects[i] for i in held})
    assert number == min(max(1, round(share * people)), people - 1)
    assert validation_split(subjects, labels, share, seed=seed, fold=0) == (kept, held)


def test_people_held_out_show_every_class_if_they_can():
    # of ten people, half show class 0 and half class 1: two held out should be one of each
    subjects = [f"S{s}" for s in range(10) for _ in range(4)]
    labels = [s % 2 for s in range(10) for _ in range(4)]
    for seed in range(10):
        _, held = validation_split(subjects, labels, 0.2, seed=seed, fold=0)
        assert sorted(labels[i] for i in held) == [0] * 4 + [1] * 4
    assert len({validation_split(subjects, labels, 0.2, seed=s, fold=0)[1] for s in range(10)}) > 3
    assert len({validation_split(subjects, labels, 0.2, seed=0, fold=f)[1] for f in range(10)}) > 3
    with pytest.raises(ConfigError, match=r"select\.share"):
        validation_split(subjects, labels, 1.0, seed=0, fold=0)


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_networks_that_decide_step_by_step_are_asked_after_each(data, precision):
    def build_snn():
        return create("spiking-fer", 3, 3, head="linear", zero_init_gamma=False)

    job = task(data, train={"epochs": 2, "lr": 0.002, "precision": precision})
    found = fit(build_snn, job)
    assert len(found.anytime) == 3
    assert found.anytime[-1] == pytest.approx(found.predictions.accuracy)
    if precision == "no":
        # the same network on clips that end earlier
        module = build_snn()
        module.load_state_dict(found.module.state_dict())
        module.eval()
        loader = Loader(job.inputs, job.test, 8)
        for steps in (1, 2):
            right = []
            with torch.no_grad():
                for batch in loader.epoch(0):
                    said = module(batch.frames[:, :steps].float()).argmax(1)
                    right += (said == batch.targets).tolist()
            assert found.anytime[steps - 1] == pytest.approx(np.mean(right))
    assert fit(build, task(data, train={"epochs": 1})).anytime == ()


class Drawn(torch.nn.Module):
    """Gives drawn logits, whatever it is shown."""

    def __init__(self, seed):
        super().__init__()
        self.logits = 3 * torch.randn(12, 3, generator=torch.Generator().manual_seed(seed))

    def forward(self, frames):
        return self.logits


def test_the_loss_is_the_mean_logarithm_to_the_last_bit(data):
    # it decides between epochs of one accuracy; normalised twice, one loss in a hundred is another
    loader = Loader(task(data).inputs, TEST, 12, workers=0)
    targets = torch.from_numpy(data.labels[list(TEST)])
    for seed in range(400):
        module = Drawn(seed)
        expected = torch.nn.functional.nll_loss(module.logits.log_softmax(1), targets)
        assert predict(module, loader).loss == float(expected), seed
    shares = np.eye(3, dtype=np.float32)[data.labels]
    soft = dataclasses.replace(loader, inputs=Shares(loader.inputs, shares))
    assert predict(module, soft).loss == pytest.approx(float(expected), rel=1e-6)
    assert predict(module, soft).labels.tolist() == targets.tolist()


class Shares:
    """The same inputs with shares of the classes as targets."""

    def __init__(self, inputs, targets):
        self._inputs, self.targets = inputs, targets

    def __getattr__(self, name):
        return getattr(self._inputs, name)

    def on(self, device):
        return self


def test_a_network_learns_from_shares_of_classes(data):
    job = task(data, train={"epochs": 12})
    shares = (0.1 / 3 + 0.9 * np.eye(3)[data.labels]).astype(np.float32)
    found = fit(build, dataclasses.replace(job, inputs=Shares(job.inputs, shares)))
    assert found.predictions.accuracy >= 0.8
    assert found.predictions.labels.tolist() == data.labels[list(TEST)].tolist()
