"""The four answers of the report, its plot of points, its front, and how to go on."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
from made_run import AUDIT, make_run

from atom_nas.audit.ranking import Estimate
from atom_nas.audit.record import Combined
from atom_nas.report import write_report
from atom_nas.report.answers import answers
from atom_nas.report.front import front
from atom_nas.report.going_on import steps
from atom_nas.report.results import Accuracies, read_results
from atom_nas.report.scatter import scatter


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory):
    return read_results(make_run(tmp_path_factory.mktemp("run")))


def audited(results, *, n=30, **proxy):
    """`results` with an audit of `n` candidates, the figures of its proxy with changes."""
    distinct = tuple(index / n for index in range(n))
    own = replace(AUDIT.proxy, scores=distinct, **proxy)
    names = tuple(f"net-{index}" for index in range(n))
    return replace(results, audit=replace(AUDIT, candidates=names, truth=distinct, proxy=own))


def test_the_exports_are_named_with_what_they_reach_and_cost(results):
    which, costs, _, _ = answers(results)
    assert which.answer == "The best is net-1, 82.3 % of test images right."
    assert which.lines[0] == "net-1: 82.3 % of test images, 83.3 % of validation images right"
    assert costs.answer == "The best: 1.50 k parameters, 150 k multiply-adds."
    assert costs.lines[2] == "net-10: 10.5 k parameters, 1.50 M multiply-adds"
    unknown = replace(results.exports[0], accuracies=Accuracies(validation=0.5, test=math.nan))
    assert answers(replace(results, exports=(unknown,)))[0].answer == "The best is net-1."
    chosen = tuple(replace(each, fitted_on=60) for each in results.exports)
    by, trained = answers(replace(results, exports=chosen))[0].lines[3:]
    assert by.startswith("Chosen in turn by atom_ipc50 and by a model of it and free scores")
    assert "60 candidates of known accuracy" in by
    assert trained == "Trained on the 1,500 images of some"
    many = replace(results, exports=results.exports * 2)
    more, trained_on = "3 more are in the table below", "Trained on the 1,500 images of some"
    assert [each.lines[3:] for each in answers(many)[:2]] == [(more, trained_on), (more,)]


def test_what_was_not_exported_or_not_written_down_is_said_to_be_unknown(results):
    which, costs, _, _ = answers(replace(results, exports=()))
    assert which.answer == "Not decided: nothing was exported."
    assert which.lines[0].startswith("The best of the search is net-13: 89.0 % of validation")
    said = "The best of the search: 13.5 k parameters, 2.34 M multiply-adds."
    assert (costs.answer, costs.lines) == (said, ())
    costs = answers(replace(results, exports=(), trials=()))[1]
    assert costs.answer == "Not known: nothing was exported."
    unsized = [replace(each, num_params=math.nan, macs=math.nan) for each in results.exports]
    costs = answers(replace(results, exports=tuple(unsized)))[1]
    assert costs.answer == "Not known: no export says its size."


@pytest.mark.parametrize(
    ("n", "low", "words"),
    [
        *((29, 0.9, "Not sure: 29 candidates are too few"), (30, 0.0, "Not sure: it may be no")),
        *((30, 0.01, "Better than chance, but"), (30, 0.4, "Fairly sure"), (30, 0.7, "Sure: even")),
        (30, math.nan, "Not sure: it may be no"),
    ],
)
def test_how_sure_the_ranking_is_goes_by_the_low_end_and_the_number(results, n, low, words):
    found = Estimate(value=0.9, low=low, high=0.95)
    assert answers(audited(results, n=n, spearman=found))[2].answer.startswith(words)


def test_kendall_is_said_as_pairs_in_the_right_order(results):
    found = Estimate(value=0.5, low=0.2, high=0.72)
    assert answers(audited(results, kendall=found))[2].lines[1] == (
        "Of two candidates at random it puts the better one first 75 times in 100 (60 to 86); "
        "a coin would 50 times"
    )
    halves = replace(AUDIT.proxy, kendall=found, scores=(0.0,) * 4 + (1.0,) * 4)
    line = answers(replace(results, audit=replace(AUDIT, proxy=halves)))[2].lines[1]
    assert "69 times in 100" in line  # 16 of 28 pairs are parted by such a score
    unknown = Estimate(value=math.nan, low=math.nan, high=math.nan)
    assert len(answers(audited(results, kendall=unknown))[2].lines) == 1


def test_how_sure_goes_by_what_was_searched_by(results):
    model = replace(AUDIT.proxy, name="combined_model")
    both = Combined(figures=model, base=AUDIT.proxy, uplift=AUDIT.rivals[0].comparison)
    audit = replace(AUDIT, combined=(both,))
    lines = answers(replace(results, audit=audit, objective="combined"))[2].lines
    assert lines[0] == "Of combined_model, by which was searched"
    assert answers(replace(results, audit=audit))[2].lines[0].startswith("Spearman")


def test_what_was_saved_is_full_trainings_less_the_search_and_the_making(results):
    worth = answers(results)[3]
    assert worth.answer == AUDIT.sentences[0]
    saved, lost, spent = worth.lines
    # 13 x 90 s against 30 s for the proxy and 13 x 1.5 s
    assert saved == (
        "Saved: 19 min of full training (13 full trainings of 1.5 min come to 20 min, the search "
        "on the proxy took 50 s, 30 s of it to make the proxy)"
    )
    assert lost == (
        "Lost among the 8 audited: 1.25 points of accuracy, from the best of them to the first by "
        "the proxy"
    )
    assert spent.startswith("Not counted: 30 min of training in this folder")


def test_a_proxy_that_saved_no_time_is_said_to(results):
    worth = answers(replace(results, audit=replace(AUDIT, full_seconds=1.0)))[3]
    assert worth.lines[0].startswith("No time was saved: 36 s more than full training (13 full")


def test_hours_are_not_known_without_seconds_a_search_or_an_audit(results):
    untimed = replace(results, audit=replace(AUDIT, full_seconds=0.0))
    assert "Hours saved: not known, as the seconds" in answers(untimed)[3].lines[0]
    assert "as no search was timed" in answers(replace(results, trials=()))[3].lines[0]
    alone = answers(replace(results, audit=None))
    assert [each.answer for each in alone[2:]] == ["Not known: no audit was made."] * 2


def test_the_times_of_a_table_are_said_to_be_of_another_machine(results):
    lines = answers(replace(results, truth={}, full_seconds=0.0))[3].lines
    assert lines[2:] == (
        "The time of a full training is that of the table of truth, maybe of another machine",
    )


def test_the_points_of_the_plot_lie_as_their_numbers(results):
    plot = scatter(results)
    found = {point.name: point for point in plot.points}
    assert len(found) == 10
    assert [p.name for p in plot.points] == sorted(found, key=lambda name: found[name].x)
    assert found["net-0"].x < found["net-8"].x
    assert found["net-8"].y < found["net-5"].y  # higher, where pixels count downwards
    assert [name for name, point in found.items() if point.is_best] == ["net-13"]
    assert {name for name, point in found.items() if not point.is_audited} == {"net-12", "net-13"}
    for point in plot.points:
        assert plot.x.start < point.x < plot.x.end and plot.y.end < point.y < plot.y.start


def test_a_point_says_where_a_training_failed(results):
    truth = (None, *AUDIT.truth[1:])
    proxy = replace(AUDIT.proxy, scores=(*AUDIT.proxy.scores[:-1], None))
    plot = scatter(replace(results, audit=replace(AUDIT, truth=truth, proxy=proxy)))
    says = {point.name: point.says for point in plot.points}
    assert "full data failed, which counts as 0 %" in says["net-0"]
    assert "failed, which counts as the lowest" in says["net-8"]
    assert "place" in says["net-1"]


def test_a_ranking_of_trainings_that_tell_nothing_apart_is_not_sure(results):
    figures = replace(AUDIT.proxy, spearman=Estimate(value=0.9, low=0.8, high=0.95))
    candidates = tuple(map(str, range(40)))
    audit = replace(AUDIT, proxy=figures, candidates=candidates, truth=(0.5,) * 40)
    assert answers(replace(results, audit=audit))[2].answer.startswith("Sure: ")
    audit = replace(audit, caution="25 of 40 candidates classify at chance.")
    assert answers(replace(results, audit=audit))[2].answer.startswith("Not sure: ")


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_a_plot_of_one_value_has_an_axis(results, value):
    audit = replace(AUDIT, proxy=replace(AUDIT.proxy, scores=(value,) * AUDIT.n))
    plot = scatter(replace(results, audit=audit))
    assert len(plot.x.ticks) >= 2
    assert all(math.isfinite(point.x) for point in plot.points)


def test_the_front_holds_what_nothing_as_cheap_equals(results):
    first = results.scored[0]
    pairs = {"a": (5, 0.5), "b": (5, 0.6), "c": (7, 0.6), "d": (9, 0.7), "e": (8, 0.1)}
    trials = [
        replace(first, candidate=name, macs=macs, objective=score)
        for name, (macs, score) in pairs.items()
    ]
    trials.append(replace(first, candidate="failed", macs=1, objective=math.nan))
    assert [each.candidate for each in front(trials)] == ["b", "d"]


def test_a_run_can_go_on_by_what_it_lacks(results):
    options = [step.option for step in steps(results)]
    assert options == ["--trials 28", "--audit-size 45", "--against coresets", "--top-k 6"]
    unknown = replace(AUDIT.ceiling, value=None)
    poor = replace(results, audit=replace(AUDIT, seeds=None, ceiling=unknown))
    assert {"--proxy-seeds 2", "--truth-seeds 3"} <= {step.option for step in steps(poor)}
    by_table = replace(poor, truth={}, settings={"proxy_digest": "0123"})
    assert [step.option for step in steps(by_table)] == [
        "--trials 28",
        "--audit-size 45",
        "--top-k 6",
    ]
    used_up = replace(results, asked_size=45)
    assert not any(step.option.startswith("--audit-size") for step in steps(used_up))
    assert steps(replace(results, trials=(), audit=None)) == []


def test_the_markdown_has_the_same_answers(tmp_path: Path):
    run = make_run(tmp_path)
    write_report(run)
    text = (run / "report.md").read_text(encoding="utf-8")
    for each in answers(read_results(run))[:3]:
        assert f"\n## {each.question}\n\n**{each.answer}**\n\n- {each.lines[0]}.\n" in text
    assert (
        "**Searching on atom_ipc50 &amp; co ranks &lt;better&gt; than counting.**\n\n- Saved"
        in text
    )
