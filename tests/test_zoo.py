"""The nets of the papers: their sizes, and that they learn."""

import pytest
import torch

from atom_nas.distillation.paper_nets import NETS
from atom_nas.errors import UserError


@pytest.mark.parametrize(
    ("name", "num_params"),
    [
        ("convnet3", 320_010),
        ("convnet3_batch", 320_010),
        # 5x5x3x128 + 5x5x128x192 + 3x3x(192x256 + 256x192 + 192x192) + biases + 192x4x4x10 + 10
        ("alexnet", 9_728 + 614_592 + 442_624 + 442_560 + 331_968 + 30_730),
        # torchvision's VGG-11 with batch norm has 9,225,984 in its layers before the classifier
        ("vgg11", 9_225_984 + 5_130),
        # torchvision's ResNet-18 (11,689,512) with 10 classes for 1000 and a 3x3 stem for 7x7
        ("resnet18", 11_689_512 - 990 * 513 - 64 * 3 * (49 - 9)),
    ],
)
def test_nets_have_their_known_size_on_cifar10(name: str, num_params: int) -> None:
    net = NETS[name]((3, 32, 32), 10)
    assert sum(parameter.numel() for parameter in net.parameters()) == num_params


@pytest.mark.parametrize(
    ("name", "side"),
    [
        *((name, side) for name in NETS for side in (16, 32, 64)),
        *((name, 8) for name in ("convnet3", "convnet3_batch", "alexnet", "vgg11", "vit")),
        *((name, 28) for name in ("convnet3", "alexnet", "vgg11", "resnet18")),
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_logits_depend_on_the_image_and_every_weight_learns(
    name: str, side: int, channels: int
) -> None:
    torch.manual_seed(0)
    net = NETS[name]((channels, side, side), 7)
    images = torch.randn(3, channels, side, side, requires_grad=True)
    logits = net(images)
    assert logits.shape == (3, 7)
    if name == "vit":  # its classifier starts at 0
        torch.nn.init.normal_(net.heads[-1].weight)
        logits = net(images)
    logits.square().sum().backward()
    assert images.grad is not None and (images.grad.flatten(1).norm(dim=1) > 1e-6).all()
    assert all(parameter.grad is not None for parameter in net.parameters())


@pytest.mark.parametrize(
    ("name", "shape"), [("resnet18", (3, 8, 8)), ("vit", (1, 28, 28)), ("vit", (3, 32, 16))]
)
def test_images_that_a_net_cannot_take_are_a_user_error(
    name: str, shape: tuple[int, int, int]
) -> None:
    with pytest.raises(UserError, match=f"{name} got images of {shape[1]}x{shape[2]}"):
        NETS[name](shape, 10)
