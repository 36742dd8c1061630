"""Tables in Markdown of the comparison of networks, from what `study.comparison` stores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from coreloss.reports.markdown import table, with_interval
from coreloss.study.comparison.costs import Cost
from coreloss.study.comparison.plan import REDUCED_SUFFIX
from coreloss.study.identification.tables import PUBLISHED_SCORES, SCORED_SETS
from coreloss.study.results import Row


def cost_table(costs: Mapping[str, tuple[Cost, Cost]]) -> str:
    """Published and reduced size of every architecture."""
    body = []
    for name, (full, small) in costs.items():
        cells = [f"{full.parameters / 1e6:.2f}", f"{full.gflop:.2f}", f"{1 / full.cpu_s:.0f}"]
        cells += [f"{small.parameters / 1e6:.2f}", f"{small.gflop:.3f}", f"{1 / small.cpu_s:.0f}"]
        body.append((name, *cells))
    header = ["network", "M parameters", "GFLOP", "forward /s"]
    header += ["reduced: M parameters", "GFLOP", "forward /s"]
    return table(header, body)


def networks_table(rows: Sequence[Row], part: str) -> str:
    """Scores of networks on one set above the published ones; F1 and EMR with 95 % intervals.

    Behind them stand the millions of parameters, and thousands of spectra, minutes and device of
    the training. Published scores stand below networks of full size only.
    """
    header = ["network", "F1", "EMR", "precision", "recall", "micro F1", "RMSE"]
    header += ["size (10⁶)", "training"]
    body = []
    for row in rows:
        scored = row[part]
        device = row.get("device", "–").split(" (")[0].removeprefix("NVIDIA ").split(" ")[0]
        device = device.replace("cpu", "CPU")
        minutes = row.get("cpu_minutes", row.get("minutes"))
        seen = f"{row['spectra'] / 1000:,.0f}k spectra" if "spectra" in row else "–"
        seen += f", {minutes:.1f} min" if minutes is not None else ""
        seen += f", {device}" if "device" in row else ""
        size = f"{row['parameters'] / 1e6:.2f}"
        cells = [with_interval(scored[key], scored["intervals"][key]) for key in _BOTH]
        cells += [f"{scored[key]:.2f}" for key in ("precision", "recall", "micro_f1", "rmse")]
        body.append((row["model"], *cells, size, seen))
    if part.startswith("measured") and not all(is_reduced(row) for row in rows):
        for name, f1, precision, recall, exact in PUBLISHED_SCORES:
            numbers = [
                "–" if value is None else f"{value:.2f}" for value in (f1, exact, precision, recall)
            ]
            label = f"Annys et al. (2023), {name}, their files"
            body.append((label, *numbers, "–", "–", "–", "1,120k spectra"))
    return table(header, body)


def is_reduced(row: Row) -> bool:
    """Whether a stored row is of a network below its published size, or of several such."""
    return row["model"].endswith(REDUCED_SUFFIX)


def choices_table(found: Mapping[str, Sequence[Row]], choice: str) -> str:
    """Scores at the end of short runs by the value of a choice, the best of a network in bold."""
    body = []
    for name, rows in found.items():
        best = max(row["average_precision"] for row in rows)
        for row in rows:
            value = f"{row['average_precision']:.3f}"
            value = f"**{value}**" if row["average_precision"] == best else value
            about = (name, f"{row[choice]}", f"{int(row['spectra']):,}")
            body.append((*about, value, f"{row['f1_visible']:.3f}"))
    header = ("network", choice.replace("_", " "), "spectra", "average precision", "F1")
    return table(header, body) if body else ""


def missing_text(missing: Mapping[str, Sequence[str]]) -> str:
    """What each ensemble still lacks, in words."""
    lacking = {name: members for name, members in missing.items() if members}
    lines = (f"- **{name}** lacks {', '.join(members)}" for name, members in lacking.items())
    return "\n".join(lines) or "All ensembles have their members."


def examples_table(examples: Mapping[str, Row], rows: Sequence[Row]) -> str:
    """What each network names in some measured files: wrong names in bold, missed ones struck out.

    ``examples`` : by what they stand for, dictionaries with ``id``, ``material`` and ``present``
    """
    body = []
    for what, example in examples.items():
        named = [_names(row["named"][example["id"]], example["present"]) for row in rows]
        body.append((what, example["material"], " ".join(example["present"]), *named))
    return table(("", "material", "present", *(row["model"] for row in rows)), body)


def _names(named: Sequence[str], present: Sequence[str]) -> str:
    right = [element if element in present else f"**{element}**" for element in named]
    missed = [f"<s>{element}</s>" for element in present if element not in named]
    return " ".join((*right, *missed)) or "–"


def thresholds_table(rows: Sequence[Row], part: str) -> str:
    """F1 / EMR of all networks on one measured set, by where their threshold comes from.

    Only for the test half is the threshold of the measured validation half one that the scored
    files had no say in.
    """
    origins = [(t["origin"], t["threshold"]) for t in rows[0][part]["other_thresholds"]]
    named = (f"{threshold:g}" if origin == "fixed" else origin for origin, threshold in origins)
    body = []
    for row in rows:
        scored = row[part]
        cells = [f"{_f1_and_emr(scored)} (at {scored['threshold']:.2f})"]
        for other in scored["other_thresholds"]:
            at = "" if other["origin"] == "fixed" else f" (at {other['threshold']:.2f})"
            cells.append(_f1_and_emr(other) + at)
        body.append((row["model"], *cells))
    return table(["network", "simulated spectra", *named], body)


def _f1_and_emr(scored: Row) -> str:
    return " / ".join(f"{scored[key]:.2f}" for key in _BOTH)


def pairs_table(pairs: Sequence[Row]) -> str:
    """The most confused pairs with the closest of their edges."""
    header = ("only this", "taken for", "share of spectra", "closest edges", "distance (eV)")
    body = [
        (
            *(pair["true"], pair["predicted"], f"{pair['rate']:.2f}"),
            f"{pair['true_edge']}, {pair['predicted_edge']}",
            f"{pair['distance_ev']:.0f}",
        )
        for pair in pairs
    ]
    return table(header, body)


def calibration_table(rows: Sequence[Row]) -> str:
    """Calibration error and temperature of all networks on simulated and measured spectra.

    Measured probabilities of one half of the sources are also corrected by the temperature of the
    other half.
    """
    header = ["network", "ECE simulated", "ECE measured", "with the other half's temperature"]
    header += ["temperature simulated", "temperature measured"]
    body = []
    for row in rows:
        measured = row.get("measured_AB", {})
        cells = [f"{row['simulated_visible']['ece']:.4f}", _number(measured.get("ece"), 4)]
        cells += [_number(measured.get("ece_cross_validated"), 4), f"{row['temperature']:.2f}"]
        body.append((row["model"], *cells, _number(measured.get("temperature"), 2)))
    return table(header, body)


def decisions_table(row: Row) -> str:
    """How often the decisions present, undetermined and absent of one network are right."""
    header = ["spectra", "wrong among present", "called absent", "undetermined"]
    header += ["open per spectrum", "F1", "EMR"]
    body = [
        (
            SCORED_SETS.get(name, name),
            *(f"{rates[key]:.1%}" for key in ("wrong_of_present", "missed", "undetermined")),
            f"{rates['open']:.1f}",
            *(f"{rates[key]:.3f}" for key in _BOTH),
        )
        for name, rates in row["decisions"].items()
    ]
    return table(header, body)


_BOTH = ("f1", "exact_match_ratio")


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
