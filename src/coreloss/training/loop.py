"""Training on the endless simulated stream: one flat loop, checkpoints, exact resume."""

from __future__ import annotations

import math
import os
import time
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch.optim.swa_utils import get_ema_multi_avg_fn

from coreloss.materials.split import query_table, split_materials
from coreloss.materials.table import are_common, load_materials
from coreloss.networks.architectures import architecture_of, build
from coreloss.networks.edgenet import EdgeNetConfig
from coreloss.runtime.provenance import provenance
from coreloss.simulation.batch import Batch
from coreloss.simulation.settings import SimulationSettings
from coreloss.simulation.simulator import BLOCK, Simulator
from coreloss.spectra.network_input import normalise
from coreloss.training.checkpoint import State, fingerprint_of, restore, save
from coreloss.training.export import validate, write_card, write_weights
from coreloss.training.log import append_row, row_of
from coreloss.training.losses import LOSSES
from coreloss.training.parallel import Ranks, ranks
from coreloss.training.watch import finite_losses

CHECKPOINT = "checkpoint.safetensors"
LOG = "log.csv"
CARD = "card.json"
WEIGHTS = "weights.safetensors"
CHECKPOINT_EVERY_S = 240.0
KERNELS_KEPT = 16
"""By oneDNN, of 1024: each is for one size of a batch, and batches of windows differ in it, so that
gigabytes of kernels would be kept that are never used again."""
SCHEDULES = ("cosine", "plateau")
# A run may be prolonged, moved and reported otherwise without becoming another run; under the
# plateau rule, reports decide the learning rate.
NOT_IN_FINGERPRINT = (
    "minutes",
    "cpu_minutes",
    "spectra",
    "device",
    "bf16",
    "patience",
)
REPORT_FIELDS = ("report_every", "validation_spectra")


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides the outcome of a training run.

    model : configuration of the network; its type names the architecture
    spectra : length of the learning-rate schedule in simulated spectra, of all processes
    minutes, cpu_minutes : stop and finish the schedule by this much time of training, if given, on
        the wall or of the processor
    batch_size : spectra per step and process; divides `block_size`
    block_size : spectra that are simulated together, see `simulator.Simulator`; thousands on a GPU
    loss : 'masked_bce' or 'bce_soft_f1', see `training.losses`
    learning_rate : after `warmup` steps; AdamW, which is Adam without `weight_decay`
    schedule : 'cosine' falls to 2 % of the learning rate at the end; 'plateau' halves it whenever
        the validation F1 has not risen in `halve_after` reports
    patience : stop after so many reports without a better validation F1; never, if None
    ema : decay of the averaged weights that are exported; 0 for those of the last step
    start : weights to begin with, a .safetensors file; from scratch without one
    bf16 : body of the network in bfloat16; by default where the hardware has it and the network has
        a front end that stays in float32, without which weak edges would be rounded off: EdgeNet
    materials : 'embedded' or the path of a table of compounds
    report_every : spectra between two validations
    """

    model: Any = field(default_factory=EdgeNetConfig)
    spectra: int = 1_000_000
    minutes: float | None = None
    cpu_minutes: float | None = None
    batch_size: int = 128
    block_size: int = BLOCK
    loss: str = "masked_bce"
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    warmup: int = 200
    schedule: str = "cosine"
    halve_after: int = 2
    patience: int | None = None
    ema: float = 0.998
    seed: int = 0
    materials: str = "embedded"
    validation_spectra: int = 2048
    report_every: int = 16_384
    device: str = "cpu"
    start: str | None = None
    bf16: bool | None = None
    settings: SimulationSettings = field(default_factory=SimulationSettings)

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.block_size % self.batch_size:
            raise ValueError(
                f"batch_size = {self.batch_size} must divide {self.block_size}; try 64 or 128"
            )
        for name in ("spectra", "report_every"):
            if getattr(self, name) < self.block_size:
                value = getattr(self, name)
                raise ValueError(
                    f"{name} = {value} must be at least one block of {self.block_size}"
                )
        for name in ("halve_after", "patience", "validation_spectra"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} = {value} must be 1 or more")
        if not 0 <= self.ema < 1:
            raise ValueError(f"ema = {self.ema} must lie in [0, 1)")
        for name in ("minutes", "cpu_minutes", "learning_rate"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} = {value} must be above 0")
        for name, allowed in (("loss", tuple(LOSSES)), ("schedule", SCHEDULES)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} = {getattr(self, name)!r}; allowed: {', '.join(allowed)}")

    @classmethod
    def paper(cls, **changes) -> TrainConfig:
        """The recipe of the paper: Adam, BCE + soft F1, batches of 32, halving on plateaus.

        1.12 M spectra, 35 epochs of 1000 batches (Annys et al., Sci. Rep. 13, 13724 (2023)).
        """
        recipe: dict[str, Any] = {"loss": "bce_soft_f1", "schedule": "plateau"}
        recipe |= {"batch_size": 32, "ema": 0.0}
        recipe |= {"learning_rate": 1e-3, "weight_decay": 0.0, "warmup": 1}
        recipe |= {"spectra": 35 * 32_000, "report_every": 32_000}
        return cls(**(recipe | changes))


def simulators(config: TrainConfig) -> tuple[Simulator, Simulator]:
    """Training and validation stream: no compound in both, independent random numbers."""
    materials = load_materials(config.materials)
    split = split_materials(materials, seed=0)
    common, share = are_common(materials), config.settings.common_share
    training, validation = (
        Simulator(
            materials,
            query_table(materials, split[name], common=common, common_share=share),
            settings=config.settings,
            seed=2 * config.seed + number,
            device=config.device,
            block_size=config.block_size,
        )
        for number, name in enumerate(("train", "validation"))
    )
    return training, validation


def train(
    config: TrainConfig,
    *,
    out_dir: str | Path,
    resume: bool = True,
    pause_after_s: float | None = None,
) -> Path:
    """Train a network; returns the directory with checkpoint, log, weights and card.

    With `resume`, a checkpoint of the same configuration in `out_dir` is continued: on the CPU with
    the same numbers as an uninterrupted run, unless a time decides its schedule. With
    `pause_after_s` the run stops before a block that may last longer than that, to be continued; it
    has no card then.

    Started by `torchrun`, all processes train one network: each draws blocks of its own, gradients
    are averaged, and the first writes the files.

    Raises
    ------
    ValueError
        When a loss, a gradient, a weight or a running statistic is not finite, seen at the end of a
        block; the checkpoint from before that stays. Or when the checkpoint is of another run.
    """
    out_dir = Path(out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(KERNELS_KEPT))
    with ranks(config.device) as group:
        return _train(replace(config, device=group.device), group, out_dir, resume, pause_after_s)


def _train(config, group: Ranks, out_dir: Path, resume: bool, pause_after_s) -> Path:
    origin = provenance(config.device)  # of the code that runs, not of what is there at the end
    stream, validation_stream = simulators(config)
    validation = validation_stream.batch(0, config.validation_spectra)
    state = new_state(config)
    ignored = NOT_IN_FINGERPRINT + (() if config.schedule == "plateau" else REPORT_FIELDS)
    fingerprint = fingerprint_of(config, architecture_of(config.model), ignored=ignored)
    checkpoint = out_dir / CHECKPOINT
    if resume and checkpoint.exists():
        restore(checkpoint, fingerprint, state)
    elif group.rank == 0:
        _clear(out_dir)
    network = group.wrap(state.model)
    begun = saved = time.monotonic()
    longest_s = 0.0  # block with its report
    whole = True  # neither a block nor what follows it is half done
    try:
        while True:
            progress, finished, halvings = group.agree(*_decisions(config, state))
            started = time.monotonic()
            (paused,) = group.agree(
                pause_after_s is not None and started - begun + longest_s > pause_after_s
            )
            if finished or paused:
                break
            rate = config.learning_rate * 0.5**halvings
            whole = False
            if group.rank == 0:
                (out_dir / CARD).unlink(missing_ok=True)  # of a shorter run
            with _clock(state), _explained(config, state, checkpoint):
                _one_block(config, group, stream, network, state, progress, rate)
            before, state.seen = state.seen, state.seen + config.block_size * group.world
            if group.rank:
                continue
            reported = state.seen // config.report_every > before // config.report_every
            if reported:
                _report(config, state, validation, out_dir)
            whole = True
            longest_s = max(longest_s, time.monotonic() - started)
            if reported or time.monotonic() - saved > CHECKPOINT_EVERY_S:
                save(checkpoint, fingerprint, state)
                saved = time.monotonic()
    finally:
        if group.rank == 0 and whole:
            save(checkpoint, fingerprint, state)
    if group.rank == 0 and finished:
        row = row_of(out_dir / LOG, state.seen) or _report(config, state, validation, out_dir)
        write_weights(state.average, out_dir / WEIGHTS)
        training = {k: v for k, v in asdict(config).items() if k != "model"}
        model = _averaged(config, load_file(out_dir / WEIGHTS))  # as they are stored
        about: dict[str, Any] = {"training": training, "validation": validation, "origin": origin}
        write_card(model, row=row, path=out_dir / CARD, **about)
    return out_dir


def new_state(config: TrainConfig) -> State:
    """A run before its first step: initial weights that depend on the seed only, or `start`."""
    with torch.random.fork_rng(devices=[]):
        torch.random.manual_seed(config.seed)
        model = build(config.model)
    if config.start:
        model.load_state_dict(load_file(config.start))
    model = model.to(config.device)
    average = {name: value.clone() for name, value in model.state_dict().items()}
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    return State(model, average, optimiser)


def backward_pass(network, batch: Batch, config: TrainConfig) -> torch.Tensor:
    """Forward and backward pass of one batch; returns its loss and leaves the gradients."""
    with _autocast(config):
        logits = network(normalise(batch.counts, batch.mask), batch.mask, batch.axis_error_ev)
    loss = LOSSES[config.loss](logits.float(), batch)
    loss.backward()
    return loss.detach()


# -- pieces of the loop ---------------------------------------------------------------------------


def _one_block(config, group: Ranks, stream, network, state: State, progress, rate) -> None:
    """Train on the next block of the stream that belongs to this process."""
    number = state.seen // config.block_size + group.rank
    block = stream.block(number)
    network.train()
    averaged = _averaged_tensors(state)
    losses, norms = [], []  # stay on the device until the end of the block
    with _dropout_of(config, number):
        for first in range(0, config.block_size, config.batch_size):
            step = (state.seen // group.world + first) // config.batch_size
            for parameters in state.optimiser.param_groups:
                parameters["lr"] = rate * _factor(config, progress, step)
            state.optimiser.zero_grad(set_to_none=True)
            batch = block[slice(first, first + config.batch_size)]
            losses.append(backward_pass(network, batch, config))
            norms.append(torch.nn.utils.clip_grad_norm_(state.model.parameters(), 1.0))
            state.optimiser.step()
            decay = min(config.ema, (step + 1) / (step + 10))  # follows quickly at first
            get_ema_multi_avg_fn(decay)(*averaged, step)
    for name, value in state.model.state_dict().items():
        if not value.is_floating_point():
            state.average[name].copy_(value)  # counters of batch norm
    state.running += finite_losses(losses, norms, state.model)


@contextmanager
def _dropout_of(config: TrainConfig, number: int):
    """Random numbers of the layers that depend on the seed and the block alone."""
    devices = [config.device] if config.device.startswith("cuda") else []
    with torch.random.fork_rng(devices=devices):
        torch.random.manual_seed((config.seed << 32) + number)
        yield


@contextmanager
def _explained(config: TrainConfig, state: State, checkpoint: Path):
    """Say where a run broke down, what is left of it, and what to try."""
    try:
        yield
    except FloatingPointError as error:
        left = f"{checkpoint} is from before that" if checkpoint.exists() else "no checkpoint yet"
        raise ValueError(
            f"training stopped after {state.seen} spectra: {error}; allowed: finite numbers"
            f" ({left}); try a learning_rate below {config.learning_rate:g} in another folder"
        ) from None


@contextmanager
def _clock(state: State):
    """Add the time of the block to the state; simulation is a part of training."""
    wall, cpu = time.monotonic(), time.process_time()
    yield
    state.elapsed_s += time.monotonic() - wall
    state.cpu_s += time.process_time() - cpu


def _decisions(config: TrainConfig, state: State) -> tuple[float, bool, int]:
    """Share of the budget that is used, whether the run is over, halvings of the rate."""
    used = [state.seen / config.spectra]
    for spent_s, budget in (
        (state.elapsed_s, config.minutes),
        (state.cpu_s, config.cpu_minutes),
    ):
        used.append(spent_s / (60 * budget) if budget else 0.0)
    progress = max(used)
    bored = config.patience is not None and state.since_best >= config.patience
    return progress, progress >= 1 or bored, state.halvings


def _factor(config: TrainConfig, progress: float, step: int) -> float:
    """Learning rate of a step in units of the highest one."""
    warm = min(1.0, (step + 1) / max(config.warmup, 1))
    if config.schedule == "plateau":
        return warm
    return warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0))))


def _autocast(config: TrainConfig):
    kind = config.device.split(":")[0]
    suited = isinstance(config.model, EdgeNetConfig)
    wanted = suited and _has_bf16(kind) if config.bf16 is None else config.bf16
    return torch.autocast(kind, dtype=torch.bfloat16) if wanted else nullcontext()


def _has_bf16(device: str) -> bool:
    """Without instructions for it, bfloat16 is emulated, ten times slower than float32."""
    if device == "cpu":
        return torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return device == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def _averaged_tensors(state: State) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Averaged weights and statistics, and those that they follow, in one order."""
    now = {k: v for k, v in state.model.state_dict().items() if v.is_floating_point()}
    return [state.average[name] for name in now], list(now.values())


def _averaged(config: TrainConfig, average: dict) -> torch.nn.Module:
    model = build(config.model).to(config.device)
    model.load_state_dict(average)
    return model.eval()


def _report(config: TrainConfig, state: State, validation: Batch, out_dir: Path) -> dict:
    """Validate, write a row of the log and let the plateau rule see the score."""
    found = validate(_averaged(config, state.average), validation)
    row = {
        "spectra": state.seen,
        "minutes": state.elapsed_s / 60,
        "cpu_minutes": state.cpu_s / 60,
        "spectra_per_s": state.seen / max(state.elapsed_s, 1e-9),
        "learning_rate": state.optimiser.param_groups[0]["lr"],
        "loss": sum(state.running) / len(state.running) if state.running else math.nan,
    } | found
    print(
        f"{state.seen:>10,} spectra {row['minutes']:6.1f} min {row['spectra_per_s']:6.0f}/s"
        f" loss {row['loss']:.3f} F1 {row['f1_visible']:.3f} (all {row['f1_all']:.3f})"
        f" EMR {row['exact_match_visible']:.3f}",
        flush=True,
    )
    append_row(out_dir / LOG, row)
    state.running.clear()
    _plateau(config, state, row["f1_visible"])
    return row


def _plateau(config: TrainConfig, state: State, score: float) -> None:
    """Count reports without a better score, and halve the learning rate after some of them."""
    if score > state.best:
        state.best, state.since_best, state.since_halving = score, 0, 0
        return
    state.since_best += 1
    state.since_halving += 1
    if config.schedule == "plateau" and state.since_halving >= config.halve_after:
        state.halvings, state.since_halving = state.halvings + 1, 0


def _clear(out_dir: Path) -> None:
    """Remove what another run has left."""
    for path in (out_dir / CARD, out_dir / LOG, out_dir / WEIGHTS):
        path.unlink(missing_ok=True)
