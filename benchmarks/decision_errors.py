"""How often the audit's rule says yes and no, on made scores whose true correlations are known.

Scores and truth are normal: any two scores correlate by 0.85, each rival with the truth by 0.75,
and all cost the same, so that every rival counts. Where all are equally good, each yes and no is an
error; where the proxy is better than all, yes is right, and where one rival is better than the rest
and the proxy, no is. The table is in docs/audit.md.

    nice python benchmarks/decision_errors.py --simulations 2000
"""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import command
import numpy as np

from atom_nas.audit import ranking
from atom_nas.audit.comparison import compare_all, holm
from atom_nas.audit.figures import audit_scores
from atom_nas.audit.record import Rival
from atom_nas.audit.truth import Truth
from atom_nas.audit.verdict import decide
from atom_nas.scoring.estimator import Array, Estimator

BETWEEN, WITH_TRUTH = 0.85, 0.75


@dataclass(frozen=True, kw_only=True)
class Case:
    """Audits of n candidates against so many rivals."""

    n: int
    num_rivals: int
    proxy_gain: float = 0.0
    """Spearman of the proxy with the truth, above that of the rivals."""
    rival_gain: float = 0.0
    """The same of the first rival."""


def simulate(case: Case, simulations: int) -> Iterator[tuple[str, bool]]:
    """Yield the decision of each audit, and whether some rival's own interval says worse."""
    generator = np.random.default_rng([case.n, case.num_rivals])
    root = np.linalg.cholesky(_correlations(case))
    for _ in range(simulations):
        *scores, truth = root @ generator.normal(size=(len(root), case.n))
        compared = compare_all(scores[0], scores[1:], truth, seed=int(generator.integers(2**32)))
        corrected = holm({str(i): each.p_worse for i, each in enumerate(compared)})
        rivals = [
            replace(RIVAL, comparison=each, p_worse_corrected=corrected[str(i)])
            for i, each in enumerate(compared)
        ]
        proxy = replace(RIVAL.figures, spearman=ranking.spearman(scores[0], truth))
        decision, _ = decide(proxy, rivals, n=case.n)
        yield decision, any(each.verdict == "worse" for each in compared)


def _correlations(case: Case) -> Array:
    """Return the Pearson correlations of proxy, rivals and truth that give those of the ranks."""
    matrix = np.full((case.num_rivals + 2,) * 2, BETWEEN)
    matrix[-1] = matrix[:, -1] = WITH_TRUTH
    for index, gain in ((0, case.proxy_gain), (1, case.rival_gain)):
        matrix[index, -1] = matrix[-1, index] = WITH_TRUTH + gain
    np.fill_diagonal(matrix, 1.0)
    return 2 * np.sin(math.pi / 6 * matrix)


def _made_rival() -> Rival:
    one, other = (Estimator(name=name, kind="model", scores=[1, 2]) for name in ("one", "other"))
    return audit_scores(one, [other], Truth(validation=[0.1, 0.2])).rivals[0]


RIVAL = _made_rival()
"""What of a rival does not matter to the rule."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How many audits, and resamples of each."""

    simulations: int = 2000
    resamples: int = 999


def main(options: Options) -> None:
    ranking.NUM_RESAMPLES = options.resamples
    print("| n | rivals | which is better | yes | no | a worse row, uncorrected |")
    print("|---|---|---|---|---|---|")
    for n in (30, 100):
        for num_rivals in (1, 10, 15):
            equal = Case(n=n, num_rivals=num_rivals)
            cases = {"none": equal}
            for gain in (0.05, 0.1, 0.2):
                cases[f"proxy by {gain}"] = replace(equal, proxy_gain=gain)
                cases[f"one rival by {gain}"] = replace(equal, rival_gain=gain)
            for name, case in cases.items() if num_rivals != 15 else [("none", equal)]:
                found = list(simulate(case, options.simulations))
                share = Counter(decision for decision, _ in found)
                yes, no = (f"{share[use] / len(found):.1%}" for use in ("yes", "no"))
                worse = f"{sum(is_worse for _, is_worse in found) / len(found):.1%}"
                print(f"| {n} | {num_rivals} | {name} | {yes} | {no} | {worse} |", flush=True)


if __name__ == "__main__":
    command.run(main, Options, __file__, __doc__)
