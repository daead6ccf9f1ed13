"""What a distillation is asked for by: names of proxies, of their methods and of recipes."""

import re
from types import ModuleType

from atom_nas import plugins
from atom_nas.errors import UserError

METHODS = "atom_nas.distillation.methods"

RECIPE_NAMES = ("paper", "released")
"""The keys of `RECIPES`, in its order."""


def parse_name(name: str) -> tuple[str, int]:
    """Return (method, images per class) of the proxy `name`, as in atom_ipc50.

    Raises UserError where it is no such name or there is no such method. A method that comes with
    the package is not imported for that, as it needs torch; a file of the user's own is.
    """
    known = plugins.available(METHODS)
    match = re.fullmatch(r"(.+)_ipc([1-9]\d*)", name)
    if not match:
        raise UserError(
            f"proxy {name!r} is not <method>_ipc<images per class>, as in atom_ipc50; "
            f"methods: {', '.join(sorted(known))}."
        )
    if match[1] not in known:
        load_method(match[1])
    return match[1], int(match[2])


def load_method(method: str) -> ModuleType:
    """Return the module of `method`, which defines `describe` or `select`."""
    module = plugins.load(METHODS, method, kind="proxy method", needs=())
    if not hasattr(module, "describe") and not hasattr(module, "select"):
        raise UserError(f"proxy method {method!r} defines neither describe nor select.")
    return module


def is_distilled(method: str) -> bool:
    """Say whether `method` distils images, rather than selecting real ones."""
    return hasattr(load_method(method), "describe")
