"""Training on the endless simulated stream: one flat loop, checkpoints, exact resume."""

from __future__ import annotations

import csv
import json
import platform
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from coreloss.calibrate import (
    fit_temperature,
    threshold_for_miss_rate,
    threshold_for_precision,
    threshold_precision_equals_recall,
)
from coreloss.evaluate import average_precision, scores
from coreloss.files import replacing, source_commit
from coreloss.materials import load_materials, query_table, split_materials
from coreloss.models.edgenet import EdgeNet, EdgeNetConfig
from coreloss.settings import VISIBLE_SNR, SimulationSettings
from coreloss.simulate import BLOCK, Batch, Simulator
from coreloss.spectra import normalise

CHECKPOINT = "checkpoint.safetensors"
LOG = "log.csv"


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides the outcome of a training run.

    spectra : length of the learning-rate schedule in simulated spectra
    minutes : stop and finish the schedule by this much training time, if given
    batch_size : spectra per step; divides `simulate.BLOCK`
    learning_rate : after `warmup` steps, falls to 2 % of it along a cosine; AdamW
    start : weights to begin with, a .safetensors file; from scratch without one
    bf16 : body of the network in bfloat16; by default where the hardware has it
    ema : decay of the averaged weights that are exported
    materials : 'embedded' or the path of a table of compounds
    """

    spectra: int = 1_000_000
    minutes: float | None = None
    batch_size: int = 128
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    warmup: int = 200
    ema: float = 0.998
    seed: int = 0
    materials: str = "embedded"
    validation_spectra: int = 2048
    report_every_s: float = 60.0
    device: str = "cpu"
    start: str | None = None
    bf16: bool | None = None
    model: EdgeNetConfig = field(default_factory=EdgeNetConfig)
    settings: SimulationSettings = field(default_factory=SimulationSettings)

    def __post_init__(self) -> None:
        if BLOCK % self.batch_size:
            raise ValueError(f"batch_size = {self.batch_size} must divide {BLOCK}; try 64 or 128")
        if self.spectra < BLOCK:
            raise ValueError(f"spectra = {self.spectra} must be at least one block of {BLOCK}")
        if self.minutes is not None and self.minutes <= 0:
            raise ValueError(f"minutes = {self.minutes} must be above 0")


def loss_mask(batch: Batch) -> torch.Tensor:
    """Entries that count in the loss, (B, 80): observable, and not present below visibility."""
    return batch.observable & ~(batch.present & (batch.snr < VISIBLE_SNR))


def masked_bce(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Binary cross-entropy per spectrum, summed over the entries of `loss_mask`."""
    loss = F.binary_cross_entropy_with_logits(logits, batch.present.float(), reduction="none")
    return (loss * loss_mask(batch)).sum() / len(logits)


def simulators(config: TrainConfig) -> tuple[Simulator, Simulator]:
    """Training and validation stream: no compound in both, independent random numbers."""
    materials = load_materials(config.materials)
    split = split_materials(materials, seed=0)
    return tuple(
        Simulator(
            materials,
            query_table(materials, split[name]),
            settings=config.settings,
            seed=2 * config.seed + number,
            device=config.device,
        )
        for number, name in enumerate(("train", "validation"))
    )


def train(config: TrainConfig, *, out_dir: str | Path, resume: bool = True) -> Path:
    """Train a network; returns the directory with checkpoint, log, weights and card.

    With `resume`, a checkpoint of the same configuration in `out_dir` is continued: on the CPU with
    the same numbers as an uninterrupted run.
    """
    out_dir = Path(out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    origin = provenance(config.device)  # of the code that runs, not of what is there at the end
    stream, validation_stream = simulators(config)
    validation = validation_stream.batch(0, config.validation_spectra)
    model = new_model(config)
    average = {name: value.clone() for name, value in model.state_dict().items()}
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    seen, elapsed = 0, 0.0
    if resume and (out_dir / CHECKPOINT).exists():
        seen, elapsed = _restore(out_dir / CHECKPOINT, config, model, average, optimiser)
    started, last_report = time.monotonic() - elapsed, time.monotonic()
    running, reported = [], []  # losses since the last report, and those in it
    try:
        while (progress := _progress(config, seen, elapsed)) < 1:
            block = stream.block(seen // BLOCK)
            order = range(0, BLOCK, config.batch_size)
            for first in order:
                batch = block[slice(first, first + config.batch_size)]
                step = (seen + first) // config.batch_size
                loss = _step(
                    model, optimiser, batch, _learning_rate(config, progress, step), config
                )
                _update_average(average, model, config.ema, step)
                running.append(loss)
            seen += BLOCK
            elapsed = time.monotonic() - started
            if time.monotonic() - last_report > config.report_every_s:
                row = _report(config, average, validation, seen, elapsed, running)
                _append(out_dir / LOG, row)
                _save(out_dir / CHECKPOINT, config, model, average, optimiser, seen, elapsed)
                last_report, running, reported = time.monotonic(), [], running
    finally:
        _save(out_dir / CHECKPOINT, config, model, average, optimiser, seen, elapsed)
    row = _report(config, average, validation, seen, elapsed, running or reported)
    _append(out_dir / LOG, row)
    export(average, config, row, validation, origin=origin, out_dir=out_dir)
    return out_dir


def new_model(config: TrainConfig) -> EdgeNet:
    """Network with initial weights that depend on the seed only, or those to start with."""
    with torch.random.fork_rng(devices=[]):
        torch.random.manual_seed(config.seed)
        model = EdgeNet(config.model)
    if config.start:
        model.load_state_dict(load_file(config.start))
    return model.to(config.device)


def predict(model: torch.nn.Module, spectrum, mask, *, batch_size: int = 256) -> torch.Tensor:
    """Logits of many spectra, (n, 80) on the CPU; the model is put in evaluation mode."""
    model.eval()
    device = next(model.parameters()).device
    with torch.inference_mode():
        parts = [
            model(x.to(device), m.to(device)).float().cpu()
            for x, m in zip(spectrum.split(batch_size), mask.split(batch_size), strict=True)
        ]
    return torch.cat(parts)


def validate(model: torch.nn.Module, batch: Batch) -> dict[str, float]:
    """Scores on a simulated batch, visible elements only and in the paper's convention (all)."""
    logits = predict(model, normalise(batch.counts, batch.mask), batch.mask)
    probability = logits.double().sigmoid().numpy()
    present = batch.present.cpu().numpy()
    result = {}
    for name, counted in (("visible", loss_mask(batch)), ("all", batch.observable)):
        counted = counted.cpu().numpy()
        threshold = threshold_precision_equals_recall(present, probability, counted=counted)
        score = scores(present, probability, threshold=threshold, subset=name, counted=counted)
        result |= {
            f"f1_{name}": score.f1,
            f"exact_match_{name}": score.exact_match_ratio,
            f"threshold_{name}": threshold,
        }
    result["average_precision"] = average_precision(
        present, probability, counted=loss_mask(batch).cpu().numpy()
    )
    return result


def decisions(model: torch.nn.Module, batch: Batch) -> dict[str, float]:
    """Temperature and thresholds, fixed on simulated validation spectra only.

    Present from where 95 % of the names are right, absent below the probability that loses 2 % of
    the visible elements; undetermined between the two. A false name costs its reader more than an
    "undetermined".
    """
    counted = loss_mask(batch).cpu().numpy()
    present = batch.present.cpu().numpy()
    logits = predict(model, normalise(batch.counts, batch.mask), batch.mask).double()
    temperature = fit_temperature(logits.numpy(), present, counted=counted)
    probability = (logits / temperature).sigmoid().numpy()
    threshold = threshold_for_precision(present, probability, precision=0.95, counted=counted)
    absent = threshold_for_miss_rate(present, probability, miss_rate=0.02, counted=counted)
    return {
        "present_threshold": round(threshold, 3),
        "absent_threshold": round(min(absent, threshold), 3),
        "temperature": temperature,
    }


def export(
    weights: dict, config: TrainConfig, row: dict, validation: Batch, *, origin: dict, out_dir: Path
) -> None:
    """Write averaged weights and their card, what `identify.load_model` reads."""
    model = new_model(config)
    model.load_state_dict(weights)
    tensors = {name: value.contiguous().cpu() for name, value in weights.items()}
    with replacing(out_dir / "weights.safetensors") as path:
        save_file(tensors, path)
    card = {
        "architecture": "edgenet",
        "config": asdict(config.model),
        "parameters": sum(value.numel() for value in model.parameters()),
        **decisions(model, validation),
        "validation": {k: v for k, v in row.items() if v == v},  # a run of 0 steps has no loss
        "training": {k: v for k, v in asdict(config).items() if k != "model"},
        "provenance": origin,
    }
    with replacing(out_dir / "card.json") as path:
        path.write_text(json.dumps(card, indent=1, allow_nan=False) + "\n")


def provenance(device: str) -> dict[str, str]:
    """Versions, commit and device for a record that may be read years later.

    A commit ends in ``+`` where tracked files of the package differed from it.
    """
    name = torch.cuda.get_device_name() if device.startswith("cuda") else platform.machine()
    return {
        "commit": source_commit(),
        "device": f"{device} ({name}, {torch.get_num_threads()} threads)",
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


# -- pieces of the loop ---------------------------------------------------------------------------


def _progress(config: TrainConfig, seen: int, elapsed_s: float) -> float:
    by_time = elapsed_s / (60 * config.minutes) if config.minutes else 0.0
    return max(seen / config.spectra, by_time)


def _learning_rate(config: TrainConfig, progress: float, step: int) -> float:
    cosine = 0.5 * (1 + float(torch.cos(torch.tensor(torch.pi * min(progress, 1.0)))))
    return config.learning_rate * min(1.0, (step + 1) / config.warmup) * (0.02 + 0.98 * cosine)


def _autocast(config: TrainConfig):
    kind = config.device.split(":")[0]
    wanted = _has_bf16(kind) if config.bf16 is None else config.bf16
    return torch.autocast(kind, dtype=torch.bfloat16) if wanted else nullcontext()


def _has_bf16(device: str) -> bool:
    """Without instructions for it, bfloat16 is emulated, ten times slower than float32."""
    if device == "cpu":
        return torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return device == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def _step(model, optimiser, batch: Batch, learning_rate: float, config: TrainConfig) -> float:
    model.train()
    for group in optimiser.param_groups:
        group["lr"] = learning_rate
    with _autocast(config):
        logits = model(normalise(batch.counts, batch.mask), batch.mask)
    loss = masked_bce(logits, batch)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()
    return loss.item()


def _update_average(average: dict, model, decay: float, step: int) -> None:
    decay = min(decay, (step + 1) / (step + 10))  # follows quickly at first
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            average[name].lerp_(value.detach(), 1 - decay)
        else:
            average[name].copy_(value)


def _report(config, average, validation, seen, elapsed_s, running) -> dict:
    model = EdgeNet(config.model).to(config.device)
    model.load_state_dict(average)
    mean_loss = sum(running) / len(running) if running else float("nan")
    row = {"spectra": seen, "minutes": elapsed_s / 60, "spectra_per_s": seen / max(elapsed_s, 1e-9)}
    row |= {"loss": mean_loss} | validate(model, validation)
    print(
        f"{seen:>10,} spectra {elapsed_s / 60:6.1f} min {row['spectra_per_s']:6.0f}/s"
        f" loss {mean_loss:.3f} F1 {row['f1_visible']:.3f} (all {row['f1_all']:.3f})"
        f" EMR {row['exact_match_visible']:.3f}",
        flush=True,
    )
    return row


def _append(path: Path, row: dict) -> None:
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, row)
        if new:
            writer.writeheader()
        writer.writerow(row)


def _fingerprint(config: TrainConfig) -> str:
    """What must agree for a checkpoint to be continued; the length of the run may change."""
    ignored = ("minutes", "spectra", "report_every_s", "validation_spectra", "device", "bf16")
    return json.dumps({k: v for k, v in asdict(config).items() if k not in ignored})


def _save(path: Path, config, model, average, optimiser, seen: int, elapsed_s: float) -> None:
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    tensors |= {f"average.{name}": value for name, value in average.items()}
    for number, state in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{number}.{key}": value for key, value in state.items()}
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    about = {"seen": str(seen), "elapsed_s": repr(elapsed_s), "config": _fingerprint(config)}
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata=about)


def _restore(path: Path, config, model, average, optimiser) -> tuple[int, float]:
    with safe_open(path, "pt", device=config.device) as file:
        about = file.metadata()
        if about["config"] != _fingerprint(config):
            raise ValueError(
                f"{path} belongs to another configuration; choose another output directory"
                " or start afresh without resuming"
            )
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    model.load_state_dict(_under(tensors, "model."))
    average.update(_under(tensors, "average."))
    state: dict[int, dict] = {}
    for name, value in _under(tensors, "optimiser.").items():
        number, key = name.split(".", 1)
        state.setdefault(int(number), {})[key] = value
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": state, "param_groups": groups})
    return int(about["seen"]), float(about["elapsed_s"])


def _under(tensors: dict, prefix: str) -> dict:
    return {name[len(prefix) :]: t for name, t in tensors.items() if name.startswith(prefix)}
