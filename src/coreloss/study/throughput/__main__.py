"""Simulator throughput beside eXSpy and pyEELSMODEL, written to book/results/throughput.json.

python -m coreloss.study.throughput [--n 4096] [--n-peers 12] [--n-memory N] [--out FILE]
"""

from __future__ import annotations

import argparse
import json
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from coreloss.study.results import Writer
from coreloss.study.throughput.measure import memory_growth_mb, stage_shares, throughput


def versions() -> dict[str, str]:
    """Versions of what was measured; packages that are missing are left out."""
    found = {"python": platform.python_version()}
    for name in ("torch", "numpy", "exspy", "pyEELSMODEL"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def processor() -> str:
    """Name of the processor where the system tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=4096)
    parser.add_argument("--n-peers", type=int, default=12)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--n-memory", type=int, default=100_000, help="spectra of the memory test")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    writer = Writer("throughput", args.out)
    result = throughput(n=args.n, n_peers=args.n_peers, repeats=args.repeats)
    first_mb, growth_mb = memory_growth_mb(args.n_memory)
    result |= {"stages": stage_shares(), "n_memory": args.n_memory, "memory_mb": first_mb}
    result |= {"memory_growth_mb": growth_mb}
    result |= {"processor": processor(), "versions": versions()}
    writer.write(result)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
