"""Images kept as one picture."""

import pytest
import torch

from atom_nas.data.images import ImageSet
from atom_nas.data.mosaic import load_mosaic, save_mosaic


@pytest.mark.parametrize("per_class", [1, 3])
def test_images_come_back_as_they_were_sorted_by_class(tmp_path, per_class):
    generator = torch.Generator().manual_seed(0)
    labels = torch.tensor([2, 0, 1]).repeat(per_class)
    shape = (3 * per_class, 3, 8, 8)
    pixels = torch.randint(256, shape, dtype=torch.uint8, generator=generator)
    images = ImageSet(pixels=pixels, labels=labels, class_names=("a", "b", "c"))
    save_mosaic(images, tmp_path / "all.png")
    found = load_mosaic(tmp_path / "all.png", images.class_names)
    order = torch.argsort(labels, stable=True)
    assert torch.equal(found.pixels, pixels[order])
    assert torch.equal(found.labels, labels[order])
    assert found.class_names == images.class_names
