"""Tables of full-data accuracies, one module each.

A module defines `SPACE`, the name of the search space whose candidates it knows, and
`load(dataset)`, which returns for every candidate (by `space.candidate_name`) what full-data
training made of it: `{"accuracies": [fractions, one a seed], "seconds": of a training}`.
"""
