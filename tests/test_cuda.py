"""The numerical core on a pretended GPU: it runs, and waits for the device nowhere in a step.

Kernels are counted, not timed; a ceiling is what was counted on torch 2.14, and a little more.
"""

from dataclasses import replace

import optuna
import pytest
import torch
from fake_cuda import fake_cuda, run_backward
from torch import nn
from torch.nn import functional as F

from atom_nas.audit.zero_cost import SCORES
from atom_nas.data.transfer import move
from atom_nas.data.whitening import ZCA
from atom_nas.distillation.matching import Matching, distill
from atom_nas.distillation.methods import atom, channel, datadam, dm
from atom_nas.distillation.recipes import Recipe
from atom_nas.scoring.space import load_space
from atom_nas.training.batches import Examples
from atom_nas.training.convnet import ConvNet, FeatureNet
from atom_nas.training.course import Course
from atom_nas.training.devices import autocast, warm_up
from atom_nas.training.final import final_training, fit_to_best
from atom_nas.training.fit import evaluate, fit
from atom_nas.training.schedule import Training

CUDA = torch.device("cuda")
RECIPE = Recipe(steps=3, learning_rate=1.0)
# A pretended tensor has no memory to point to, as copying one looks whether it has.
UNREADABLE = pytest.mark.filterwarnings("ignore:Accessing the data pointer of FakeTensor")


@pytest.fixture
def gpu():
    with fake_cuda() as gpu:
        yield gpu


def make_matching(recipe=RECIPE, method=atom):
    """Ten classes of 20 images of CIFAR's shape, on the GPU."""
    return Matching(
        real=torch.rand(200, 3, 32, 32).to(CUDA),
        class_indices=list(torch.arange(200).split(20)),
        describe=method.describe,
        recipe=recipe,
        seed=0,
    )


def make_examples(count):
    images, labels = torch.rand(count, 3, 16, 16), torch.arange(count) % 10
    return Examples(images=images.to(CUDA), labels=labels.to(CUDA))


def make_net(recipe):
    net = FeatureNet((3, 32, 32), width=recipe.width, depth=recipe.depth, norm=recipe.norm)
    return net.to(CUDA).requires_grad_(False)


def test_its_gradients_are_those_of_torch():
    torch.manual_seed(0)
    net, images = ConvNet((3, 8, 8), 4, width=8), torch.randn(5, 3, 8, 8)
    loss = F.cross_entropy(net(images), torch.arange(5) % 4)
    parameters = list(net.parameters())
    expected = torch.autograd.grad(loss, parameters, retain_graph=True)
    found = run_backward((loss,), (torch.ones(()),), True, False, parameters, accumulate_grad=False)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_it_refuses_what_a_gpu_refuses(gpu):
    images = torch.rand(4, 3, 8, 8, device=CUDA)
    with pytest.raises(RuntimeError, match="cpu"):
        nn.Conv2d(3, 2, 3)(images)
    with pytest.raises(RuntimeError, match="generator of cpu"):
        torch.rand(4, device=CUDA, generator=torch.Generator())
    with pytest.raises(RuntimeError, match="indexed by one on the GPU"):
        torch.rand(4)[torch.zeros(2, dtype=torch.long, device=CUDA)]


def test_it_counts_kernels_and_waits(gpu):
    x = torch.rand(4, device=CUDA)
    y = (x.view(2, 2) * 2).sum()
    assert gpu.kernels.total() == 3
    assert not gpu.waits
    y.item()
    y.cpu()
    x[torch.tensor([1, 2])]
    torch.rand(3).to(CUDA, non_blocking=True)
    assert gpu.waits == {"read": 1, "to cpu": 1, "from cpu": 2}


def test_a_pack_of_tensors_goes_at_once(gpu):
    sent = [torch.rand(3), torch.tensor([True]), torch.zeros(2, 2, dtype=torch.float64)]
    got = move(sent, CUDA)
    assert (gpu.sent, gpu.kernels.total(), gpu.waits.total()) == (1, 1, 0)
    for a, b in zip(got, sent, strict=True):
        assert (a.device.type, a.dtype, a.shape) == ("cuda", b.dtype, b.shape)


@pytest.mark.parametrize(
    ("method", "norm", "ceiling"),
    [
        (atom, "instance", 500),
        (atom, "batch", 370),
        (dm, "instance", 335),
        (dm, "batch", 205),
        (datadam, "instance", 430),
        (channel, "none", 275),
    ],
)
def test_a_step_of_a_distillation_waits_for_nothing(gpu, method, norm, ceiling):
    recipe = replace(RECIPE, norm=norm)
    matching, net = make_matching(recipe, method), make_net(recipe)
    images = matching.random_start(5)
    gpu.forget()
    loss, gradient = matching.gradient(images, net, 0)
    assert (loss.device.type, gradient.shape) == ("cuda", images.shape)
    assert not gpu.waits
    assert 0 < gpu.kernels.total() <= ceiling


def test_a_longer_distillation_waits_no_more_often(gpu, tmp_path):
    waits = []
    for steps in (2, 5):
        matching = make_matching(replace(RECIPE, steps=steps, width=8), dm)
        gpu.forget()
        distill(matching, 2, checkpoint=tmp_path / str(steps), watch=lambda *_: None)
        waits.append(dict(gpu.waits))
    assert waits[0] == waits[1]


@pytest.mark.parametrize(
    ("norm", "free_bytes", "passes"),
    [("instance", 2**33, 1), ("instance", 2**27, 10), ("batch", 2**33, 2)],
)
def test_passes_are_sized_by_what_is_free(gpu, monkeypatch, norm, free_bytes, passes):
    """Under batch norm they are not, since its result depends on them."""
    monkeypatch.setattr("atom_nas.distillation.matching.MAX_PIXELS", 500_000)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free_bytes, 2**34))
    recipe = replace(RECIPE, norm=norm)
    matching, net = make_matching(recipe, dm), make_net(recipe)
    images = matching.random_start(5)
    gpu.forget()
    matching.gradient(images, net, 0)
    assert gpu.sent == 1 + passes


@pytest.mark.parametrize(
    ("name", "settings", "ceiling"),  # of one architecture of the space, drawn with seed 0
    [("convnet", {}, 240), ("mobile", {}, 880), ("nas_bench_201", {"cells_per_stage": 1}, 580)],
)
def test_a_step_of_a_candidate_waits_for_nothing(gpu, monkeypatch, name, settings, ceiling):
    monkeypatch.setattr("atom_nas.training.fit.NUM_PARTS", 1)
    space = load_space(name, (3, 16, 16), 10).shrunk(settings)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    architecture = space.sample(study.ask())
    examples = make_examples(128)
    kernels, waits = [], []
    for steps in (1, 2):
        net = space.build(architecture, seed=0)
        gpu.forget()
        fit(net, examples, Training(steps=steps, flip=True), seed=0)
        kernels.append(gpu.kernels.total())
        waits.append(dict(gpu.waits))
    assert waits[0] == waits[1]
    assert 0 < kernels[1] - kernels[0] <= ceiling
    gpu.forget()
    evaluate(net, examples)
    assert gpu.waits == {"read": 3}


def launches(gpu, steps, net=None):
    """Train on two batches of 64 an epoch; return kernels, kernels recorded, and replays."""
    net = net or ConvNet((3, 16, 16), 10, width=8)
    gpu.forget()
    fit(net, make_examples(128), Training(steps=steps, flip=True), seed=0)
    return gpu.kernels.total(), gpu.recorded.total(), gpu.replays


def test_a_candidate_s_step_is_recorded_once_and_replayed(gpu, monkeypatch):
    monkeypatch.setattr("atom_nas.training.fit.NUM_PARTS", 1)
    assert launches(gpu, 2)[1:] == (0, 0)
    short, recorded, replays = launches(gpu, 5)
    assert replays == 3 and 30 < recorded < 230
    longer, still, replays = launches(gpu, 25)
    assert replays == 23 and still == recorded
    assert 0 < (longer - short) / 20 < 20  # ten epochs' images are moved, and rates are set


@UNREADABLE
def test_a_final_training_records_its_step_and_goes_on(gpu, monkeypatch, tmp_path):
    """Two groups of parameters, smoothed labels, measured every epoch, kept, and gone on with."""
    kept = {}

    def save(path, tensors, notes):
        kept.update(tensors=dict(tensors), notes=notes)
        path.touch()

    monkeypatch.setattr("atom_nas.training.final.save_sealed", save)
    monkeypatch.setattr("atom_nas.training.final.load_sealed", lambda _: tuple(kept.values()))
    monkeypatch.setattr("atom_nas.training.final.CHECKPOINT_SECONDS", 0.0)
    training, sets = final_training(epochs=4, num_images=128, flip=True), (make_examples(128),) * 2
    net = ConvNet((3, 16, 16), 10, width=8)
    best, _ = fit_to_best(
        net, *sets, training, seed=0, checkpoint=tmp_path / "kept", watch=lambda *_: None
    )
    assert gpu.replays == 4 * 2 - 2
    assert all(each.device.type == "cuda" for each in best.weights.values())
    other = Course(ConvNet((3, 16, 16), 10, width=8), sets[0], replace(training, steps=12), seed=1)
    other.restore({**kept["tensors"], "steps": torch.tensor(8)})
    other.go_on(4)
    assert other.steps == 12


def test_each_size_of_a_batch_is_recorded_by_itself(gpu):
    net, images = ConvNet((3, 16, 16), 10, width=8), make_examples(100)
    gpu.forget()
    fit(net, images, Training(steps=10, flip=True), seed=0)  # five epochs of 64 and 36 images
    assert gpu.replays == 2 * 3
    assert gpu.recorded["aten.convolution.default"] == 2 * 3


def test_a_net_that_reads_from_the_device_is_trained_plainly(gpu):
    class Reader(ConvNet):
        def forward(self, images):
            return super().forward(images) * images.mean().item()

    kernels, _, replays = launches(gpu, 8, Reader((3, 16, 16), 10, width=8))
    assert replays == 0 and kernels > 8 * 50


def test_nets_run_in_bfloat16_unless_it_is_emulated(gpu, monkeypatch):
    linear, x = nn.Linear(2, 2).to(CUDA), torch.ones(1, 2, device=CUDA)
    with autocast(CUDA):
        assert linear(x).dtype == torch.bfloat16
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation
    )
    with autocast(CUDA):
        assert linear(x).dtype == torch.float32


def test_the_gpu_is_started_and_draws_nothing(gpu):
    before = torch.get_rng_state()
    warm_up(CUDA)
    assert gpu.kernels["aten.convolution_backward.default"] == 1
    assert gpu.waits == {"synchronize": 1}
    assert torch.equal(torch.get_rng_state(), before)


def test_whitening_leaves_and_enters_the_device_by_the_whole(gpu):
    images = torch.rand(20, 3, 4, 4).to(CUDA)
    gpu.forget()
    zca = ZCA.fit(images)
    assert gpu.waits.total() <= 6
    gpu.forget()
    assert zca.invert(zca(images)).device.type == "cuda"
    assert not gpu.waits


@UNREADABLE
def test_zero_cost_scores(gpu):
    examples = make_examples(6)
    for score in SCORES.values():
        net = ConvNet((3, 16, 16), 10, width=8).to(CUDA)
        assert isinstance(score(net, examples.images, examples.labels), float)
