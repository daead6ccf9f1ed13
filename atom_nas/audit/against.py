"""The sets of rivals by name: what a proxy is compared with beside the free scores."""

AGAINST: dict[str, tuple[str, ...]] = {
    "free": ("random",),
    "equal_cost": ("random", "full_annealed", "full_stopped"),
    "coresets": ("random", "herding", "kmeans"),
    "all": (
        *("random", "herding", "kmeans", "dm", "datadam", "atom"),
        *("full_annealed", "full_stopped"),
    ),
}
"""What is measured beside the free scores, which always are."""

FULL = ("full_annealed", "full_stopped")
"""Those of them that are trained on the full data."""
