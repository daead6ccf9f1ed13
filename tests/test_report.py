"""The pages of the report: what they say, escape and carry."""

import base64
import hashlib
import html
import math
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import matplotlib as mpl
import matplotlib.image
import pytest
from made_run import (
    AUDIT,
    FIGURES,
    NAMES,
    OF_A_SEARCH,
    Page,
    edit_csv,
    make_run,
    only_searched,
    tables,
)

from atom_nas.audit.ranking import Estimate
from atom_nas.audit.truth import Ceiling
from atom_nas.report import wording as words
from atom_nas.report import write_report
from atom_nas.report.answers import answers
from atom_nas.report.remarks import remarks
from atom_nas.report.results import read_results


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
    assert not re.search(r"https?:|@import|url\(", page)
    links = Page(page).links
    pictures = [link for link in links if link.startswith("data:image/svg+xml;base64,")]
    folders = [link for link in links if not link.startswith("data:")]
    assert len(pictures) == len(FIGURES) - 1  # one is drawn in the page
    assert folders == ["export/1-net-1/", "export/2-net-2/", "export/10-net-10/"]
    for picture in pictures:
        svg = base64.b64decode(picture.partition(",")[2]).decode()
        sources = re.findall(r"""(?:href|src)\s*=\s*["']([^"']*)|url\(([^)]*)\)""", svg)
        assert all((a or b).startswith(("#", "data:")) for a, b in sources)


def test_the_one_script_of_the_page_is_allowed_by_its_digest(run):
    page = (run / "report.html").read_text(encoding="utf-8")
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = re.search(r'Content-Security-Policy"\s+content="([^"]*)"', page)[1]
    assert f"script-src 'sha256-{digest}'" in html.unescape(policy)
    assert page.count("<script") == 1
    assert not re.search(r"\son[a-z]+=", page)


def test_the_page_begins_with_the_answers_and_the_verdict_and_escapes_names(run):
    page = (run / "report.html").read_text(encoding="utf-8")
    text = Page(page).text
    assert "The best nets for digits" in text
    asked = [text.index(each.question) for each in answers(read_results(run))]
    assert asked == sorted(asked)
    verdict = text.index("The verdict")
    assert text[verdict:].count("Searching on atom_ipc50 & co ranks <better> than counting.") == 1
    assert asked[-1] < verdict
    exported = text.index("Exported architectures")
    figures = text.index("Figures")
    assert verdict < text.index("Else undecided.") < exported < figures < text.index("The audit")
    assert "&lt;b&gt;bold&lt;/b&gt;|x" in page
    assert "loss | not <finite>" in text


def test_markdown_tables_hold_the_right_numbers(run):
    markdown = (run / "report.md").read_text(encoding="utf-8")
    exported, audit, together, best, failed, settings = tables(markdown)
    assert exported[1:] == [
        ["1", "[net-1](export/1-net-1/)", "83.3", "82.3", "1.50 k", "150 k"],
        ["2", "[net-2](export/2-net-2/)", "82.0", "81.0", "2.50 k", "300 k"],
        ["10", "[net-10](export/10-net-10/)", "80.0", "79.0", "10.5 k", "1.50 M"],
    ]
    written = [[cell.replace("\N{MINUS SIGN}", "-") for cell in row] for row in audit]
    assert [row[0] for row in written[1:]] == ["atom_ipc50", "random_ipc50", "num_params"]
    assert written[0][2:4] == ["atom_ipc50 minus this", "atom_ipc50 ranks"]
    assert written[0][6:8] == ["Spearman, best 20 %", "Spearman, test"]
    assert [row[7] for row in written[1:]] == ["0.79", "0.69", "-0.31"]
    assert [[row[1], row[6], row[8]] for row in written[1:]] == [
        ["0.80 (0.50 to 0.90)", "0.40 (-0.90 to 0.95)", "0.60 (-0.50 to 0.80)"],
        ["0.70 (0.40 to 0.80)", "0.30 (-0.90 to 0.95)", "0.50 (-0.50 to 0.70)"],
        ["-0.30 (-0.60 to -0.20)", "-0.70 (-0.90 to 0.95)", "-0.50 (-0.50 to -0.30)"],
    ]
    costs = (("0.23 %", "2.3 s"), ("0.2 %", "2 s"), ("free", "0 s"))
    assert [tuple(row[4:6]) for row in written[1:]] == [*costs]
    assert all(row[9:] == ["2 of 3", "0.25", "4", "1.25"] for row in written[1:])
    assert [row[2:4] for row in written[1:]] == [
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
            *("0.06 (0.01 to 0.12) over free_average", "better"),
        ],
    ]
    assert best[0][-2:] == ["width", "pool_ing"]
    assert [row[1] for row in best[1:]] == [
        *("net-13", "net-12", "net-11", "net-10", r"&lt;b&gt;bold&lt;/b&gt;\|x"),
        *("net-8", "net-7", "net-6", "net-5", "net-3"),
    ]
    assert best[1][2:] == ["89.0", "75.0", "65.0", "13.5 k", "2.34 M", "1.5 s", "32", "max"]
    assert best[3][3:5] == ["n/a", "n/a"]
    assert failed[1:] == [["net-4", r"loss \| not &lt;finite&gt;"]]
    assert settings[1:] == [
        *(["dataset", "digits"], ["space", "convnet"], ["proxy", r"atom_ipc50"]),
        ["max_macs", "none"],
    ]
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


REMARKS = (
    "Two trainings on the full data agree by 0.89, so a perfect score is expected to reach "
    "Spearman 0.97 with the truth, the mean of 2 trainings: its ceiling.",
    "Inside the best 20 % it is 0.41.",
    "the mean of 3 seeds, which agree by 0.72; one alone has Spearman 0.66. It varies 3.2 times "
    "as much between candidates as between seeds of one candidate, in the best half by truth 0.9 "
    "times.",
    "validation loss ranks best, 0.85 (0.60 to 0.93), against 0.80 (0.50 to 0.90) "
    "for validation accuracy, 0.30 (0.10 to 0.50) for mean training loss.",
    "37 more candidates, about 1.5 h and 37.0 T MACs, would narrow the "
    "interval of Spearman to a width of 0.20.",
)
NO_CEILING = Ceiling(value=None, agreement=None, trainings=1.0, reason="it needs more")


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({}, ()),
        ({"ceiling": NO_CEILING}, (0, 1)),
        ({"ceiling_top": NO_CEILING}, (1,)),
        ({"seeds": None}, (2,)),
        ({"variants": {}}, (3,)),
        ({"plan": replace(AUDIT.plan, more_candidates=0)}, (4,)),
    ],
)
def test_a_remark_is_made_only_where_its_figures_are_known(changes, missing):
    text = " ".join(remarks(replace(AUDIT, **changes)))
    assert [remark in text for remark in REMARKS] == [i not in missing for i in range(5)]
    assert ("needs more" in text) == (NO_CEILING in changes.values())


def test_the_remarks_and_the_correction_are_on_the_page(run):
    page = " ".join(Page((run / "report.html").read_text(encoding="utf-8")).text)
    for part in ("Put together", "corrected for their number (Holm)", *REMARKS):
        assert part in page, part


def test_candidates_in_a_table_of_truth_stand_with_what_it_says(tmp_path):
    run = make_run(tmp_path)
    assert "In the table" not in tables(write_markdown(run))[3][0]
    (run / "truth.csv").unlink()
    best = tables(write_markdown(run))[3]
    assert best[0][5] == "In the table (%)"
    known = dict(zip(AUDIT.candidates, AUDIT.truth, strict=True))
    expected = [f"{100 * known[row[1]]:.1f}" if row[1] in known else "n/a" for row in best[1:]]
    assert [row[5] for row in best[1:]] == expected and len({*expected}) > 2
    page = Page((run / "report.html").read_text(encoding="utf-8"))
    assert "In the table (%)" in page.text


def test_no_two_sentences_of_the_markdown_run_into_one(run):
    text = write_markdown(run)
    assert "accuracy. The first 10 of " in text
    assert not re.findall(r"[a-z]\.[A-Z][a-z]+ ", text)


def write_markdown(run):
    write_report(run)
    return (run / "report.md").read_text(encoding="utf-8")


def test_a_search_alone_has_a_report_that_says_what_is_missing(tmp_path):
    run = make_run(tmp_path)
    only_searched(run)
    page = Page(write_report(run).read_text(encoding="utf-8")).text
    markdown = (run / "report.md").read_text(encoding="utf-8")
    for text in (" ".join(page), markdown):
        assert "Is atom_ipc50 worth searching on?" in text
        assert "no audit was made" in text and "audit in place of search" in text
        assert "The audit" not in text
    best = tables(markdown)[0]
    assert best[1][1:5] == ["net-13", "89.0", "n/a", "n/a"]
    assert {path.stem for path in (run / "figures").glob("*.png")} == set(OF_A_SEARCH)


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
        *((123_456_789, "123 M"), (2.5e9, "2.50 G"), (7e13, "70.0 T"), (math.nan, "n/a")),
    ],
)
def test_quantity(count, text):
    assert words.quantity(count) == text


def test_numbers_in_words():
    assert words.decimal(-0.001) == "0.00"
    assert words.decimal(None) == "n/a"
    assert [words.share(cost, 1e6) for cost in (0, 0.1, 12, 1e3, 5e5, 2e6)] == [
        *("free", "< 0.0001 %", "0.0012 %", "0.1 %", "50 %", "200 %")
    ]
    assert words.share(2e9, 0) == "2.00 G MACs"
    assert words.interval(Estimate(value=0.5, low=-0.25, high=1.0)) == (
        "0.50 (\N{MINUS SIGN}0.25 to 1.00)"
    )
    assert words.top_found(0.5, 5) == "2.5 of 5"
    assert words.percent(0.8414) == "84.1"
    assert words.shorten("abcdefgh", 5) == "ab\N{HORIZONTAL ELLIPSIS}gh"
    assert words.shorten("abcde", 5) == "abcde"
    assert [words.plain(value) for value in (None, "x", 3, True, [1, "a"])] == [
        *("none", "x", "3", "true", '[1, "a"]')
    ]
