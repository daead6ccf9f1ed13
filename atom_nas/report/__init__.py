"""The report of a run: figures, one self-contained HTML page, and the same in Markdown."""

from atom_nas.report.page import write_comparison, write_report

__all__ = ["write_comparison", "write_report"]
