"""The worth of a set in the report: its figure, and its sentence on the page."""

from dataclasses import replace

import pytest
from made_run import AUDIT, Page, edit_audit, make_run

from atom_nas.audit.ranking import Estimate
from atom_nas.audit.worth import CostRatio, RandomSets, Worth
from atom_nas.report import write_report
from atom_nas.report.drawing import house_style, render
from atom_nas.report.results import read_results
from atom_nas.report.worth import worth_in_images


def around(value, half):
    return Estimate(value=value, low=value - half, high=value + half)


HEIGHTS = {2: (0.3, 0.3), 5: (0.5, 0.48), 10: (0.46, 0.48), 50: (0.8, 0.8), 200: (0.9, 0.9)}
WORTH = Worth(
    proxy="atom_ipc50",
    n=60,
    draws=2,
    spearman=around(0.7, 0.1),
    images=Estimate(value=31.4, low=18.2, high=52.0),
    curve=tuple(
        RandomSets(images=images, draws=2, spearman=around(value, 0.08), monotone=monotone)
        for images, (value, monotone) in HEIGHTS.items()
    ),
    costs=(CostRatio(candidates=40, ratio=1.2), CostRatio(candidates=720, ratio=0.8)),
)
SENTENCE = (
    "atom_ipc50 is worth 31 [18, 52] random images a class (n = 60, 2 draws); scoring a candidate "
    "on it costs 1.20 times as much as on these where 40 candidates share the distillation (0.80 "
    "times where 720 do)."
)


def drawn(tmp_path, worth):
    results = read_results(make_run(tmp_path))
    with house_style():
        figure = worth_in_images(replace(results, audit=replace(AUDIT, worth=worth)))
        assert figure is not None
        assert all(render(figure))
    return figure.axes[0]


def test_the_figure_shows_both_curves_and_where_they_meet(tmp_path):
    axes = drawn(tmp_path, WORTH)
    lines = {line.get_label(): line for line in axes.lines}
    sizes, values, monotone = [*HEIGHTS], *map(list, zip(*HEIGHTS.values(), strict=True))
    for label, heights in (("random images", values), ("the same, made to rise", monotone)):
        assert [*lines[label].get_xdata()] == sizes and [*lines[label].get_ydata()] == heights
    assert [*lines["atom_ipc50"].get_ydata()] == [0.7, 0.7]
    assert [*lines["its worth, 95% interval"].get_xdata()] == [18.2, 52]
    (meeting,) = [line for line in axes.lines if line.get_zorder() == 4]
    assert (meeting.get_xdata()[0], meeting.get_ydata()[0]) == (31.4, 0.7)
    assert axes.get_xscale() == "log"
    assert [text.get_text() for text in axes.get_xticklabels()] == ["2", "5", "10", "50", "200"]
    assert axes.get_title(loc="left") == "atom_ipc50: worth 31 (18 to 52) images a class"
    band = axes.collections[0].get_paths()[0].get_extents()
    assert (band.y0, band.y1) == pytest.approx((0.22, 0.98))
    (own,) = axes.patches
    assert (own.get_y(), own.get_y() + own.get_height()) == pytest.approx((0.6, 0.8))


def test_an_end_of_the_axis_is_a_bound(tmp_path):
    images = Estimate(value=200.0, low=70.0, high=200.0)
    axes = drawn(tmp_path, replace(WORTH, images=images))
    assert axes.get_title(loc="left").startswith("atom_ipc50: worth at least 200 (70 to at least 2")


def test_page_and_markdown_say_it_and_show_the_figure(tmp_path):
    run = make_run(tmp_path)
    assert WORTH.sentence == SENTENCE
    edit_audit(run, worth=WORTH, sentences=(*AUDIT.sentences, WORTH.sentence))
    page = Page(write_report(run).read_text(encoding="utf-8"))
    markdown = (run / "report.md").read_text(encoding="utf-8")
    assert SENTENCE in page.text
    assert f"> **{SENTENCE.replace('[', chr(92) + '[').replace(']', chr(92) + ']')}**" in markdown
    assert "![What the set is worth in random images](figures/worth_in_images.svg)" in markdown
    assert "so many random images a class would rank as well" in " ".join(page.text)
    assert {path.suffix for path in (run / "figures").glob("worth_in_images.*")} == {".png", ".svg"}


def test_without_it_there_is_no_figure(tmp_path):
    run = make_run(tmp_path)
    assert worth_in_images(read_results(run)) is None
    assert worth_in_images(replace(read_results(run), audit=None)) is None
