"""Neural architecture search on distilled data proxies.

The public names, each imported when it is first used: the pure part (`Estimator`, `Truth`,
`audit_scores`, `spearman`, `compare`) needs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from atom_nas.audit.comparison import compare as compare
    from atom_nas.audit.figures import audit_scores as audit_scores
    from atom_nas.audit.ranking import spearman as spearman
    from atom_nas.audit.record import Audit as Audit
    from atom_nas.audit.truth import Truth as Truth
    from atom_nas.data.sources import open_dataset as open_dataset
    from atom_nas.distillation.condense import Condensation as Condensation
    from atom_nas.distillation.condense import condense as condense
    from atom_nas.distillation.proxy import Proxy as Proxy
    from atom_nas.distillation.recipes import Recipe as Recipe
    from atom_nas.export.folder import export_model as export_model
    from atom_nas.pipeline.opening import run_audit as run_audit
    from atom_nas.pipeline.opening import run_search as run_search
    from atom_nas.scoring.estimator import Estimator as Estimator
    from atom_nas.scoring.space import load_space as load_space

_MODULES = {
    "Audit": "audit.record",
    "Condensation": "distillation.condense",
    "Estimator": "scoring.estimator",
    "Proxy": "distillation.proxy",
    "Recipe": "distillation.recipes",
    "Truth": "audit.truth",
    "audit_scores": "audit.figures",
    "compare": "audit.comparison",
    "condense": "distillation.condense",
    "export_model": "export.folder",
    "load_space": "scoring.space",
    "open_dataset": "data.sources",
    "run_audit": "pipeline.opening",
    "run_search": "pipeline.opening",
    "spearman": "audit.ranking",
}

__all__ = sorted(_MODULES)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
