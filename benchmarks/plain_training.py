"""A candidate's training in the usual manner, written plainly.

A DataLoader over a TensorDataset, each image shifted and mirrored by torchvision, everything
float32 and NCHW, a loss read every step. It is what candidate_speed.py measures against, and
nothing else uses it.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, TensorDataset
from torchvision.transforms import v2

from atom_nas.training.schedule import Training


class Augmented(Dataset[tuple[Tensor, Tensor]]):
    """The examples of a TensorDataset, their images transformed one by one."""

    def __init__(self, examples: TensorDataset, transform: v2.Transform) -> None:
        self.examples, self.transform = examples, transform

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image, label = self.examples[index]
        return self.transform(image), label


def plain_training(
    net: nn.Module, train: TensorDataset, training: Training, device: torch.device
) -> None:
    """Train `net` in place for the steps of `training`, drawn from the global generator."""
    side = train.tensors[0].shape[-1]
    moves: list[v2.Transform] = [v2.RandomCrop(side, padding=round(training.shift * side))]
    if training.flip:
        moves.append(v2.RandomHorizontalFlip())
    data = Augmented(train, v2.Compose(moves))
    loader = DataLoader(data, batch_size=training.batch_size, shuffle=True)
    net = net.to(device).train()
    optimizer = torch.optim.SGD(
        net.parameters(),
        lr=training.learning_rate,
        momentum=training.momentum,
        weight_decay=training.weight_decay,
        nesterov=True,
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, training.learning_rate, total_steps=training.steps, cycle_momentum=False
    )
    step, total = 0, 0.0
    while step < training.steps:
        for images, labels in loader:
            optimizer.zero_grad()
            loss = F.cross_entropy(net(images.to(device)), labels.to(device))
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), training.max_grad_norm)
            optimizer.step()
            schedule.step()
            total += loss.item()
            step += 1
            if step == training.steps:
                break


@torch.no_grad()
def plain_accuracy(net: nn.Module, held_out: TensorDataset, device: torch.device) -> float:
    """Return the accuracy of `net` on `held_out`."""
    net.eval()
    hits = 0
    for images, labels in DataLoader(held_out, batch_size=256):
        hits += int((net(images.to(device)).argmax(1) == labels.to(device)).sum().item())
    return hits / len(held_out)
