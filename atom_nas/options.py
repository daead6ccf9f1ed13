"""What a user chooses: options, each with its meaning, checked once."""

import math
import re
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Self

from atom_nas.audit.against import AGAINST
from atom_nas.distillation.names import RECIPE_NAMES, parse_name
from atom_nas.errors import UserError, unknown
from atom_nas.parsing import parse_settings
from atom_nas.scoring.objective import DEFAULT_MEASURE, OBJECTIVES
from atom_nas.search.names import SAMPLER_NAMES
from atom_nas.search.objectives import SCORE, Objectives
from atom_nas.storage.files import CACHE, read_json
from atom_nas.storage.run_folder import refuse_code_of

AUTO = "auto"
"""The proxy that a small audit chooses."""


@dataclass(frozen=True, kw_only=True)
class DistillOptions:
    """What is condensed, and how."""

    proxy: str = "atom_ipc50"
    """The small data set that stands for the full one: <method>_ipc<images per class>; every
    command but distill also takes auto: the proxy, and the objective, that an audit of 30
    candidates finds the best buy."""
    dataset: str = "cifar10_box"
    """A data set by name, a folder with one sub-folder a class, or a .npz with MedMNIST's keys."""
    data_dir: Path = CACHE
    """Where named data sets lie, or are downloaded to."""
    recipe: str = "paper"
    """Settings of the distillation: paper, or released (those of DataDAM's code)."""
    adjust: str = ""
    """Other settings of the recipe, as in loss_scale=10,norm=batch,width=64."""
    steps: int | None = None
    """Steps of the distillation; default the recipe's own on CUDA, 300 elsewhere, 100 on digits."""
    seed: int = 0
    """Splits, distillation, draws and trainings depend on it."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 or mps."""
    out: Path | None = None
    """Folder of the results; default under runs/ (or proxies/ for distill), by what is in it."""

    def __post_init__(self) -> None:
        for name in ("data_dir", "out"):  # a program of one's own may give them as text
            if isinstance(given := getattr(self, name), str):
                object.__setattr__(self, name, Path(given))
        if not self.chooses_proxy:
            parse_name(self.proxy)
        if self.recipe not in RECIPE_NAMES:
            raise unknown("recipe", self.recipe, RECIPE_NAMES)
        if not 0 <= self.seed < 2**64:
            raise UserError(f"--seed is {self.seed}; it must be from 0 to {2**64 - 1}.")
        for each in fields(self):
            value = getattr(self, each.name)
            if type(value) is int and each.name != "seed" and value < 1:
                flag = f"--{each.name.replace('_', '-')}"
                raise UserError(f"{flag} is {value}; it must be at least 1.")

    @property
    def chooses_proxy(self) -> bool:
        """Whether an audit chooses the proxy; a distillation alone has none."""
        return False


@dataclass(frozen=True, kw_only=True)
class Options(DistillOptions):
    """What is condensed, searched, confirmed and exported."""

    space: str = "convnet"
    """A search space by name, or a .py file of your own."""
    trials: int = 40
    """Distinct candidates that the search tries; a later call can ask for more."""
    hours: float | None = None
    """After so many hours from the start of the command the search begins no trial; audit and
    exports follow whole, and the same command goes on with the search."""
    sampler: str = "tpe"
    """How the search picks after its uniform start: tpe, random, brute_force, gp or nsga2."""
    max_params: int | None = None
    """No candidate has more parameters."""
    max_macs: int | None = None
    """No candidate has more multiply-adds an image; default none, but 5000000 for cifar10_box and
    1000000 for digits."""
    max_latency_ms: float | None = None
    """No candidate's forward pass takes longer, in milliseconds: the median, measured once a
    candidate on the device of the run, on a CPU with one thread."""
    latency_batch: int = 1
    """Images in the batch whose latency is measured."""
    proxy_steps: int | None = None
    """Steps (batches of 64) of a candidate on a proxy; default 240, more where none learns."""
    proxy_epochs: int | None = None
    """The same in epochs of the proxy."""
    full_steps: int | None = None
    """Steps of a candidate on the full data; default 30 epochs on CUDA, 5 elsewhere, at least 240,
    more where the validation loss still falls; 480 on digits and on what is in the box."""
    full_epochs: int | None = None
    """The same in epochs of the full data."""
    audit_size: int | None = field(default=None, metadata={"aliases": ("n",)})
    """Uniformly drawn candidates whose ranking by the proxy is compared with the truth; default 60
    where a table holds the truth, else 30."""
    against: str = "free"
    """The rivals of the proxy beside the free scores: free (random images), equal_cost (random
    images, and full data at the proxy's cost), coresets (random, herding and k-means images) or all
    (all of these, and DM, DataDAM and ATOM sets)."""
    objective: str = DEFAULT_MEASURE
    """What of the trainings on the proxy the search goes by: accuracy, accuracy_times_likelihood
    (of a training label), loss, training_loss (mean over steps), final_training_loss; or by more:
    combined_ranks (the mean rank by proxy and free scores, among the uniform start) or combined (a
    model of both, fitted on the audited candidates)."""
    objectives: str = SCORE
    """What the search optimises, as in accuracy,macs: accuracy (the score on the proxy, whatever
    --objective makes of it) as high as can be and, as low as can be, any of params, macs, latency
    (measured). What it finds is then a front, of which --top-k are exported: the ends by score and
    places evenly between them."""
    proxy_seeds: int = 1
    """Condensations of a proxy, on each of which every candidate is trained."""
    truth: str = "auto"
    """training, a table by name (nas_bench_201), or a CSV with the columns candidate,
    validation_accuracy and, if known, test_accuracy and seconds; auto takes the table that comes
    with the data set, else training."""
    truth_seeds: int = 1
    """Full-data trainings of every audited candidate."""
    worth: bool = False
    """Train the audited candidates on random sets of 2 to 200 images a class too, and say how many
    random images the proxy is worth."""
    until_width: float | None = None
    """Audit more candidates, 10 at a time, until the interval of Spearman is narrower."""
    shrink: str = ""
    """Settings of the space's nets on a proxy, as in cells_per_stage=1,channels=8."""
    top_k: int = 3
    """How many of the best are trained on the full data and exported."""
    workers: str = "auto"
    """Candidates trained at once, on a CPU in processes of one thread each: a number, or auto for
    one a core where there is enough to do, 4 on a GPU; 1 trains in the command's own process."""
    storage: str | None = field(default=None, repr=False)
    """URL of a PostgreSQL database that many machines share, as in
    postgresql+psycopg://user@host/database: all that run the same command work on one run there,
    named after the folder of --out. It is not kept: later calls give it again."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for kind, name, known in (
            ("sampler", self.sampler, SAMPLER_NAMES),
            ("objective", self.objective, OBJECTIVES),
            ("set of rivals", self.against, AGAINST),
        ):
            if name not in known:
                raise unknown(kind, name, known)
        for given in ("proxy", "full"):
            if getattr(self, f"{given}_steps") and getattr(self, f"{given}_epochs"):
                raise UserError(
                    f"--{given}-steps and --{given}-epochs were both given; give one of them."
                )
        if self.until_width is not None and not 0.01 <= self.until_width <= 2:
            raise UserError(f"--until-width is {self.until_width:g}; it must be from 0.01 to 2.")
        for each in ("hours", "max_latency_ms"):
            value = getattr(self, each)
            if value is not None and not 0 < value < math.inf:
                flag = f"--{each.replace('_', '-')}"
                raise UserError(f"{flag} is {value:g}; give a number above 0, or leave it out.")
        is_timed = self.max_latency_ms is not None or self.is_latency_optimised
        if self.latency_batch != 1 and not is_timed:
            raise UserError(
                f"--latency-batch is {self.latency_batch}, and no latency is measured; give "
                "--max-latency-ms or --objectives accuracy,latency too, or leave it out."
            )
        parse_settings("--shrink", self.shrink)
        if not re.fullmatch("auto|[1-9][0-9]{0,3}", str(self.workers)):
            raise UserError(f"--workers is {self.workers!r}; give auto or a number from 1 to 9999.")

    @property
    def is_latency_optimised(self) -> bool:
        """Whether the latency of each candidate is measured for the search to be low in it."""
        return "latency" in Objectives.parse(self.objectives).costs

    @property
    def chooses_proxy(self) -> bool:
        """Whether an audit chooses the proxy."""
        return self.proxy == AUTO

    @property
    def kept(self) -> Self:
        """What a later call takes up from the folder: all but what is of one call alone."""
        return replace(self, hours=None, storage=None)

    @property
    def folder(self) -> Path:
        """The run folder."""
        parts = (Path(self.dataset).stem, Path(self.space).stem, Path(self.proxy).name)
        return self.out or Path("runs") / f"{'-'.join(parts)}-seed{self.seed}"

    @property
    def num_uniform(self) -> int:
        """How many candidates the search draws uniformly first: 3/4 of them, at most 30."""
        return min(30, -(-3 * self.trials // 4))

    @classmethod
    def saved_in(cls, folder: Path) -> Self:
        """Return the options of the last run in `folder`.

        Raises UserError where there is none, or they cannot be read.
        """
        if not (folder / "options.json").exists():
            raise UserError(f"{folder} is not a run folder; give that of a run with --out.")
        values = read_json(folder / "options.json")
        refuse_code_of(folder, values.values())
        return cls(**{**values, "data_dir": Path(values["data_dir"]), "out": folder})


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """Which run is reported again, or which are shown side by side."""

    out: Path | None = None
    """Folder of the run; of several, of comparison.html, by default the folder that they share."""
    storage: str | None = field(default=None, repr=False)
    """URL of the database where the run lies that many machines share, for what is there by now."""
    compare: tuple[Path, ...] = ()
    """Folders of two or more runs: they are shown side by side in comparison.html."""

    def __post_init__(self) -> None:
        if not (self.compare or self.out):
            raise UserError("--out is missing; give the folder of a run, or several to --compare.")
        if self.compare and self.storage:
            raise UserError("--storage is of one run; leave it out, or --compare.")
