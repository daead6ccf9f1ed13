"""How long, and at which rates, a candidate is trained."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Training:
    """SGD with Nesterov momentum on a one-cycle learning rate, images shifted and mirrored."""

    steps: int
    """Updates of the whole schedule, each on one batch."""
    flip: bool
    """Mirror half of the images."""
    stop: float = 1.0
    """End after this share of the schedule, the learning rate as it is then."""
    batch_size: int = 64
    learning_rate: float = 0.1
    """The peak of the one-cycle schedule."""
    momentum: float = 0.9
    weight_decay: float = 5e-4
    max_grad_norm: float = 1.0
    """Gradients are clipped to this L2 norm."""
    shift: float = 0.125
    """Images move by up to this share of their side, zero-padded."""
    warm_up: float = 0.3
    """The share of the schedule in which the rate climbs; then it falls, both as a cosine."""
    label_smoothing: float = 0.0
    """The share of a label that is spread evenly over all classes."""
    decays_norms: bool = True
    """Whether biases and the parameters of normalisation decay like all other weights."""

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch_size < 1 or self.learning_rate <= 0:
            raise ValueError(f"steps, batch_size and learning_rate must be positive: {self}")
        if not 0 < self.stop <= 1:
            raise ValueError(f"stop is {self.stop}; it must be above 0 and at most 1")
        if not (0 <= self.warm_up < 1 and 0 <= self.label_smoothing < 1):
            raise ValueError(f"warm_up and label_smoothing must be shares: {self}")

    def images_of_epoch(self, num_images: int) -> int:
        """Return how many of `num_images` images a pass over them shows.

        A last batch of one image is left out: batch normalisation cannot train on one.
        """
        is_one_left = num_images > 1 and num_images % self.batch_size == 1
        return num_images - 1 if is_one_left else num_images

    def steps_of_epoch(self, num_images: int) -> int:
        """Return how many batches a pass over `num_images` images has."""
        return -(-self.images_of_epoch(num_images) // self.batch_size)

    def steps_in(self, epochs: float, num_images: int) -> int:
        """Return how many steps so many passes over `num_images` images are, at least one."""
        return max(1, round(epochs * self.steps_of_epoch(num_images)))

    @property
    def steps_taken(self) -> int:
        """The steps up to `stop`."""
        return max(1, round(self.steps * self.stop))

    def images_shown(self, num_images: int) -> int:
        """Return how many images the steps show, repeats counted, of a set of `num_images`."""
        epochs, rest = divmod(self.steps_taken, self.steps_of_epoch(num_images))
        shown = self.images_of_epoch(num_images)
        return epochs * shown + rest * min(self.batch_size, shown)
