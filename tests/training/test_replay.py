"""Rounds that are recorded and replayed, or compiled, are the rounds that would be played."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from saddle.config import load_recipe, parse_settings, resolve
from saddle.config.editing import edited
from saddle.config.networks import CustomNetworkConfig
from saddle.config.resolve import settle
from saddle.data import Store
from saddle.data.scaling import Scaling
from saddle.errors import RunError
from saddle.training.assemble import Networks, make_feed, make_gan
from saddle.training.compiled import compile_turns
from saddle.training.engine import Engine, are_replayed
from saddle.training.gan import GAN
from saddle.training.replay import CudaRecorder, Recorder

CPU = torch.device("cpu")
ROUNDS = 14
FALLING = "{value=1e-3,to=1e-5,start=64,end=160}"
VARIANTS = {
    "plain": (),
    "shared samples": ("game.share=samples",),
    "one judgement": ("game.share=pass", "game.update=simultaneous"),
    "rates that fall": (
        f"generator.optimizer.learning_rate={FALLING}",
        f"discriminator.optimizer.learning_rate={FALLING}",
    ),
    "a penalty that changes": ("game.r1={value=1.0,to=0.1,start=0,end=200}",),
    "a penalty that ends": ("game.r1={value=1.0,to=0.0,start=0,end=100}", "game.r2=0.5"),
    "lazy penalties": ("game.loss=relativistic", "game.r1=1", "game.r2=1", "game.penalty_every=2"),
    "gradient penalty": ("game.loss=wasserstein", "game.gradient_penalty=10", "game.discriminator_steps=2"),
    "norms, dropout and noise": (
        "generator.network.norm=batch",
        "discriminator.network.dropout=0.3",
        "discriminator.input_noise=0.1",
    ),
    "labels and averages": ("conditional=true", "average.half_life=100", "discriminator.condition=projection"),
    "labels told": (
        *(
            "conditional=true",
            "discriminator.condition=projection",
            "game.classification={value=0.3,to=0.1,start=0,end=200}",
        ),
        *("game.share=samples", "game.loss=relativistic", "game.r1=1", "game.r2=1", "game.penalty_every=2"),
    ),
    "spectral, clipped": ("game.clip=0.05", "game.loss=wasserstein"),
    "spectral": ("discriminator.weights=spectral", "game.loss=hinge"),
    "sgd": ("generator.optimizer={kind='sgd',momentum=0.5}", "discriminator.optimizer={kind='sgd',learning_rate=0.1}"),
    "half precision": ("precision=bfloat16",),
    "packing": ("game.packing=2",),
    "virtual norm": ("generator.network.norm=virtual",),
    "codes": ("latent.codes=5",),
    "feature matching": ("game.feature_matching=l2",),
    "minibatch discrimination": ("discriminator.minibatch_kernels=4",),
    "residual blocks": (
        "generator.network={family='r3gan',widths=[4],group_width=4}",
        "discriminator.network={family='r3gan',widths=[4],group_width=4}",
        "game.r1=0.1",
        "generator.optimizer.eps=1e-2",  # Adam divides by gradients that begin at zero
        "discriminator.optimizer.eps=1e-2",
    ),
    "diffaugment": ("game.augment.kind=diffaugment", "game.augment.strength={value=0.2,to=1.0,start=0,end=200}"),
    "ada": ("game.augment={kind='ada',rise=300}", "game.loss=relativistic", "game.r1=1", "game.r2=1"),
    "pairs and patches": (
        "data.pairs=edges",
        "generator.network={family='unet',width=4,max_width=8}",
        "latent={size=96,distribution='uniform',low=0.0,high=1.0}",
        "discriminator.network={family='patchgan',width=4}",
        "game.l1={value=100,to=10,start=0,end=200}",
        "average.half_life=100",
    ),
    "a population": (
        "members=3",
        "discriminator.network.dropout=0.3",
        "vary.generator.optimizer.learning_rate=[1e-3,2e-3,4e-3]",
    ),
}


Operation = tuple[Any, Any, Any, Any]  # the function, its arguments, its named ones, and what came out


class _Operations(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.done: list[Operation] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket.__name__ in ("_local_scalar_dense", "nonzero"):
            raise RuntimeError(f"operation not permitted while recording: {func}")
        made = func(*args, **(kwargs or {}))
        self.done.append((func, args, kwargs or {}, made))
        return made


class CPURecorder:
    """A double of a CUDA graph: the operations of a round, and the same ones again on the same memory.

    As in a graph, whatever Python computes in a round is fixed when it is recorded: numbers, shapes, and which
    operations there are. Random numbers come from the global generator as it is seeded before a replay.
    """

    def __init__(self) -> None:
        self.warm, self.recorded, self.replayed = 0, 0, 0

    def warm_up(self, run: Callable[[], None]) -> None:
        self.warm += 1
        run()

    def record(self, run: Callable[[], None], generators: Sequence[torch.Generator] = ()) -> Callable[[], None]:
        self.recorded += 1
        mode = _Operations()
        with mode:
            run()
        fresh = True

        def replay() -> None:
            nonlocal fresh
            self.replayed += 1
            if not fresh:
                with torch._C._AutoDispatchBelowAutograd():  # pyright: ignore[reportPrivateUsage]  as operations came in
                    _repeat(mode.done)
            fresh = False  # recording it has done it, unlike on a GPU

        return replay


def _repeat(done: list[Operation]) -> None:
    """The same operations; what comes out is written to where it was written the first time."""
    for func, args, kwargs, made in done:
        again = func(*args, **kwargs)
        if any(result.alias_info is not None for result in func._schema.returns):
            continue  # a view of memory that was written anew, or a change in place
        for place, value in zip(tree_flatten(made)[0], tree_flatten(again)[0], strict=True):
            if isinstance(place, Tensor):
                place.copy_(value)


def large_enough(store: Store, settings: tuple[str, ...]) -> Store:
    """The store, or its images twice as large for convolutional networks."""
    if "r3gan" not in str(settings) and "unet" not in str(settings):
        return store
    values = store.values.repeat(2, 2).repeat(2, 3)
    inputs = 255 - values if "unet" in str(settings) else None
    return Store(store.name, values, store.labels, store.class_names, store.fingerprint, inputs=inputs)


def play(
    store: Store,
    settings: tuple[str, ...],
    device: torch.device,
    recorder: Recorder | None,
    *,
    tensors: bool,
    edits: Mapping[int, Mapping[str, Any]] | None = None,
):
    """The figures of each round and the state at the end.

    Args:
        store, settings, device, recorder: what is played.
        tensors: whether schedules fill tensors on the device.
        edits: of the settings, by the number of the round that comes after each.
    """
    store = large_enough(store, settings)
    config = resolve(load_recipe("mlp-tanh"), parse_settings(["batch_size=16", *settings]))
    config = settle(config, {}, total=16 * ROUNDS)
    scaling = Scaling.fit(store, "tanh")
    made = make_gan(config, store, scaling, Networks(), device)
    shares = store.class_shares() if config.conditional is True else ()
    networks = made.generator.network, made.discriminator.network
    chance = made._chance  # pyright: ignore[reportPrivateUsage]  # which the networks of a population draw from
    learner = GAN(config, *networks, device, shares, replayed=tensors, chance=chance)
    said: list[str] = []
    precision = "float32" if config.precision == "auto" else config.precision
    engine, feed = Engine(learner, precision, recorder, said.append), make_feed(config, store, scaling, device)
    figures: list[dict[str, Any]] = []
    images = 16 * learner.turns
    for number in range(ROUNDS):
        position = number * images
        if edits is not None and number in edits:
            config, _ = edited(config, edits[number])
            learner.retune(config)
            engine.forget()
        learner.schedule(position)
        batches = [feed.batch(position + 16 * turn, 16) for turn in range(learner.turns)]
        figures.append({name: value.clone() for name, value in engine.play(batches, number, 1000 + number).items()})
        learner.follow(position + images, images)
    return figures, {name: tensor.clone() for name, tensor in learner.state().items()}, said


@pytest.mark.parametrize(
    "variant",
    [pytest.param(each, marks=pytest.mark.slow) if each == "pairs and patches" else each for each in VARIANTS],
)
def test_replayed_rounds_equal_played_ones(tiny_images: Store, variant: str):
    settings = VARIANTS[variant]
    recorder = CPURecorder()
    replayed, state, said = play(tiny_images, settings, CPU, recorder, tensors=True)
    assert not said
    kinds = 2 if "penalty_every" in str(settings) or "to=0.0" in str(settings) else 1
    assert (recorder.recorded, recorder.warm) == (kinds, 3 * kinds)
    assert recorder.replayed == ROUNDS - 3 * kinds
    played, wanted, _ = play(tiny_images, settings, CPU, None, tensors=True)
    for ours, theirs in zip(replayed, played, strict=True):
        assert ours.keys() == theirs.keys()
        for name, value in ours.items():
            torch.testing.assert_close(value, theirs[name], rtol=0, atol=0, msg=lambda text, of=name: f"{of}: {text}")
    assert state.keys() == wanted.keys()
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in state.items())


@pytest.mark.parametrize(
    ("settings", "edits"),
    [
        ((), {7: {"generator.optimizer.betas": [0.0, 0.9], "game.r1": 0.5}}),  # betas are no tensor
        (("game.clip=0.05", "game.r1=1"), {7: {"game.r1": 0, "game.clip": 0}}),
        (("game.augment={kind='ada',rise=300}",), {7: {"game.augment.target": 0.1}}),
    ],
)
def test_rounds_after_an_edit_are_recorded_anew(tiny_images: Store, settings: tuple[str, ...], edits: Any):
    recorder = CPURecorder()
    replayed, state, said = play(tiny_images, settings, CPU, recorder, tensors=True, edits=edits)
    assert (recorder.recorded, recorder.warm, recorder.replayed, said) == (2, 6, ROUNDS - 6, [])
    played, wanted, _ = play(tiny_images, settings, CPU, None, tensors=True, edits=edits)
    for ours, theirs in zip(replayed, played, strict=True):
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in state.items())
    unedited, _, _ = play(tiny_images, settings, CPU, None, tensors=True)
    assert not torch.equal(unedited[-1]["discriminator_loss"], played[-1]["discriminator_loss"])


def test_an_edit_may_end_the_replaying_and_begin_it_again(tiny_images: Store):
    falling = {"value": 0.5, "to": 0.9, "start": 0, "end": 100}
    edits = {5: {"generator.optimizer.betas": [falling, 0.99]}, 8: {"generator.optimizer.betas": [0.5, 0.99]}}
    recorder = CPURecorder()
    _, state, said = play(tiny_images, (), CPU, recorder, tensors=True, edits=edits)
    assert len(said) == 1 and "betas are schedules" in said[0]
    assert (recorder.recorded, recorder.warm, recorder.replayed) == (2, 6, 2 + 3)
    _, wanted, _ = play(tiny_images, (), CPU, None, tensors=True, edits=edits)
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in state.items())


@pytest.mark.parametrize("variant", ["rates that fall", "lazy penalties", "sgd"])
def test_numbers_on_the_device_are_the_same_numbers(tiny_images: Store, variant: str):
    on_device, _, _ = play(tiny_images, VARIANTS[variant], CPU, None, tensors=True)
    plain, _, _ = play(tiny_images, VARIANTS[variant], CPU, None, tensors=False)
    for ours, theirs in zip(on_device[:5], plain[:5], strict=True):  # before small differences have grown
        for name, value in ours.items():
            torch.testing.assert_close(value, theirs[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        (("game.historical_averaging=0.1",), "historical averaging"),
        (("generator.optimizer.betas=[{value=0.5,to=0.9,start=0,end=100},0.99]",), "betas are schedules"),
    ],
)
def test_rounds_that_cannot_be_replayed_are_played_and_why_is_said(
    tiny_images: Store, settings: tuple[str, ...], why: str
):
    recorder = CPURecorder()
    ours, _, said = play(tiny_images, settings, CPU, recorder, tensors=True)
    assert why in said[0]
    assert recorder.warm == recorder.recorded == 0
    theirs, _, _ = play(tiny_images, settings, CPU, None, tensors=True)
    assert all(torch.equal(value, theirs[-1][name]) for name, value in ours[-1].items())


def test_a_round_that_cannot_be_recorded_ends_the_run_with_the_way_out(tiny_images: Store):
    class Failing(CPURecorder):
        def record(self, run: Callable[[], None], generators: Sequence[torch.Generator] = ()) -> Callable[[], None]:
            raise RuntimeError("operation not permitted when stream is capturing\nmore")

    with pytest.raises(RunError, match=r"got: operation not permitted.*\n.*execution=eager"):
        play(tiny_images, (), CPU, Failing(), tensors=True)


def test_a_module_of_ones_own_is_played(tiny_images: Store):
    """Whatever it computes in Python would be fixed in a recording."""
    config = resolve(load_recipe("mlp-tanh"), parse_settings(["batch_size=16"]))
    own = CustomNetworkConfig(name="Mine", parameters=1)
    custom = config.model_copy(update={"generator": config.generator.model_copy(update={"network": own})})
    made = make_gan(config, tiny_images, Scaling.fit(tiny_images, "tanh"), Networks(), CPU)
    learner = GAN(custom, made.generator.network, made.discriminator.network, CPU, replayed=True)
    said: list[str] = []
    Engine(learner, recorder=CPURecorder(), say=said.append)
    assert "a module of your own" in said[0]


def test_other_shapes_are_recorded_anew(tiny_images: Store):
    config = resolve(load_recipe("mlp-tanh"), parse_settings(["batch_size=16"]))
    scaling = Scaling.fit(tiny_images, "tanh")
    made = make_gan(config, tiny_images, scaling, Networks(), CPU)
    learner = GAN(config, made.generator.network, made.discriminator.network, CPU, replayed=True)
    recorder = CPURecorder()
    engine, feed = Engine(learner, recorder=recorder), make_feed(config, tiny_images, scaling, CPU)
    for number, size in enumerate([16] * 5 + [8] * 5 + [16] * 2):
        engine.play([feed.batch(0, size)], number, number)
    assert (recorder.warm, recorder.recorded, recorder.replayed) == (6, 2, 6)


def test_only_a_gpu_replays():
    assert not are_replayed(CPU, "auto")
    assert are_replayed(torch.device("cuda"), "auto")
    assert not are_replayed(torch.device("cuda"), "eager")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_graphs_are_recorded_anew_after_an_edit(tiny_images: Store):
    device = torch.device("cuda")
    edits = {5: {"game.r1": 0.5, "generator.optimizer.betas": [0.0, 0.9]}, 10: {"game.r1": 0}}
    ours, _, _ = play(tiny_images, (), device, CudaRecorder(device), tensors=True, edits=edits)
    theirs, _, _ = play(tiny_images, (), device, None, tensors=True, edits=edits)
    for ours_then, theirs_then in zip(ours, theirs, strict=True):
        assert ours_then.keys() == theirs_then.keys()
        for name, value in ours_then.items():
            torch.testing.assert_close(value, theirs_then[name], rtol=1e-3, atol=1e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("variant", VARIANTS)
def test_cuda_graphs_equal_eager_rounds(tiny_images: Store, variant: str):
    device = torch.device("cuda")
    replayed, state, said = play(tiny_images, VARIANTS[variant], device, CudaRecorder(device), tensors=True)
    assert not said
    played, wanted, _ = play(tiny_images, VARIANTS[variant], device, None, tensors=True)
    for ours, theirs in zip(replayed, played, strict=True):
        for name, value in ours.items():
            torch.testing.assert_close(value, theirs[name], rtol=1e-3, atol=1e-5)
    for name, tensor in state.items():
        torch.testing.assert_close(tensor, wanted[name], rtol=1e-2, atol=1e-4)


def play_compiled(store: Store, settings: tuple[str, ...], backend: str | None) -> dict[str, torch.Tensor]:
    """The state after some rounds, with turns compiled by a backend or as they are."""
    store = large_enough(store, settings)
    config = resolve(load_recipe("mlp-tanh"), parse_settings(["batch_size=16", *settings]))
    config = settle(config, {}, total=16 * 3)
    scaling = Scaling.fit(store, "tanh")
    learner = make_gan(config, store, scaling, Networks(), CPU)
    precision = "float32" if config.precision == "auto" else config.precision
    engine, feed = Engine(learner, precision), make_feed(config, store, scaling, CPU)
    if backend is not None:
        compile_turns(learner.rule, backend)
    for number in range(3):
        position = number * 16 * learner.turns
        learner.schedule(position)
        engine.play([feed.batch(position + 16 * turn, 16) for turn in range(learner.turns)], number, number)
    return learner.state()


def compare(store: Store, settings: tuple[str, ...], backend: str, tolerance: float) -> None:
    torch.compiler.reset()
    ours, theirs = play_compiled(store, settings, backend), play_compiled(store, settings, None)
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, rtol=tolerance, atol=tolerance, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's own modules
@pytest.mark.slow
@pytest.mark.parametrize("variant", [each for each in VARIANTS if each != "a population"])
def test_a_traced_turn_equals_a_played_one(tiny_images: Store, variant: str):
    """The same operations in one graph, without the code generator: equal to rounding."""
    compare(tiny_images, VARIANTS[variant], "aot_eager", 1e-6)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's own modules
def test_a_compiled_turn_with_penalties_and_dropout_equals_a_played_one(tiny_images: Store):
    settings = ("game.r1=0.1", "game.loss=relativistic", "discriminator.network.dropout=0.3")
    compare(tiny_images, settings, "inductor", 1e-4)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's own modules
def test_compiled_turns_follow_edits_and_are_compiled_anew_only_for_other_operations(tiny_images: Store):
    from torch._dynamo.testing import CompileCounterWithBackend

    torch.compiler.reset()

    def rounds(backend: Any) -> dict[str, torch.Tensor]:
        config = resolve(load_recipe("mlp-tanh"), parse_settings(["batch_size=16", "execution=compile"]))
        scaling = Scaling.fit(tiny_images, "tanh")
        plain = config.model_copy(update={"execution": "eager"})
        learner = make_gan(plain, tiny_images, scaling, Networks(), CPU)
        learner = GAN(plain, learner.generator.network, learner.discriminator.network, CPU, replayed=True)
        if backend is not None:
            compile_turns(learner.rule, backend)
        engine, feed = Engine(learner), make_feed(config, tiny_images, scaling, CPU)
        for number in range(24):
            if number >= 4:  # twenty values, of which all but the first are the same operations
                config, _ = edited(config, {"game.r1": 0.1 * number})
                learner.retune(config)
            learner.schedule(16 * number)
            engine.play([feed.batch(16 * number, 16)], number, number)
        return learner.state()

    counter = CompileCounterWithBackend("aot_eager")
    ours, theirs = rounds(counter), rounds(None)
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, rtol=1e-4, atol=1e-4)
    assert counter.frame_count == 3  # D's turn without and with the penalty, and G's


def test_a_turn_that_cannot_be_compiled_says_so(tiny_images: Store):
    torch.compiler.reset()

    def broken(*_: object) -> None:
        raise RuntimeError("no compiler here")

    with pytest.raises(RunError, match=r"cannot compile(.|\n)*broken(.|\n)*execution=auto"):
        play_compiled(tiny_images, (), broken)  # pyright: ignore[reportArgumentType]
