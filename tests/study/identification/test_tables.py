"""Tables of methods, groups and evidence."""

from types import SimpleNamespace

from coreloss.identification.edge_fit import EdgeEvidence
from coreloss.study.identification import tables

SCORES = {
    "threshold": 0.25,
    "f1": 0.9,
    "precision": 0.91,
    "recall": 0.92,
    "exact_match_ratio": 0.7,
    "average_precision": 0.95,
    "micro_f1": 0.88,
    "ece": 0.01,
    "intervals": {"f1": [0.85, 0.94], "exact_match_ratio": [0.6, 0.8]},
}


def test_methods_share_one_table_with_what_chose_nothing_first():
    sets = {"simulated": SCORES | {"n": 9}, "measured A test": SCORES | {"n": 6}}
    own = {name: one | {"threshold": 0.5, "f1": 0.8} for name, one in sets.items()}
    rows = [
        {"method": "ours", "sets": sets, "own_threshold": own},
        {"method": "theirs", "sets": sets},
    ]
    header, _, *lines = tables.methods_table(rows).splitlines()
    assert header == "| method | threshold | measured, A, test half (6) | simulated, visible (9) |"
    assert lines[0].startswith("| ours | 0.250, balanced | 0.900 (0.85–\u20600.94) /\u00a00.70 |")
    assert lines[1].startswith("| ours | 0.500, its own | 0.800 (0.85–\u20600.94) /\u00a00.70 |")
    assert len(lines) == 3


def test_groups_of_files():
    scores = {"subset": "Nion", "n": 3, "n_positive": 7, "f1": 1.0, "exact_match_ratio": 0.5}
    table = tables.groups_table([{"by": "source", "scores": scores}])
    assert table.splitlines()[2] == "| source | Nion | 3 | 7 | 1.000 | 0.500 |"


def test_evidence_says_what_else_it_could_be():
    elements = SimpleNamespace(
        evidence=(
            EdgeEvidence("Ba", "Ba M45", 781, 783, 12.34),
            EdgeEvidence("C", "C K", 284, 285, 2.0),
        ),
        present=("Ba",),
        probabilities={"Ba": 0.98, "C": 0.3},
        contamination=("C",),
        alternatives={"Ba": ("Co",)},
    )
    barium, carbon = tables.evidence_table(elements).splitlines()[2:]
    assert barium == "| Ba | 0.980 | Ba M45 | 781 | 783 | 12.3 | or Co |"
    assert carbon.endswith("| undetermined; possible contamination |")
