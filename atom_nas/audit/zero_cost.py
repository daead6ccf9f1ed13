"""Training-free scores of an untrained net on one batch of training images, higher is better.

Each score is a pure function of a net, images (B, C, H, W), float32 and normalised, and labels
(B,): it works on a copy of the net, which may be in either mode, and is finite for a net that
ignores its images or whose gradients overflow. As the released codes of the papers do, all run in
training mode, where batch norm takes the statistics of the batch, except `synflow`.

Sources: Abdelfattah, Mehrotra, Dudziak & Lane, "Zero-Cost Proxies for Lightweight NAS", ICLR 2021;
Mellor, Turner, Storkey & Crowley, "Neural Architecture Search without Training", ICML 2021.
"""

import copy
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Criterion = Callable[[nn.Module, Tensor, Tensor], float]
"""From (net, images (B, C, H, W), labels (B,)) to a finite number, higher is better."""

ACTIVATIONS = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU),
    *(nn.Mish, nn.Hardswish, nn.Hardsigmoid, nn.Hardtanh, nn.Sigmoid, nn.Tanh, nn.Softplus),
)
"""Elementwise nonlinearities whose units make up the code of an image."""

NORMS = (
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm, nn.GroupNorm),
    *(nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d, nn.LayerNorm, nn.RMSNorm),
)
"""Normalisations that `synflow` passes by."""

EIGENVALUE_SHIFT = 1e-5
"""k of `jacob_cov`."""

FLAT = 1e-6
"""A Jacobian that varies by less than this share of its norm is constant but for rounding."""


def synflow(net: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Return log sum |theta * dR / dtheta| over the weights of convolutions and linear layers.

    R is the sum of the logits of one image of ones, of which only the shape comes from `images`,
    under |theta| for every parameter and without normalisation (Tanaka, Kunin, Yamins & Ganguli,
    NeurIPS 2020; Abdelfattah et al.). The released code takes out batch norm; in a fresh net its
    evaluation mode is the identity but for 1e-5. Other norms, which would divide the flow away, go
    too. In float64, on the CPU; the logarithm keeps the ranks, and sums of 0 and above float64
    count as its least and greatest normal number, -708.4 and 709.8.
    """
    flow = copy.deepcopy(net).to("cpu", torch.float64).requires_grad_(True).eval()
    for parameter in flow.parameters():
        parameter.data.abs_()
    for module in flow.modules():
        if isinstance(module, NORMS):
            module.register_forward_hook(lambda _, inputs, output: inputs[0])
    image = torch.ones(1, *images.shape[1:], dtype=torch.float64)
    limits = torch.finfo(torch.float64)
    return math.log(min(max(_saliency(flow, flow(image).sum()), limits.tiny), limits.max))


def naswot(net: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Return log det (K_H + I), where K_H[i, j] counts the units on which images i and j agree.

    A unit is an element of the input of an activation module, on if positive: the linear region of
    an image for ReLU, and its sign for any other of `ACTIVATIONS` (Mellor et al. have ReLU only,
    and log |det K_H|). I, one more unit for each image that it shares with none, is lost beside the
    eigenvalues of distinct codes and keeps equal codes finite and low; without activations it is 0.
    """
    kernel = torch.eye(len(images), dtype=torch.float64)

    def count(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        signs = 2 * (inputs[0].reshape(len(images), -1) > 0).float() - 1
        kernel.add_(((signs.shape[1] + signs @ signs.T) / 2).cpu())

    coder = copy.deepcopy(net).train()
    for module in coder.modules():
        if isinstance(module, ACTIVATIONS):
            module.register_forward_pre_hook(count)
    with torch.no_grad():
        coder(images)
    return float(torch.linalg.slogdet(kernel).logabsdet)


def jacob_cov(net: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Return -sum_i (log(v_i + k) + 1 / (v_i + k)), k = 1e-5.

    v (B,) are the eigenvalues of the correlations, over pixels, between the gradients of the sum of
    all logits by each image (Mellor et al., arXiv 2006.04647v1; Abdelfattah et al., whose figures
    leave out the cells where it is not a number). A constant gradient correlates with nothing here,
    not even itself: its eigenvalue is 0, its term the lowest there is.
    """
    pixels = images.detach().clone().requires_grad_(True)
    logits = copy.deepcopy(net).requires_grad_(True).train()(pixels)
    jacobians = _gradients(logits.sum(), [pixels])[0].flatten(1)
    centred = jacobians - jacobians.mean(1, keepdim=True)
    norms = centred.norm(dim=1, keepdim=True)
    is_flat = norms <= FLAT * jacobians.norm(dim=1, keepdim=True)
    directions = (centred / norms).masked_fill(is_flat, 0)
    shifted = torch.linalg.eigvalsh(directions @ directions.T).clamp(min=0) + EIGENVALUE_SHIFT
    return -float((shifted.log() + 1 / shifted).sum())


def grad_norm(net: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Return sum ||dL / dW||_2 over the weights of convolutions and linear layers.

    L is the mean cross-entropy of the batch (Abdelfattah et al.).
    """
    learner = copy.deepcopy(net).requires_grad_(True).train()
    loss = F.cross_entropy(learner(images), labels)
    return sum(float(gradient.norm()) for gradient in _gradients(loss, _weights(learner)))


def snip(net: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Return sum |theta * dL / dtheta| over the weights of convolutions and linear layers.

    L is the mean cross-entropy of the batch (Lee, Ajanthan & Torr, ICLR 2019; Abdelfattah et al.).
    """
    learner = copy.deepcopy(net).requires_grad_(True).train()
    return _saliency(learner, F.cross_entropy(learner(images), labels))


SCORES: dict[str, Criterion] = {
    "synflow": synflow,
    "naswot": naswot,
    "jacob_cov": jacob_cov,
    "grad_norm": grad_norm,
    "snip": snip,
}


def _weights(net: nn.Module) -> list[Tensor]:
    return [module.weight for module in net.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]


def _gradients(total: Tensor, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Return d total / d input for each, in float64 on the CPU: 0 where unused or not a number."""
    gradients = torch.autograd.grad(total, inputs, allow_unused=True, materialize_grads=True)
    return [torch.nan_to_num(gradient).cpu().double() for gradient in gradients]


def _saliency(net: nn.Module, total: Tensor) -> float:
    weights = _weights(net)
    pairs = zip(weights, _gradients(total, weights), strict=True)
    return sum((weight.detach().cpu() * gradient).abs().sum().item() for weight, gradient in pairs)
