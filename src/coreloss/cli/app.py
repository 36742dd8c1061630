"""The command ``coreloss``: arguments in, tables or JSON out; all work is done elsewhere.

Exit codes: 0 done, 2 bad input (one line on standard error; the other files are done), 130
interrupted.
"""

from __future__ import annotations

import gc
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from coreloss.cli.data import data_app
from coreloss.cli.dataset import dataset_command
from coreloss.cli.gos import gos_app
from coreloss.cli.maps import map_command, quantify_command
from coreloss.cli.options import (
    AxisError,
    MaterialsSource,
    ModelName,
    Plot,
    Seed,
    Shift,
    Signal,
    Uncalibrated,
    WindowOption,
    axis_error_of,
    numbers_of,
)
from coreloss.cli.output import JsonTarget, complain, quiet_stdout, show, write_json

BAD_INPUT, INTERRUPTED = 2, 130
NEW_OBJECTS = 100_000
"""Between two searches for garbage, of 700: imports make so many that stay that looking through
them takes a tenth of the start."""

app = typer.Typer(
    help="Which elements does a core-loss EELS spectrum contain?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
)
app.add_typer(gos_app, name="gos")
app.add_typer(data_app, name="data")
app.command("map", epilog="Example: coreloss map image.hspy -o maps.h5 --plot maps.png")(
    map_command
)
app.command(
    "quantify", epilog="Example: coreloss quantify core.dm3 --low-loss low.dm3 -o amounts.h5"
)(quantify_command)
app.command("dataset", epilog="Example: coreloss dataset test.h5 --n 10240 --split test")(
    dataset_command
)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave with its exit code; bad input is one line, no traceback."""
    gc.set_threshold(NEW_OBJECTS, *gc.get_threshold()[1:])
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # of libraries; ours are in the results
    try:
        code = app(arguments, standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
        complain("interrupted")
    except BrokenPipeError:  # the reader of a pipe has left: nobody is there to be told
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = BAD_INPUT
    except (ValueError, OSError, ImportError) as error:
        code = BAD_INPUT
        complain(error)
    except Exception as error:
        if not hasattr(error, "format_message"):  # not one of the argument parser
            raise
        code = BAD_INPUT
        complain(error.format_message())
    raise SystemExit(code if isinstance(code, int) else 0)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    if version:
        from importlib.metadata import version as installed

        typer.echo(f"coreloss {installed('coreloss')}")
        raise typer.Exit()


@app.command(epilog="Example: coreloss identify spectrum.dm3 --window 380 800 --report found.html")
def identify(
    files: Annotated[
        list[Path],
        typer.Argument(help="dm3, dm4, msa, hspy, emd, csv, txt ..., or folders of them."),
    ],
    window: WindowOption = None,
    shift_ev: Shift = 0.0,
    each: Annotated[bool, typer.Option("--each", help="Every spectrum, not their sum.")] = False,
    axis_error: AxisError = None,
    uncalibrated: Uncalibrated = False,
    signal: Signal = None,
    no_evidence: Annotated[
        bool, typer.Option("--no-evidence", help="The network alone, without fits of the edges.")
    ] = False,
    model: ModelName = "edgenet-small",
    json_target: JsonTarget = None,
    csv_target: Annotated[
        str | None,
        typer.Option("--csv", metavar="OUT|-", help="One row per file, spectrum and element."),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="OUT.html", help="Page with figures and tables.")
    ] = None,
    plot: Plot = None,
    scale: Annotated[str, typer.Option(help="Counts in figures: log, sqrt or linear.")] = "log",
) -> None:
    """Name the elements in measured spectra.

    JSON is one object for one file and a list of objects for several.

    A bad file is one line on standard error; the others are done.

    Exit codes: 0 done, 2 bad input (the other files are done), 130 interrupted.
    """
    from coreloss.cli import identify as work
    from coreloss.identification.identify import identify as identify_spectrum
    from coreloss.identification.trained_model import load_model
    from coreloss.reports.terminal import identification_table
    from coreloss.spectra.reading import read_spectrum

    work.check_targets(json_target, csv_target, report, plot)
    work.check_figures(plot, scale)
    options: dict[str, Any] = {"window_ev": window, "shift_ev": shift_ev, "each": each}
    options |= {"evidence": False} if no_evidence else {}
    options |= {"axis_error_ev": axis_error_of(axis_error, uncalibrated)}
    paths, results = list(work.expand(files)), []
    with quiet_stdout():
        network = load_model(model)
        for file in work.with_progress(paths):
            try:
                spectrum = read_spectrum(file, signal=work.signal_of(signal))
                results.append(identify_spectrum(spectrum, model=network, **options))
            except (ValueError, OSError) as error:
                complain(error, file=file)
    if results and plot is not None:
        work.write_figure(results, plot, scale=scale)
    if results and report is not None:
        work.write_report(results, report, scale=scale)
    if results and csv_target is not None:
        work.write_csv(results, csv_target)
    found = [result.to_dict() for result in results]
    if found and json_target is not None:
        alone = len(files) == 1 and not files[0].is_dir()
        write_json(found[0] if alone else found, json_target)
    if "-" not in (json_target, csv_target):
        for result in results:
            show(identification_table(result))
    if len(results) < len(paths):
        raise typer.Exit(BAD_INPUT)


@app.command()
def evaluate(
    experimental: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of a manifest.csv and its files.")
    ] = None,
    benchmark: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Spectra of `coreloss dataset`.")
    ] = None,
    quality: Annotated[str, typer.Option(help="Qualities of the manifest to use.")] = "A",
    split: Annotated[
        str, typer.Option(help="all, or the files of half the sources: validation or test.")
    ] = "all",
    whole: Annotated[
        bool, typer.Option("--whole", help="Find the window in each file, as identify does.")
    ] = False,
    model: ModelName = "edgenet-small",
    json_target: JsonTarget = None,
) -> None:
    """Score a network on measured files, on a file of simulated spectra, or both.

    Without either option the measured files of CORELOSS_DATA_DIR are used.
    """
    from coreloss.datasets.evaluation import score_benchmark, score_experimental
    from coreloss.datasets.measured import NO_DATA, data_dir
    from coreloss.identification.trained_model import load_model
    from coreloss.reports.terminal import evaluation_table

    if experimental is None and benchmark is None:
        experimental = data_dir()
        if experimental is None:
            raise ValueError(f"{NO_DATA}, or give --experimental or --benchmark")
    results = []
    with quiet_stdout():
        network = load_model(model)
        if experimental is not None:
            which: dict[str, Any] = {"quality": quality, "split": split, "whole": whole}
            results.append(score_experimental(experimental, model=network, **which))
        if benchmark is not None:
            results.append(score_benchmark(benchmark, model=network))
    if json_target is not None:
        write_json([result.to_dict() for result in results], json_target)
    if json_target != "-":
        for result in results:
            show(evaluation_table(result))


@app.command(epilog="Example: coreloss train runs/unet --architecture unet --width 0.25")
def train(
    out: Annotated[Path, typer.Argument(help="Folder for checkpoint, log, weights and card.")],
    architecture: Annotated[
        str, typer.Option(help="edgenet[_medium], mlp, cnn, unet, resnet, vit, cct, cnn_bilstm.")
    ] = "edgenet",
    width: Annotated[float, typer.Option(help="Size; 1 is the published one.")] = 1.0,
    recipe: Annotated[
        str, typer.Option(help="ours (masked BCE, cosine) or paper (BCE + soft F1, plateaus).")
    ] = "ours",
    spectra: Annotated[
        int | None, typer.Option(help="Simulated spectra in total; 1 M or 1.12 M by recipe.")
    ] = None,
    minutes: Annotated[float | None, typer.Option(help="Finish within this time.")] = None,
    cpu_minutes: Annotated[float | None, typer.Option(help="The same in processor time.")] = None,
    pause_after: Annotated[
        float | None, typer.Option(metavar="MINUTES", help="Stop then, to be continued.")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Spectra per step; 128 or 32 by recipe.")
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Highest learning rate; 3e-3 or 1e-3 by recipe.")
    ] = None,
    search: Annotated[
        list[str] | None, typer.Option(help="Try rates in short runs first, such as 1e-3,3e-3.")
    ] = None,
    search_spectra: Annotated[int, typer.Option(help="Length of these short runs.")] = 16_384,
    patience: Annotated[
        int | None, typer.Option(help="Stop after so many reports without improvement.")
    ] = None,
    seed: Seed = 0,
    materials: MaterialsSource = "embedded",
    device: Annotated[str, typer.Option(help="cpu, cuda ...")] = "cpu",
    start: Annotated[Path | None, typer.Option(help="Weights to begin with, .safetensors.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Ignore a checkpoint in OUT.")] = False,
) -> None:
    """Train a network on simulated spectra; the same command resumes an interrupted run.

    Started by torchrun, all processes train one network together.
    """
    from coreloss.networks.architectures import config_of
    from coreloss.training.loop import TrainConfig
    from coreloss.training.loop import train as train_network
    from coreloss.training.search import search_learning_rate

    recipes: dict[str, Callable[..., TrainConfig]] = {
        "ours": TrainConfig,
        "paper": TrainConfig.paper,
    }
    rates = numbers_of(search, option="--search")
    if recipe not in recipes:
        raise ValueError(f"recipe is {recipe!r}; allowed: {', '.join(recipes)}")
    given = {
        "spectra": spectra,
        "minutes": minutes,
        "cpu_minutes": cpu_minutes,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "patience": patience,
        "start": str(start) if start else None,
    }
    config = recipes[recipe](
        model=config_of(architecture, width=width),
        seed=seed,
        materials=materials,
        device=device,
        **{name: value for name, value in given.items() if value is not None},
    )
    if rates:
        best = search_learning_rate(config, rates, spectra=search_spectra, out_dir=out / "search")
        typer.echo(f"learning rate {best:g} of {', '.join(f'{rate:g}' for rate in rates)}")
        config = replace(config, learning_rate=best)
    pause_after_s = None if pause_after is None else 60 * pause_after
    typer.echo(train_network(config, out_dir=out, resume=not fresh, pause_after_s=pause_after_s))


@app.command(epilog="Example: coreloss materials list.csv embedded compounds.csv.gz")
def materials(
    sources: Annotated[
        list[str], typer.Argument(help="'embedded', 'mp' or a .csv[.gz] of formulas; one or more.")
    ],
    out: Annotated[Path, typer.Argument(help="Table to write, .csv or .csv.gz.")],
) -> None:
    """Parse lists of formulas once, into one table that loads in a second.

    Of equal reduced formulas in several lists the first one counts.
    """
    from coreloss.materials.table import load_materials, merge_materials

    loaded = merge_materials(*map(load_materials, sources))
    loaded.write(out)
    typer.echo(f"{out}: {len(loaded)} materials")


if __name__ == "__main__":
    main()
