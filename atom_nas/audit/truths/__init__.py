"""Tables of full-data accuracies, one module each.

A module defines `SPACE`, the name of the search space whose candidates it knows, `load(dataset)`,
which returns for every candidate (by `space.candidate_name`) what full-data training made of it:
`{"accuracies": [fractions on validation images, one a seed], "seconds": of a training, NaN if not
known}` and, where known, `"test_accuracies"`; and `images_shown(dataset)`, by a training, repeats
counted, 0 if not known. Where it defines `IS_SAMPLE = True`, its candidates are uniform draws of
the space, among which audits take theirs and searches their uniform draws.
"""
