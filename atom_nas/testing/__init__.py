"""Contracts of the plug-ins, as classes of tests that run under pytest with one fixture given.

`spaces.SpaceContract`, `methods.CoresetContract` and `.DistillationContract`,
`sources.SourceContract` and `truths.TruthContract`. A module of tests has a subclass of one,
whose name starts with Test and which overrides the fixture that the class names.
"""

import pytest

pytest.register_assert_rewrite(
    *(f"{__name__}.{module}" for module in ("spaces", "methods", "sources", "truths"))
)
