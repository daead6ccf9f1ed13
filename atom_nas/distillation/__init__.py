"""A data set condensed to a few images a class: ATOM, its family, and coresets."""
