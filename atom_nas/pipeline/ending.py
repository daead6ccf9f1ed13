"""Why a search ended: whether it can be used, and what is to be said of trials that lack."""

from collections.abc import Sequence

from atom_nas.errors import UserError
from atom_nas.pipeline.budget import FLAGS
from atom_nas.scoring.space import MAX_IDLE_DRAWS
from atom_nas.search.candidate import Candidate


def ending(candidates: Sequence[Candidate], wanted: int, space: str, hours: float | None) -> str:
    """Return what is to be said of a search for `wanted` trials; nothing where all were scored.

    `hours` are those that ended it, if they did; else it drew nothing new in the space of that
    name. Raises UserError where no candidate could be scored.
    """
    is_of_use = any(candidate.accuracy is not None for candidate in candidates)
    if not is_of_use and hours is not None:
        raise UserError(
            f"the {hours:g} hours of --hours were over before a candidate was scored; give more: "
            "the same command goes on from what is there."
        )
    if not is_of_use:
        reason = candidates[0].reason if candidates else "nothing within the limits was drawn"
        raise UserError(
            f"none of {len(candidates)} candidates of {space} could be scored ({reason}); mend "
            f"the space or raise {FLAGS}, with another --out."
        )
    said = []
    if failed := [each.reason for each in candidates if each.accuracy is None]:
        said.append(
            f"{len(failed)} of {len(candidates)} candidates failed, the first with {failed[0]}; "
            "candidates.csv says why."
        )
    if hours is not None:
        said.append(
            f"{len(candidates)} of {wanted} trials are done, and {hours:g} hours are over: the "
            "same command goes on with the search."
        )
    elif len(candidates) < wanted:
        said.append(
            f"{len(candidates)} of {wanted} trials are done, and {space} has no more: "
            f"{MAX_IDLE_DRAWS:,} draws in a row gave no new candidate within the limits."
        )
    return " ".join(said)
