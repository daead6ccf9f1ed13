"""The names of the samplers, for whoever reads options: the samplers themselves need Optuna."""

SAMPLER_NAMES = ("tpe", "random", "brute_force", "gp", "nsga2")
"""The keys of `SAMPLERS`, in its order."""
