"""Names: what a proxy is compared with, and what is put together with free scores."""

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

JOINT = {"combined_ranks": "combined_ranks", "combined": "combined_model"}
"""Objectives that put free scores together with the proxy, the cheaper first, and which estimator
of an audit each of them is."""

AVERAGED = ("synflow", "jacob_cov", "naswot", "num_params")
"""The free scores whose rank average is `free_average`."""
