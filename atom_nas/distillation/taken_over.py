"""A proxy that `atom-nas distill` condensed before, taken over by a run."""

from pathlib import Path

from atom_nas.distillation.condense import Condensation
from atom_nas.distillation.proxy import Proxy, load_proxy, save_proxy
from atom_nas.distillation.ready import Ready
from atom_nas.errors import DamagedError
from atom_nas.storage.files import digest, tell_made_again
from atom_nas.storage.progress import note

STORE = Path("proxies")
"""Where `atom-nas distill` leaves proxies, in the folder that it is called in."""


def take_over(job: Condensation | Ready, folder: Path) -> Proxy | None:
    """Return what `job` has left in `STORE`, copied to `folder`; None where that is nothing.

    Nor is it looked for where there is `folder`, finished or not, or nothing is distilled.
    """
    if isinstance(job, Ready) or not job.recipe or folder.exists():
        return None
    source = job.folder(STORE)
    try:
        found = load_proxy(source)
    except DamagedError as damage:
        tell_made_again(damage)
        return None
    if found is None or found.digest != digest(job.identity):
        return None
    save_proxy(found, folder)
    note(f"{job.name} was condensed before: it is taken from {source}.")
    return found
