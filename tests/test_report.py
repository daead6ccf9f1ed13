import base64
import csv
import json
import math
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import matplotlib as mpl
import matplotlib.image
import numpy as np
import pytest
from matplotlib.text import Text

from atom_nas.report import wording as words
from atom_nas.report import write_report
from atom_nas.report.agreement import proxy_vs_truth
from atom_nas.report.audited import Interval, parse_audit
from atom_nas.report.drawing import house_style
from atom_nas.report.pictures import proxy_images
from atom_nas.report.regions import correlation_vs_fraction, spread
from atom_nas.report.remarks import remarks
from atom_nas.report.results import Points, read_results
from atom_nas.report.tradeoff import cost_vs_correlation

pytestmark = pytest.mark.filterwarnings("error")

FIGURES = (
    *("proxy_vs_truth", "ranks", "correlation_vs_fraction"),
    *("search_history", "proxy_images", "cost_vs_correlation"),
)
NAMES = [f"net-{index}" for index in range(14)]
NAMES[9] = "<b>bold</b>|x"
NUM_AUDITED, FAILED = 9, 4
ACCURACY = [0.5 + 0.03 * index for index in range(14)]


def correlations(value: float, cost: dict[str, float | None]) -> dict:
    return {
        "n": NUM_AUDITED - 1,
        "spearman": {"value": value, "low": value - 0.3, "high": value + 0.1},
        "kendall": {"value": value - 0.2, "low": -0.5, "high": value},
        "top": {"k": 3, "overlap": 2 / 3},
        "top_fraction": {
            "fraction": 0.2,
            "n": 2,
            "spearman": {"value": value - 0.4, "low": -0.9, "high": 0.95},
            "kendall": {"value": value - 0.5, "low": -0.9, "high": 0.95},
        },
        "precision_at_10": 0.25,
        "rank_of_best": 4,
        "regret_points": 1.25,
        "seconds": cost,
    }


def cost(distill: float | None, per_candidate: float | None) -> dict[str, float | None]:
    return {
        "distill": distill,
        "proxy_per_candidate": per_candidate,
        "full_per_candidate": 90.0,
    }


def combined(value: float, over: str, verdict: str) -> dict:
    return {
        **correlations(value, cost(30.0, 2.5)),
        "over": over,
        "base": correlations(value - 0.06, cost(0.0, 0.5)),
        "uplift": {"value": 0.06, "low": -0.01, "high": 0.12},
        "verdict": verdict,
    }


AUDIT = {
    "dataset": "digits",
    "space": "convnet",
    "proxy": "atom_ipc50",
    **correlations(0.8, cost(30.0, 2.0)),
    "baselines": {
        "random_ipc50": {
            **correlations(0.7, cost(0.0, 2.0)),
            "difference": {"value": 0.1, "low": -0.04, "high": 0.25},
        },
        "num_params": {
            **correlations(-0.3, cost(None, None)),
            "difference": {"value": 1.1, "low": 0.6, "high": 1.5},
        },
    },
    "verdict": {"random_ipc50": "undecided", "num_params": "better"},
    "reliability": {"seeds": 3, "between_seeds": 0.72, "one_seed": 0.66},
    "ceiling": {"all": 0.96, "top": 0.41},
    "variants": {
        "loss": {"value": 0.85, "low": 0.6, "high": 0.93},
        "training_loss": {"value": 0.3, "low": 0.1, "high": 0.5},
    },
    "decision": "yes",
    "combined": {
        "combined_model": combined(0.81, "free_model", "undecided"),
        "combined_ranks": combined(0.86, "free_average", "better"),
    },
    "by_fraction": [
        {
            "fraction": fraction,
            "n": round(8 * fraction),
            "ceiling": None if fraction < 0.7 else fraction,
            "spearman": {
                "atom_ipc50": fraction - 0.2,
                "random_ipc50": fraction - 0.3,
                "num_params": -0.3,
                "macs": 0.5,
                "combined_model": 0.81,
                "combined_ranks": fraction - 0.14,
            },
        }
        for fraction in (0.6, 0.8, 1.0)
    ],
    "plan": {"width": 0.2, "more_candidates": 37, "seconds": 5400.0},
    "sentences": ["Searching on atom_ipc50 & co ranks <better> than counting.", "Else undecided."],
}


def write_csv(path: Path, rows: list[dict]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def write_proxy(run: Path, name: str, **manifest: object) -> None:
    folder = run / "proxies" / f"{name}-0123abcd"
    folder.mkdir(parents=True)
    pixels = np.random.default_rng(0).random((68, 134, 3))
    matplotlib.image.imsave(folder / "preview.png", pixels)
    (folder / "manifest.json").write_text(json.dumps({"proxy": name, **manifest}))


def make_run(run: Path) -> Path:
    run.mkdir(exist_ok=True)
    (run / "settings.json").write_text(json.dumps({"dataset": "digits", "max_macs": None}))
    (run / "audit.json").write_text(json.dumps(AUDIT))
    failed = {"state": "FAIL", "proxy_accuracy": "", "seconds": "", "reason": "loss | not <finite>"}
    write_csv(
        run / "candidates.csv",
        [
            {
                "candidate": name,
                "state": "COMPLETE",
                "width": 32,
                "pool_ing": "max",
                "proxy_accuracy": ACCURACY[index],
                "num_params": 1000 * index + 532,
                "macs": 2_340_000,
                "seconds": 1.5,
                "uniform": int(index < NUM_AUDITED),
                "reason": "",
                **(failed if index == FAILED else {}),
            }
            for index, name in enumerate(NAMES)
        ],
    )
    audited = [index for index in range(NUM_AUDITED) if index != FAILED]
    write_csv(
        run / "audit.csv",
        [
            {
                "candidate": NAMES[index],
                "test_accuracy": 0.6 + 0.3 * math.sin(index),
                "atom_ipc50": ACCURACY[index],
                "random_ipc50": 0.5,
                "num_params": 1000 * index + 532,
            }
            for index in audited
        ],
    )
    write_csv(
        run / "truth.csv",
        [
            {"candidate": NAMES[index], "seed": seed, "test_accuracy": 0.7 + seed, "seconds": 90}
            for index in [*audited, 12, 13]
            for seed in (0, 0.1)
        ],
    )
    write_proxy(run, "atom_ipc50", class_names=["zero", "one"])
    write_proxy(run, "random_ipc50")
    for rank, accuracy in ((2, 0.81), (10, 0.79), (1, 0.823)):
        folder = run / "export" / f"{rank}-net-{rank}"
        folder.mkdir(parents=True)
        (folder / "architecture.json").write_text('{"width": 32, "kernels": [3, 5]}')
        (folder / "metrics.json").write_text(json.dumps({"test_accuracy": accuracy}))
    return run


def edit_csv(path: Path, change) -> None:
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    write_csv(path, change(rows))


def edit_json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


class Page(HTMLParser):
    VOID = frozenset(("meta", "link", "img", "br"))

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open, self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in ("script", "b"), tag
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(" ".join(data.split()))


def tables(markdown: str) -> list[list[list[str]]]:
    """Return the cells of each table, its header first."""
    found = []
    for block in re.split(r"\n(?!\|)", markdown):
        rows = [line for line in block.splitlines() if line.startswith("|")]
        if rows:
            cells = [re.split(r"(?<!\\)\|", row)[1:-1] for row in rows]
            assert len({len(row) for row in cells}) == 1, block
            found.append([[cell.strip() for cell in row] for row in (cells[0], *cells[2:])])
    return found


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = make_run(tmp_path_factory.mktemp("run"))
    assert write_report(run) == run / "report.html"
    return run


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_a_picture_in_both_formats(run, name):
    picture = matplotlib.image.imread(run / "figures" / f"{name}.png")
    assert picture.shape[0] > 300
    assert picture.shape[1] > 800
    assert picture.std() > 0.02
    svg = ElementTree.parse(run / "figures" / f"{name}.svg")
    assert len(list(svg.iter())) > 20


def test_the_page_loads_nothing_from_outside(run):
    page = (run / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"https?:|@import|<script", page)
    links = Page(page).links
    pictures = [link for link in links if link.startswith("data:image/svg+xml;base64,")]
    folders = [link for link in links if not link.startswith("data:")]
    assert len(pictures) == len(FIGURES)
    assert folders == ["export/1-net-1/", "export/2-net-2/", "export/10-net-10/"]
    for picture in pictures:
        svg = base64.b64decode(picture.partition(",")[2]).decode()
        sources = re.findall(r"""(?:href|src)\s*=\s*["']([^"']*)|url\(([^)]*)\)""", svg)
        assert all((a or b).startswith(("#", "data:")) for a, b in sources)


def test_the_page_begins_with_the_verdict_and_escapes_names(run):
    html = (run / "report.html").read_text(encoding="utf-8")
    text = Page(html).text
    verdict = text.index("Searching on atom_ipc50 & co ranks <better> than counting.")
    exported = text.index("Exported architectures")
    figures = text.index("Figures")
    assert verdict < text.index("Else undecided.") < exported < figures < text.index("The audit")
    assert "&lt;b&gt;bold&lt;/b&gt;|x" in html
    assert "loss | not <finite>" in text


def test_markdown_tables_hold_the_right_numbers(run):
    markdown = (run / "report.md").read_text(encoding="utf-8")
    exported, audit, together, best, failed, settings = tables(markdown)
    assert exported[1:] == [
        ["1", "[net-1](export/1-net-1/)", "82.3"],
        ["2", "[net-2](export/2-net-2/)", "81.0"],
        ["10", "[net-10](export/10-net-10/)", "79.0"],
    ]
    written = [[cell.replace("\N{MINUS SIGN}", "-") for cell in row] for row in audit]
    assert [row[0] for row in written[1:]] == ["atom_ipc50", "random_ipc50", "num_params"]
    assert written[0][2] == "Spearman, best 20 %"
    assert [row[1:4] for row in written[1:]] == [
        ["0.80 (0.50 to 0.90)", "0.40 (-0.90 to 0.95)", "0.60 (-0.50 to 0.80)"],
        ["0.70 (0.40 to 0.80)", "0.30 (-0.90 to 0.95)", "0.50 (-0.50 to 0.70)"],
        ["-0.30 (-0.60 to -0.20)", "-0.70 (-0.90 to 0.95)", "-0.50 (-0.50 to -0.30)"],
    ]
    assert [row[4:9] for row in written[1:]] == [
        ["2 of 3", "0.25", "4", "1.25", time] for time in ("46 s", "16 s", "0 s")
    ]
    assert [row[9:] for row in written[1:]] == [
        ["", ""],
        ["0.10 (-0.04 to 0.25)", "undecided"],
        ["1.10 (0.60 to 1.50)", "better"],
    ]
    assert [[cell.replace("\N{MINUS SIGN}", "-") for cell in row] for row in together[1:]] == [
        [
            *("combined_model", "0.81 (0.51 to 0.91)", "0.41 (-0.90 to 0.95)"),
            *("0.06 (-0.01 to 0.12) over free_model", "undecided"),
        ],
        [
            *("combined_ranks", "0.86 (0.56 to 0.96)", "0.46 (-0.90 to 0.95)"),
            *("0.06 (-0.01 to 0.12) over free_average", "better"),
        ],
    ]
    assert best[0][-2:] == ["width", "pool_ing"]
    assert [row[1] for row in best[1:]] == [
        *("net-13", "net-12", "net-11", "net-10", r"&lt;b&gt;bold&lt;/b&gt;\|x"),
        *("net-8", "net-7", "net-6", "net-5", "net-3"),
    ]
    assert best[1][2:] == ["89.0", "75.0", "13.5 k", "2.34 M", "1.5 s", "32", "max"]
    assert best[3][3] == "n/a"
    assert failed[1:] == [["net-4", r"loss \| not &lt;finite&gt;"]]
    assert settings[1:] == [["dataset", "digits"], ["max_macs", "none"]]
    assert all((run / link).is_file() for link in re.findall(r"!\[[^]]*\]\((.*?)\)", markdown))


def test_markdown_keeps_markup_in_names_as_text(tmp_path):
    run = make_run(tmp_path)
    names = {"net-13": "*a*|`b`[c](d)_e_\n- f_g", NAMES[12]: "<img src=x>&amp;"}
    edit_csv(
        run / "candidates.csv",
        lambda rows: [
            {**row, "candidate": names.get(row["candidate"], row["candidate"])} for row in rows
        ],
    )
    write_report(run)
    best = tables((run / "report.md").read_text(encoding="utf-8"))[3]
    assert best[1][1] == r"\*a\*\|\`b\`\[c\](d)\_e\_ - f_g"
    assert best[2][1] == "&lt;img src=x&gt;&amp;amp;"
    Page((run / "report.html").read_text(encoding="utf-8"))


def three_candidates(run):
    for name in ("candidates", "audit", "truth"):
        edit_csv(run / f"{name}.csv", lambda rows: rows[:3])
    edit_json(run / "audit.json", n=3)


def constant_scores(run):
    for name, column in (("candidates", "proxy_accuracy"), ("audit", "atom_ipc50")):
        edit_csv(run / f"{name}.csv", lambda rows, c=column: [{**row, c: 0.5} for row in rows])


def constant_truth(run):
    edit_csv(run / "audit.csv", lambda rows: [{**row, "test_accuracy": 0.5} for row in rows])


def diverged_truth(run):
    for name in ("audit", "truth"):
        edit_csv(
            run / f"{name}.csv",
            lambda rows: [*({**row, "test_accuracy": "nan"} for row in rows[:3]), *rows[3:]],
        )


def no_audited_candidate(run):
    for name in ("audit", "truth"):
        edit_csv(
            run / f"{name}.csv", lambda rows: [{**row, "test_accuracy": "nan"} for row in rows]
        )
    edit_json(run / "audit.json", n=0, **dict.fromkeys(("spearman", "kendall", "top", "seconds")))


def nulls(run):
    nothing = {"value": None, "low": None, "high": None}
    empty = {
        "spearman": nothing,
        "kendall": nothing,
        "top": {"k": None, "overlap": None},
        "regret_points": None,
        "seconds": {"distill": None, "proxy_per_candidate": None, "full_per_candidate": None},
        "difference": nothing,
    }
    baselines = {
        "a": empty,
        "b": None,
        "c": {**empty, "spearman": {"value": 0.3, "low": None, "high": None}},
    }
    edit_json(run / "audit.json", **empty, baselines=baselines, verdict={"a": None}, sentences=[])
    edit_json(
        run / "audit.json",
        top_fraction={"fraction": 0.2, "n": 0, "spearman": nothing, "kendall": None},
        precision_at_10=None,
        rank_of_best=None,
        reliability={"seeds": 2, "between_seeds": None, "one_seed": None},
        ceiling={"all": None, "top": None},
        variants={"loss": nothing},
        decision=None,
        combined={"combined_ranks": {"over": "free_average", "uplift": nothing}},
        by_fraction=[
            {"fraction": share, "n": 5, "ceiling": None, "spearman": {"atom_ipc50": None}}
            for share in (0.5, 1.0)
        ],
        plan={"width": 0.2, "more_candidates": None, "seconds": None},
    )


NEW = ("reliability", "ceiling", "variants", "decision", "combined", "by_fraction", "plan")


def old_file(run):
    """What audit.json was before it had these figures."""
    path = run / "audit.json"
    old = {key: value for key, value in json.loads(path.read_text()).items() if key not in NEW}
    for figures in (old, *old["baselines"].values()):
        for key in ("top_fraction", "precision_at_10", "rank_of_best"):
            del figures[key]
    path.write_text(json.dumps(old))


def long_names(run):
    proxy, name = "a_very_long_proxy_name_" * 5, "|nor_conv_3x3~0|+" * 12
    edit_csv(
        run / "audit.csv",
        lambda rows: [
            {**row, "candidate": f"{name}{row['candidate']}", proxy: row["atom_ipc50"]}
            for row in rows
        ],
    )
    for table in ("candidates", "truth"):
        edit_csv(
            run / f"{table}.csv",
            lambda rows: [{**row, "candidate": f"{name}{row['candidate']}"} for row in rows],
        )
    rivals = {f"{'rival' * 9}_{index}": correlations(0.5, cost(1, 1)) for index in range(12)}
    edit_json(run / "audit.json", proxy=proxy, baselines=rivals)
    write_proxy(run, proxy, class_names=["a class " * 9, "b"])


def nothing_extra(run):
    """No failed trial, no export, no picture."""
    edit_csv(run / "candidates.csv", lambda rows: [row for row in rows if row["state"] != "FAIL"])
    (run / "export").rename(run / "elsewhere")
    for preview in (run / "proxies").rglob("preview.png"):
        preview.unlink()


def all_failed(run):
    failed = {"state": "FAIL", "proxy_accuracy": "", "num_params": "", "macs": "", "seconds": ""}
    edit_csv(run / "candidates.csv", lambda rows: [{**row, **failed} for row in rows])


def no_trial(run):
    text = (run / "candidates.csv").read_text(encoding="utf-8")
    (run / "candidates.csv").write_text(text.splitlines()[0] + "\n", encoding="utf-8")


def strange_letters(run):
    name = "$a$_\N{CJK UNIFIED IDEOGRAPH-56FE}\N{GRINNING FACE}"
    edit_csv(run / "audit.csv", lambda rows: [{**row, name: row["atom_ipc50"]} for row in rows])
    edit_json(run / "audit.json", proxy=name)
    write_proxy(run, name, class_names=[name, "$"])


@pytest.mark.parametrize(
    "damage",
    [
        three_candidates,
        constant_scores,
        constant_truth,
        diverged_truth,
        no_audited_candidate,
        nulls,
        long_names,
        nothing_extra,
        all_failed,
        no_trial,
        strange_letters,
        old_file,
    ],
)
def test_nothing_breaks_with(tmp_path, damage):
    run = make_run(tmp_path)
    damage(run)
    page = Page(write_report(run).read_text(encoding="utf-8"))
    assert tables((run / "report.md").read_text(encoding="utf-8"))
    assert not any(re.search(r"\b(nan|None)\b", text) for text in page.text)
    drawn = {path.stem for path in (run / "figures").glob("*.png")}
    missing = {
        nothing_extra: {"proxy_images"},
        nulls: {"correlation_vs_fraction"},
        old_file: {"correlation_vs_fraction"},
        no_trial: {"search_history"},
    }
    assert drawn == set(FIGURES) - missing.get(damage, set())
    for name in drawn:
        picture = matplotlib.image.imread(run / "figures" / f"{name}.png")
        assert max(picture.shape) < 2000, name


@pytest.mark.parametrize(("kept", "num_panels"), [("atom_ipc50", 1), ("random_ipc50", 1), ("*", 2)])
def test_proxy_images_shows_what_is_there(tmp_path, kept, num_panels):
    run = make_run(tmp_path)
    for preview in set((run / "proxies").rglob("preview.png")) - set(
        (run / "proxies").glob(f"{kept}-*/preview.png")
    ):
        preview.unlink()
    figure = proxy_images(read_results(run))
    assert figure is not None
    assert [len(axes.get_images()) for axes in figure.axes] == [1] * num_panels


def replaced(run, **figures):
    """The results of `run`, its audit with other `figures`."""
    return replace(read_results(run), audit=parse_audit({**AUDIT, **figures}))


@pytest.mark.parametrize(("n", "best"), [(30, range(24, 30)), (20, None)])
def test_the_band_is_over_the_best_fifth_by_truth_where_they_are_five(run, n, best):
    truth = 0.5 + 0.01 * np.arange(n)
    results = replace(
        read_results(run), sample=Points(scores=np.flip(truth), truth=np.roll(truth, 3))
    )
    figure = proxy_vs_truth(results)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    bands = [patch for patch in figure.axes[0].patches if patch.get_alpha()]
    if best is None:
        assert not bands
        assert not any("inside" in label for label in labels)
    else:
        assert bands[0].get_y() == pytest.approx(100 * truth[best[0]])
        assert f"best 20 % by full data, {words.RHO} = 0.40 inside" in labels


def drawn_lines(figure):
    """Name -> heights of the lines with a name at their right end."""
    axes = figure.axes[0]
    ends = {text.xy[1]: text.get_text() for text in axes.texts}
    return {ends[y[-1]]: [*y] for line in axes.lines if (y := line.get_ydata())[-1] in ends}


def test_correlation_vs_fraction_draws_the_proxy_and_what_it_has_to_beat(run):
    figure = correlation_vs_fraction(replaced(run))
    assert figure is not None
    lines = drawn_lines(figure)
    assert set(lines) == {"atom_ipc50", "random_ipc50", "num_params", "combined_ranks"}
    assert lines["atom_ipc50"] == pytest.approx([0.4, 0.6, 0.8])
    (ceiling,) = [line for line in figure.axes[0].lines if line.get_label().startswith("ceiling")]
    assert np.array(ceiling.get_ydata()) == pytest.approx([np.nan, 0.8, 1.0], nan_ok=True)
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["60", "80", "100"]


@pytest.mark.parametrize("rows", [None, [], AUDIT["by_fraction"][:1]])
def test_correlation_vs_fraction_needs_two_fractions(run, rows):
    assert correlation_vs_fraction(replaced(run, by_fraction=rows)) is None


def test_names_at_line_ends_are_kept_apart_and_in_their_order():
    heights = np.array([0.5, 0.9, 0.51, 0.0, 0.49])
    moved = spread(heights, 0.1)
    assert np.argsort(moved).tolist() == np.argsort(heights).tolist()
    assert np.diff(np.sort(moved)).min() >= 0.1 - 1e-9
    assert moved == pytest.approx([0.5, 0.9, 0.6, 0.0, 0.4])


def with_free_scores(run, count, step):
    """The results of `run` with so many free scores, each dearer and higher by `step`."""
    free = {
        f"free_{index}": correlations(0.3 + step * index, cost(0.0, 0.02 + 0.001 * index))
        for index in range(count)
    }
    return replaced(run, baselines={**AUDIT["baselines"], **free})


@pytest.mark.parametrize("count", [2, 11])
def test_names_in_cost_vs_correlation_do_not_overlap(run, count):
    with house_style():
        figure = cost_vs_correlation(with_free_scores(run, count, step=0.01))
        figure.draw_without_rendering()
        names = [text for text in figure.axes[0].texts if not text.get_text().startswith("full")]
        boxes = [Text.get_window_extent(name) for name in names]
    assert len(names) == 5 + count
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))


@pytest.mark.parametrize(("count", "num_named"), [(2, 2), (11, 1)])
def test_where_estimators_are_many_only_the_telling_ones_are_named(run, count, num_named):
    figure = cost_vs_correlation(with_free_scores(run, count, step=-0.01))
    names = {text.get_text() for text in figure.axes[0].texts}
    assert {name for name in names if not name.startswith("full")} == {
        *("atom_ipc50", "num_params", "random_ipc50", "combined_ranks", "combined_model"),
        *(f"free_{index}" for index in range(num_named)),
    }


SENTENCES = {
    "ceiling": "Two trainings on the full data agree by 0.96, and by 0.41 inside the best 20 %",
    "reliability": "the mean of 3 seeds, which agree by 0.72; one alone has Spearman 0.66.",
    "variants": "validation loss ranks best, 0.85 (0.60 to 0.93), against 0.80 (0.50 to 0.90) for "
    "accuracy, 0.30 (0.10 to 0.50) for mean training loss.",
    "plan": "37 more candidates, about 1.5 h, would narrow the interval to 0.20.",
}


@pytest.mark.parametrize("unknown", [None, *SENTENCES])
def test_a_remark_is_made_only_where_its_figures_are_known(unknown):
    audit = parse_audit({key: value for key, value in AUDIT.items() if key != unknown})
    text = " ".join(remarks(audit))
    assert {key for key, sentence in SENTENCES.items() if sentence in text} == (
        set(SENTENCES) - {unknown}
    )
    assert len(remarks(audit)) == len(SENTENCES) - (unknown is not None)


def test_the_remarks_are_on_the_page_and_an_older_file_has_none(tmp_path):
    run = make_run(tmp_path)
    pages = []
    for change in (lambda run: None, old_file):
        change(run)
        write_report(run)
        pages.append(" ".join(Page((run / "report.html").read_text(encoding="utf-8")).text))
    for part in ("Put together", *SENTENCES.values()):
        assert [part in page for page in pages] == [True, False], part


def test_points_tell_the_sample_from_what_the_optimiser_picked(run):
    results = read_results(run)
    assert results.sample.scores.tolist() == [ACCURACY[i] for i in (0, 1, 2, 3, 5, 6, 7, 8)]
    assert results.others.scores.tolist() == [ACCURACY[12], ACCURACY[13]]
    assert results.others.truth == pytest.approx([0.75, 0.75])


def test_a_diverged_candidate_counts_as_zero_in_the_sample_and_is_left_out_elsewhere(tmp_path):
    run = make_run(tmp_path)
    edit_csv(run / "truth.csv", lambda rows: [*rows[:-1], {**rows[-1], "test_accuracy": "nan"}])
    edit_csv(run / "audit.csv", lambda rows: [{**rows[0], "test_accuracy": "nan"}, *rows[1:]])
    results = read_results(run)
    assert results.others.scores.tolist() == [ACCURACY[12]]
    assert results.sample.truth[0] == 0
    assert len(results.sample.truth) == NUM_AUDITED - 1
    write_report(run)
    markdown = (run / "report.md").read_text(encoding="utf-8")
    assert "Counted as 0 %, as their training on the full data diverged: net-0.\n" in markdown
    assert tables(markdown)[3][1][1:4] == ["net-13", "89.0", "n/a"]


def test_costs_count_the_condensation_and_every_audited_candidate():
    audit = parse_audit(AUDIT)
    assert [estimator.cost for estimator in audit.estimators] == [30 + 8 * 2, 8 * 2, 0]
    assert audit.full_cost == 8 * 90


def test_a_second_report_is_the_same_whatever_the_settings_of_matplotlib(run):
    files = [run / "report.html", run / "report.md", *sorted((run / "figures").iterdir())]
    before = [file.read_bytes() for file in files]
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red"}):
        settings = dict(mpl.rcParams)
        write_report(run)
        assert dict(mpl.rcParams) == settings
    assert [file.read_bytes() for file in files] == before


def test_neither_pyplot_nor_torch_is_imported(tmp_path):
    code = (
        "import sys; from pathlib import Path; from atom_nas.report import write_report; "
        "write_report(Path(sys.argv[1])); "
        "assert not {'torch', 'matplotlib.pyplot'} & set(sys.modules)"
    )
    root = Path(__file__).parents[1]
    subprocess.run([sys.executable, "-c", code, str(make_run(tmp_path))], cwd=root, check=True)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((0, "0 s"), (0.043, "0.04 s"), (9.96, "10 s"), (46, "46 s"), (200, "3.3 min")),
        *((7_300, "2 h"), (43_200, "12 h"), (40 * 86_400, "40 d"), (math.nan, "n/a")),
    ],
)
def test_duration(seconds, text):
    assert words.duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        *((0, "0"), (532, "532"), (1000, "1.00 k"), (12_345, "12.3 k"), (999_999, "1.00 M")),
        *((123_456_789, "123 M"), (2.5e9, "2.50 G"), (7e13, "70000 G"), (math.nan, "n/a")),
    ],
)
def test_quantity(count, text):
    assert words.quantity(count) == text


def test_numbers_in_words():
    assert words.decimal(-0.001) == "0.00"
    assert words.interval(Interval(value=0.5, low=math.nan, high=1.0)) == "0.50"
    assert words.top_found(0.5, 5) == "2.5 of 5"
    assert words.percent(0.8414) == "84.1"
    assert words.shorten("abcdefgh", 5) == "ab\N{HORIZONTAL ELLIPSIS}gh"
    assert words.shorten("abcde", 5) == "abcde"
    assert [words.plain(value) for value in (None, "x", 3, True, [1, "a"])] == [
        *("none", "x", "3", "true", '[1, "a"]')
    ]
