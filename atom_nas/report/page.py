"""The page that a person reads: HTML that carries its figures, and Markdown beside it."""

import base64
import hashlib
import math
import shlex
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from atom_nas.audit.verdict import LEVEL, TOLERANCE
from atom_nas.export.card import plain_markdown
from atom_nas.report import wording
from atom_nas.report.answers import HOW_TO_AUDIT, NOT_AUDITED, answers, title
from atom_nas.report.figures import Plate, draw_all
from atom_nas.report.going_on import steps
from atom_nas.report.remarks import remarks
from atom_nas.report.results import Results, read_results
from atom_nas.report.scatter import scatter
from atom_nas.report.side_by_side import COMPARISON, columns
from atom_nas.report.trials import Trial
from atom_nas.scoring.estimator import SHARED_OVER
from atom_nas.storage.files import write_atomically

NUM_BEST = 10
"""Candidates in the Markdown, and in the table of the page before the others are asked for."""


def write_report(run: Path) -> Path:
    """Write figures/, report.md and report.html to the folder `run`; return the last, the page."""
    results = read_results(run)
    plates = draw_all(results)
    figures = run / "figures"
    figures.mkdir(exist_ok=True)
    for plate in plates:
        write_atomically(figures / f"{plate.name}.png", plate.png)
        write_atomically(figures / f"{plate.name}.svg", plate.svg)
    content = _content(results, plates)
    write_atomically(run / "report.md", _render("report.md.j2", content, _escape_markdown))
    write_atomically(run / "report.html", _render("report.html.j2", content))
    return run / "report.html"


def write_comparison(runs: Sequence[Path], folder: Path) -> Path:
    """Write comparison.html, the `runs` side by side, to `folder`, and return its path."""
    found = columns(runs, folder)
    named = [column.figures for column in found if column.figures]
    content = {"columns": found, "figures": [*(named or [{}])[0]], "style": _style()}
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / COMPARISON, _render("comparison.html.j2", content))
    return folder / COMPARISON


def _content(results: Results, plates: list[Plate]) -> dict[str, Any]:
    audit = results.audit
    failed = zip(audit.candidates, audit.truth, strict=True) if audit else ()
    script = Markup(_source("page.js"))
    return {
        "title": title(results),
        "answers": answers(results),
        "citation": Markup(_source("citation.bib").rstrip()),
        "not_audited": NOT_AUDITED,
        "how_to_audit": HOW_TO_AUDIT,
        "style": _style(),
        "script": script,
        "script_digest": _digest(script),
        "audit": audit,
        "proxy": results.proxy,
        "dataset": results.dataset,
        "space": results.space,
        "best_share": wording.BEST,
        "remarks": remarks(audit) if audit else [],
        "level": f"{100 * LEVEL:.0f} %",
        "tolerance": f"{100 * (TOLERANCE - 1):.0f} %",
        "shared_over": SHARED_OVER,
        "settings": results.settings,
        "exports": results.exports,
        "trained_on": results.trained_on,
        "front": results.front,
        "costs": results.objectives.costs,
        "cost_heads": wording.COST_HEADS,
        "bounds": wording.bounds(results.objectives),
        "ranks": {export.candidate: export.rank for export in results.exports},
        "plates": plates,
        "scatter": scatter(results),
        "has_importances": results.importances is not None,
        "no_importances": results.importances.reason if results.importances else "",
        "num_trials": len(results.trials),
        "fields": _fields(results.trials),
        "candidates": results.scored,
        "num_best": NUM_BEST,
        "latency_batch": results.latency_batch,
        "is_timed": any(math.isfinite(trial.latency_ms) for trial in results.trials),
        "objective": wording.MEASURES.get(results.objective, results.objective),
        "truth": results.truth,
        "in_table": results.in_table,
        "failed": [trial for trial in results.trials if not trial.is_complete],
        "steps": steps(results),
        "failed_in_full": [name for name, accuracy in failed if accuracy is None],
    }


def _style() -> Markup:
    return Markup(_source("page.css"))


def _source(name: str) -> str:
    return resources.files("atom_nas.report").joinpath(name).read_text(encoding="utf-8")


def _digest(script: str) -> str:
    """Return the source expression by which a Content-Security-Policy allows `script` alone."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"


def _fields(trials: tuple[Trial, ...]) -> dict[str, bool]:
    """Return the fields of an architecture, and whether all values of each are numbers."""
    names = trials[0].fields if trials else ()
    return {name: all(_is_number(trial.fields[name]) for trial in trials) for name in names}


def _is_number(text: str) -> bool:
    try:
        return text == "" or math.isfinite(float(text))
    except ValueError:
        return False


def _sort_key(value: float) -> str:
    """Return a number as the script of the page reads it, empty where it is not known."""
    return repr(float(value)) if math.isfinite(value) else ""


def _render(
    template: str, content: dict[str, Any], finalize: Callable[[object], object] | None = None
) -> str:
    environment = Environment(
        loader=PackageLoader("atom_nas.report", ""),
        autoescape=True,
        finalize=finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "code": Markup,
        "cost": wording.cost,
        "data_uri": _data_uri,
        "decimal": wording.decimal,
        "duration": wording.duration,
        "interval": wording.interval,
        "percent": wording.percent,
        "plain": wording.plain,
        "quantity": wording.quantity,
        "share": wording.share,
        "shell": shlex.quote,
        "sort_key": _sort_key,
        "top_found": wording.top_found,
    }
    return environment.get_template(template).render(content)


def _data_uri(svg: bytes) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"


def _escape_markdown(value: object) -> object:
    """Escape what Markdown or HTML would read as markup, so that it stays in its table cell."""
    return value if isinstance(value, Markup) else Markup(plain_markdown(str(value)))
