"""How an estimate stands in a table."""

from atom_nas.audit.ranking import Estimate


def interval(found: Estimate, sign: str = "") -> str:
    """Return the value with its interval, each with a sign where that is "+".

    An end that rounds to zero keeps its minus: it tells on which side of zero it lies.
    """
    return f"{found.value:{sign}.2f} [{found.low:{sign}.2f}, {found.high:{sign}.2f}]"
