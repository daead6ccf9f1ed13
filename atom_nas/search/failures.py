"""What failed of a candidate, and what is no candidate's failure."""

from atom_nas.errors import UserError, explain
from atom_nas.scoring.proxy_scores import CandidateError
from atom_nas.training.devices import is_device_failure


def is_of_no_candidate(error: Exception) -> bool:
    """Say whether `error` is of the device, of files or processes, or of what a user asked for."""
    return is_device_failure(error) or isinstance(error, (UserError, OSError))


def reason_of(error: Exception) -> str:
    """Return why a candidate failed, in one line; a CandidateError says it already."""
    return str(error) if isinstance(error, CandidateError) else explain(error)
