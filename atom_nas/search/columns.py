"""The columns of candidates.csv, for whoever writes and reads it."""

OWN = (
    *("candidate", "state", "objective", "proxy_accuracy", "num_params", "macs", "latency_ms"),
    *("seconds", "uniform", "on_front", "reason"),
)
"""Those beside the fields of the architecture."""


def column_of(field: str) -> str:
    """Return the column of a field: its name, or field_<name> where that is a column anyway."""
    return f"field_{field}" if field in OWN else field
