"""Names: what a proxy is compared with, and the free scores that are averaged."""

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

AVERAGED = ("synflow", "jacob_cov", "naswot", "num_params")
"""The free scores whose rank average is `free_average`."""

FULL = ("full_annealed", "full_stopped")
"""Those of them that are trained on the full data."""
