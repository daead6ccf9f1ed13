"""The artifact on disk: whole or not there, found again, never mixed up."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from atom_nas.data.sources import open_dataset
from atom_nas.distillation import condense as module
from atom_nas.distillation import matching as distill
from atom_nas.distillation import proxy as artifact
from atom_nas.distillation.condense import Condensation, condense
from atom_nas.distillation.proxy import load_proxy, save_preview
from atom_nas.distillation.recipes import Recipe
from atom_nas.errors import UserError
from atom_nas.storage.files import digest, read_json

RECIPE = Recipe(steps=4, learning_rate=1.0, real_batch=8, width=8, flip=False)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def dataset():
    return open_dataset("digits", Path("unused"), seed=0)


@pytest.fixture
def job(dataset):
    return Condensation(dataset=dataset, method="atom", images_per_class=2, seed=0, recipe=RECIPE)


@pytest.fixture
def random_job(dataset):
    return Condensation(dataset=dataset, method="random", images_per_class=2, seed=0, recipe=None)


def no_distillation(*args, **kwargs):
    pytest.fail("distilled again")


def test_what_is_on_disk(job, tmp_path):
    proxy = condense(job, tmp_path, CPU)
    assert {path.name for path in tmp_path.iterdir()} == {
        "images.safetensors",
        "manifest.json",
        "preview.png",
    }
    tensors = load_file(tmp_path / "images.safetensors")
    assert torch.equal(tensors["pixels"], proxy.images.pixels)
    assert torch.equal(tensors["labels"], proxy.images.labels)
    manifest = read_json(tmp_path / "manifest.json")
    assert manifest["method"] == "atom"
    assert manifest["proxy"] == "atom_ipc2"
    assert manifest["recipe"]["steps"] == 4
    assert manifest["seed"] == 0
    assert manifest["train_digest"] == job.dataset.train.digest
    assert manifest["seconds"] > 0
    assert manifest["peak_memory_bytes"] > 1e6
    assert {"atom_nas", "torch"} <= manifest["versions"].keys()
    assert manifest["class_names"] == list("0123456789")


def test_a_second_call_finds_the_first(job, tmp_path, monkeypatch):
    made = condense(job, tmp_path, CPU)
    monkeypatch.setattr(module, "distill", no_distillation)
    found = condense(job, tmp_path, CPU)
    assert torch.equal(found.images.pixels, made.images.pixels)
    assert found.images.digest == made.images.digest
    assert found.seconds == made.seconds
    assert found.name == "atom_ipc2"


def test_what_an_ended_distillation_left_beside_the_set_of_another_goes(job, tmp_path):
    made = condense(job, tmp_path / "made", CPU)
    (tmp_path / "made" / "checkpoint.safetensors").write_bytes(b"of before")
    assert condense(job, tmp_path / "made", CPU).digest == made.digest
    assert not (tmp_path / "made" / "checkpoint.safetensors").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"images_per_class": 3},
        {"method": "datadam"},
        {"recipe": replace(RECIPE, steps=5)},
        {"recipe": replace(RECIPE, embedding_weight=0.5)},
    ],
)
def test_a_changed_setting_lies_in_another_folder_and_not_in_this(job, tmp_path, change):
    other = replace(job, **change)
    assert other.folder(tmp_path) != job.folder(tmp_path)
    assert replace(other, **{k: getattr(job, k) for k in change}).folder(tmp_path) == job.folder(
        tmp_path
    )
    condense(job, tmp_path, CPU)
    before = (tmp_path / "images.safetensors").read_bytes()
    with pytest.raises(UserError, match=next(iter(change))):
        condense(other, tmp_path, CPU)
    assert (tmp_path / "images.safetensors").read_bytes() == before


def test_other_training_data_lie_in_another_folder(job, tmp_path):
    other = replace(job, dataset=open_dataset("digits", Path("unused"), seed=1))
    assert other.folder(tmp_path) != job.folder(tmp_path)


def test_a_proxy_without_its_manifest_is_not_there(job, tmp_path, monkeypatch):
    def killed(path, value):
        assert (tmp_path / "images.safetensors").exists()
        assert (tmp_path / "preview.png").exists()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(artifact, "write_json", killed)
        with pytest.raises(KeyboardInterrupt):
            condense(job, tmp_path, CPU)
    assert load_proxy(tmp_path) is None
    steps = []
    gradient = distill.Matching.gradient

    def counted(self, images, net, step):
        steps.append(step)
        return gradient(self, images, net, step)

    monkeypatch.setattr(distill.Matching, "gradient", counted)
    assert len(condense(job, tmp_path, CPU).images) == 20
    assert steps == []


def truncated(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flipped(path):
    """Change one bit in the middle: of an image, of a word of the manifest."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def emptied(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [truncated, flipped, emptied, Path.unlink])
@pytest.mark.parametrize("name", ["images.safetensors", "manifest.json", "preview.png"])
def test_what_is_damaged_is_made_again(job, tmp_path, capsys, monkeypatch, name, damage):
    made = condense(job, tmp_path, CPU)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    damage(tmp_path / name)
    capsys.readouterr()
    if name == "preview.png":
        monkeypatch.setattr(module, "distill", no_distillation)
    assert condense(job, tmp_path, CPU).images.digest == made.images.digest
    if (name, damage) != ("manifest.json", Path.unlink):  # that is as an unfinished one
        line = capsys.readouterr().err.splitlines()[0]
        assert line.startswith(f"{tmp_path / name} is ")
        assert line.endswith(": it is made again.")
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert after.pop("manifest.json")
    del before["manifest.json"]  # the seconds differ
    assert after == before
    monkeypatch.setattr(module, "distill", no_distillation)
    capsys.readouterr()
    condense(job, tmp_path, CPU)
    assert capsys.readouterr().err == ""


def test_a_damaged_proxy_of_another_making_is_refused(job, random_job, tmp_path):
    condense(job, tmp_path, CPU)
    truncated(tmp_path / "images.safetensors")
    with pytest.raises(UserError, match="holds a proxy made with another"):
        condense(random_job, tmp_path, CPU)


@pytest.mark.parametrize("damage", [truncated, flipped, emptied])
def test_a_damaged_checkpoint_is_begun_again(job, tmp_path, capsys, monkeypatch, damage):
    whole = condense(job, tmp_path / "whole", CPU)
    monkeypatch.setattr(distill, "CHECKPOINT_SECONDS", 0)
    gradient = distill.Matching.gradient
    steps = []

    def counted(self, images, net, step):
        steps.append(step)
        if len(steps) == 3:
            raise KeyboardInterrupt
        return gradient(self, images, net, step)

    monkeypatch.setattr(distill.Matching, "gradient", counted)
    with pytest.raises(KeyboardInterrupt):
        condense(job, tmp_path, CPU)
    damage(tmp_path / "checkpoint.safetensors")
    assert torch.equal(condense(job, tmp_path, CPU).images.pixels, whole.images.pixels)
    assert steps == [0, 1, 2, 0, 1, 2, 3]
    assert "checkpoint.safetensors is damaged: it is made again." in capsys.readouterr().err


def test_the_digest_is_of_all_that_the_images_depend_on(job, random_job, tmp_path):
    proxies = [condense(each, each.folder(tmp_path), CPU) for each in (job, random_job)]
    assert proxies[0].digest == digest(job.identity)
    assert len({proxy.digest for proxy in proxies}) == 2
    assert all(proxy.manifest["images_digest"] == proxy.images.digest for proxy in proxies)


def test_a_method_file_is_not_taken_for_a_built_in(random_job, tmp_path):
    file = tmp_path / "random.py"
    file.write_text(
        "import torch\n"
        "def select(train, images_per_class, *, seed, device):\n"
        "    return torch.cat([i[:images_per_class] for i in train.class_indices()])\n"
    )
    own_job = replace(random_job, method=str(file))
    own, built_in = (condense(each, each.folder(tmp_path), CPU) for each in (own_job, random_job))
    assert (own.name, built_in.name) == ("random.py_ipc2", "random_ipc2")
    assert own.digest != built_in.digest
    assert own_job.folder(tmp_path).name.startswith("random.py_ipc2-")
    with pytest.raises(UserError, match="proxy and method and method_digest"):
        condense(own_job, random_job.folder(tmp_path), CPU)


def test_an_empty_folder_holds_no_proxy(tmp_path):
    assert load_proxy(tmp_path) is None
    assert load_proxy(tmp_path / "none") is None


def test_preview_has_a_row_a_class(tmp_path):
    pixels = torch.randint(0, 256, (3 * 4, 3, 32, 32), dtype=torch.uint8)
    save_preview(pixels, 3, tmp_path / "p.png")
    with Image.open(tmp_path / "p.png") as image:
        assert image.size == (4 * (64 + 2), 3 * (64 + 2))
        assert image.mode == "RGB"


def test_a_preview_of_what_no_picture_has_shows_the_first_channel(tmp_path):
    pixels = torch.randint(0, 256, (4, 5, 8, 8), dtype=torch.uint8)
    save_preview(pixels, 2, tmp_path / "five.png")
    save_preview(pixels[:, :1], 2, tmp_path / "one.png")
    with Image.open(tmp_path / "five.png") as image:
        assert image.mode == "L" and image.size == (2 * (64 + 2), 2 * (64 + 2))


def test_a_checkpoint_of_another_job_is_not_gone_on_with(job, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(module, "save_proxy", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        condense(job, tmp_path, CPU)
    assert (tmp_path / "checkpoint.safetensors").exists()
    monkeypatch.undo()
    other = replace(job, seed=1)
    expected = condense(other, tmp_path / "alone", CPU).images.pixels
    assert torch.equal(condense(other, tmp_path, CPU).images.pixels, expected)
    assert "is of another distillation: it is made again" in capsys.readouterr().err


@pytest.mark.parametrize("value", [0.0, 5.0])
def test_preview_of_constant_images(tmp_path, value):
    save_preview(torch.full((4, 1, 8, 8), value), 2, tmp_path / "p.png")
    with Image.open(tmp_path / "p.png") as image:
        assert image.size[1] == 2 * (64 + 2)


def test_whitened_images_come_back_to_pictures(job, tmp_path, dataset):
    """With no step that moves them, distilled images are real ones, whitening undone."""
    recipe = replace(RECIPE, whiten=True, steps=1, learning_rate=1e-12)
    pixels = condense(replace(job, recipe=recipe), tmp_path, CPU).images.pixels
    real = dataset.train.pixels.float() / 255
    distances = (pixels[:, None] - real).abs().amax((2, 3, 4))
    assert distances.min(1).values.max() < 1e-4


def test_images_of_another_kind_of_device_are_another_proxy(job, random_job, tmp_path):
    """The same seed draws other nets on a GPU; random images are drawn on the CPU everywhere."""
    made = condense(job, tmp_path, CPU)
    assert "device_type" not in made.manifest
    on_gpu = replace(job, device_type="cuda")
    assert on_gpu.folder(tmp_path) != job.folder(tmp_path)
    with pytest.raises(UserError, match="another device_type"):
        condense(on_gpu, tmp_path, CPU)
    assert replace(random_job, device_type="cuda").identity == random_job.identity


def test_the_whitening_of_a_data_set_is_worked_out_once(job, tmp_path, monkeypatch):
    fitted = []
    fit = module.ZCA.fit
    monkeypatch.setattr(module.ZCA, "fit", lambda images: fitted.append(1) or fit(images))
    monkeypatch.setattr(module, "_whitenings", {})
    whitened = replace(job, recipe=replace(RECIPE, whiten=True, steps=1))
    first = condense(whitened, tmp_path / "first", CPU)
    second = condense(replace(whitened, seed=1), tmp_path / "second", CPU)
    assert len(fitted) == 1
    assert not torch.equal(first.images.pixels, second.images.pixels)
    fewer = replace(job.dataset, train=job.dataset.train.select(torch.arange(900)))
    condense(replace(whitened, dataset=fewer), tmp_path / "fewer", CPU)
    assert len(fitted) == 2
