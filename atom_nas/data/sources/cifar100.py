"""CIFAR-100: 60,000 colour 32x32 photographs of a hundred classes."""

from pathlib import Path

from torchvision.datasets import CIFAR100

from atom_nas.data.sources import _torchvision
from atom_nas.data.splits import Source

FINE_LABELS = """
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus
    butterfly camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab
    crocodile cup dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo
    keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle mountain mouse
    mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy
    porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper
    snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television
    tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm
"""
CLASS_NAMES = tuple(FINE_LABELS.split())


def load(path: Path) -> Source:
    """Return the 50,000 training and 10,000 test images, kept under `path`."""
    return _torchvision.load(
        path,
        name="cifar100",
        dataset=CIFAR100,
        files="cifar-100-python/",
        class_names=CLASS_NAMES,
        flip=True,
        whiten=True,
    )
