"""Short trainings without one ingredient of the simulator each, to book/results/ablation.json.

python -m coreloss.study.ablation [--spectra 24576] [--seeds 0 1] [--only NAME ...] [--out FILE]

Every finished training is kept in the results; the same command goes on with the others. Several
processes may share the work: give each its part, such as --part 0/2 and --part 1/2.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import torch

from coreloss.datasets.measured import data_dir
from coreloss.study.ablation.variants import SMALL_NETWORK, reference_batch, run, variants
from coreloss.study.results import Writer


def key(name: str, seed: int) -> str:
    """Name of one training in the results."""
    return f"{name}, seed {seed}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spectra", type=int, default=24_576)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--only", nargs="+", default=list(variants()))
    parser.add_argument("--part", default="0/1", help="this process of how many, such as 0/2")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    part, parts = map(int, args.part.split("/"))
    torch.set_num_threads(1)
    reference = reference_batch(2048)
    common = {"spectra": args.spectra, "network": vars(SMALL_NETWORK), "reference": len(reference)}
    result = Writer("ablation", args.out)
    jobs = [(name, seed) for seed in args.seeds for name in args.only]
    for name, seed in jobs[part::parts]:
        if key(name, seed) in result.kept().get("runs", {}):
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
        runs = result.kept().get("runs", {})  # other processes may have put some there meanwhile
        runs |= {key(name, seed): {"variant": name, "seed": seed, **found}}
        result.write({**common, "runs": runs})
        print(key(name, seed), {k: round(v, 3) for k, v in found.items()}, flush=True)


if __name__ == "__main__":
    main()
