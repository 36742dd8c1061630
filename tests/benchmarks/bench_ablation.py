"""Short trainings without one ingredient of the simulator each, to book/results/ablation.json.

python tests/benchmarks/bench_ablation.py [--spectra 24576] [--seeds 0 1] [--only NAME ...]

Every finished training is kept in the results; the same command goes on with the others. Several
processes may share the work: give each its part, such as --part 0/2 and --part 1/2.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import torch

from coreloss.benchmark_ablation import NETWORK, reference_batch, run, variants
from coreloss.datasets import data_dir
from coreloss.files import replacing
from coreloss.train_export import provenance

RESULTS = Path(__file__).resolve().parents[2] / "book" / "results" / "ablation.json"


def key(name: str, seed: int) -> str:
    """Name of one training in the results."""
    return f"{name}, seed {seed}"


def add(path: Path, entry: dict[str, dict], common: dict) -> None:
    """Put one training into the results, beside what other processes put there meanwhile."""
    stored = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"runs": {}}
    stored = {**common, "runs": {**stored["runs"], **entry}}
    with replacing(path) as part:
        part.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spectra", type=int, default=24_576)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--only", nargs="+", default=list(variants()))
    parser.add_argument("--part", default="0/1", help="this process of how many, such as 0/2")
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    part, parts = map(int, args.part.split("/"))
    torch.set_num_threads(1)
    reference = reference_batch(2048)
    common = {"spectra": args.spectra, "network": vars(NETWORK), "reference": len(reference)}
    common["provenance"] = provenance("cpu")
    jobs = [(name, seed) for seed in args.seeds for name in args.only]
    for name, seed in jobs[part::parts]:
        done = json.loads(args.out.read_text())["runs"] if args.out.is_file() else {}
        if key(name, seed) in done:
            continue
        start = time.process_time()
        with tempfile.TemporaryDirectory() as folder:
            found = run(
                variants()[name],
                seed=seed,
                spectra=args.spectra,
                directory=data_dir(),
                reference=reference,
                out_dir=folder,
            )
        found |= {"cpu_seconds": time.process_time() - start}
        add(args.out, {key(name, seed): {"variant": name, "seed": seed, **found}}, common)
        print(key(name, seed), {k: round(v, 3) for k, v in found.items()}, flush=True)


if __name__ == "__main__":
    main()
