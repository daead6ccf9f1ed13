"""The figures of the report: what they draw, name and leave out."""

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from made_run import (
    ACCURACY,
    AUDIT,
    AUDITED,
    edit_audit,
    edit_csv,
    edit_json,
    figures,
    make_run,
    rival,
    tables,
)
from matplotlib.text import Text

from atom_nas.report import wording as words
from atom_nas.report import write_report
from atom_nas.report.agreement import proxy_vs_truth
from atom_nas.report.drawing import house_style
from atom_nas.report.pictures import proxy_images
from atom_nas.report.progress import search_history
from atom_nas.report.regions import correlation_vs_fraction, spread
from atom_nas.report.results import audited_points, read_results
from atom_nas.report.tradeoff import cost_vs_correlation


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = make_run(tmp_path_factory.mktemp("run"))
    assert write_report(run) == run / "report.html"
    return run


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


def replaced(run, **changes):
    """The results of `run`, its audit with `changes`."""
    return replace(read_results(run), audit=replace(AUDIT, **changes))


@pytest.mark.parametrize(("n", "best"), [(30, range(24, 30)), (20, None)])
def test_the_band_is_over_the_best_fifth_by_truth_where_they_are_five(run, n, best):
    truth = 0.5 + 0.01 * np.arange(n)
    proxy = replace(AUDIT.proxy, scores=(*np.flip(truth),))
    figure = proxy_vs_truth(replaced(run, proxy=proxy, truth=(*np.roll(truth, 3),)))
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


@pytest.mark.parametrize("rows", [(), AUDIT.regions[:1]])
def test_correlation_vs_fraction_needs_two_fractions(run, rows):
    assert correlation_vs_fraction(replaced(run, regions=rows)) is None


def test_names_at_line_ends_are_kept_apart_and_in_their_order():
    heights = np.array([0.5, 0.9, 0.51, 0.0, 0.49])
    moved = spread(heights, 0.1)
    assert np.argsort(moved).tolist() == np.argsort(heights).tolist()
    assert np.diff(np.sort(moved)).min() >= 0.1 - 1e-9
    assert moved == pytest.approx([0.5, 0.9, 0.6, 0.0, 0.4])


def with_free_scores(run, count, step):
    """The results of `run` with so many free scores, each dearer and higher by `step`."""
    found = (
        figures(f"free_{index}", "zero_cost", 0.3 + step * index, each=0.02 + 0.001 * index)
        for index in range(count)
    )
    free = (rival(each, AUDIT.rivals[0].comparison) for each in found)
    return replaced(run, rivals=(*AUDIT.rivals, *free))


@pytest.mark.parametrize("count", [2, 11])
def test_names_in_cost_vs_correlation_do_not_overlap(run, count):
    with house_style():
        figure = cost_vs_correlation(with_free_scores(run, count, step=0.01))
        figure.draw_without_rendering()
        names = [text for text in figure.axes[0].texts if text.get_text() != "a full training"]
        boxes = [Text.get_window_extent(name) for name in names]
    assert len(names) == 5 + count
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))


@pytest.mark.parametrize(("count", "num_named"), [(2, 2), (11, 1)])
def test_where_estimators_are_many_only_the_telling_ones_are_named(run, count, num_named):
    figure = cost_vs_correlation(with_free_scores(run, count, step=-0.01))
    names = {text.get_text() for text in figure.axes[0].texts}
    assert names - {"a full training"} == {
        *("atom_ipc50", "num_params", "random_ipc50", "combined_ranks", "combined_model"),
        *(f"free_{index}" for index in range(num_named)),
    }


def test_costs_are_shares_of_a_full_training(run):
    axes = cost_vs_correlation(replaced(run)).axes[0]
    points = {tuple(line.get_xdata()) for line in axes.lines if line.get_marker() == "o"}
    floor = 0.002 / 8
    assert sorted(each[0] for each in points) == pytest.approx([floor, 0.002, 0.0023, 0.0028])
    labels = [text.get_text() for text in axes.get_xticklabels()]
    assert labels == ["free", "1/1000", "1/100", "1/10", "1"]
    axes = cost_vs_correlation(replaced(run, full_macs=0.0)).axes[0]
    assert axes.get_xlabel().endswith("(MACs)")
    assert [text.get_text() for text in axes.get_xticklabels()] == ["free", "1.00 G"]


def test_points_tell_the_sample_from_what_the_optimiser_picked(run):
    results = read_results(run)
    assert audited_points(results.audit).scores.tolist() == [ACCURACY[i] for i in AUDITED]
    assert results.others.scores.tolist() == [ACCURACY[12], ACCURACY[13]]
    assert results.others.truth == pytest.approx([0.75, 0.75])


def test_a_search_by_a_loss_is_drawn_and_listed_by_it(tmp_path):
    run = make_run(tmp_path)
    edit_json(run / "options.json", objective="final_training_loss")
    edit_csv(
        run / "candidates.csv",
        lambda rows: [{**row, "objective": -float(row["proxy_accuracy"] or "nan")} for row in rows],
    )
    results = read_results(run)
    assert results.others.scores.size == 0  # the audit was by accuracy
    history = search_history(results)
    assert history.axes[0].get_ylabel() == "Last training loss (nats, negated)"
    assert history.axes[0].get_title().endswith(f"\N{MINUS SIGN}{ACCURACY[0]:.3f}")
    edit_audit(run, measure="final_training_loss")
    results = read_results(run)
    assert results.others.scores.tolist() == [-ACCURACY[12], -ACCURACY[13]]
    label = proxy_vs_truth(results).axes[0].get_xlabel()
    assert label == "Last training loss, trained on atom_ipc50 (nats, negated)"
    write_report(run)
    markdown = (run / "report.md").read_text(encoding="utf-8")
    assert [row[1] for row in tables(markdown)[3][1:4]] == ["net-0", "net-1", "net-2"]
    assert "In order of the last training loss." in markdown


def test_a_diverged_candidate_counts_as_zero_in_the_sample_and_is_left_out_elsewhere(tmp_path):
    run = make_run(tmp_path)
    nothing = {"validation_accuracy": "nan", "test_accuracy": "nan"}
    edit_csv(run / "truth.csv", lambda rows: [*rows[:-1], {**rows[-1], **nothing}])
    edit_audit(run, truth=(None, *AUDIT.truth[1:]))
    results = read_results(run)
    assert results.others.scores.tolist() == [ACCURACY[12]]
    assert audited_points(results.audit).truth[0] == 0
    write_report(run)
    markdown = (run / "report.md").read_text(encoding="utf-8")
    assert "Counted as 0 %, as their training on the full data failed: net-0.\n" in markdown
    assert tables(markdown)[3][1][1:5] == ["net-13", "89.0", "n/a", "n/a"]
    assert "In the table" not in markdown
