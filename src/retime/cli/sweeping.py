"""`retime sweep`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

import retime as rt
from retime.cli.app import Page, command
from retime.core.rendering import paragraph


@command(reads=False, writes=(".csv", ".json"))
def sweep(
    page: Page,
    plan: Annotated[
        Path | None, typer.Argument(metavar="PLAN", help="What to run: a TOML file with function, grid, folder, ...")
    ] = None,
    analyze: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Instead of a plan: analyze all weights files of a folder.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="For the results; default: of the plan; with --analyze FOLDER-analyses.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Processes here; default: all cores.", min=0)] = None,
    scheduler: Annotated[str | None, typer.Option(help="Address of a Dask scheduler: tcp://host:8786.")] = None,
    retries: Annotated[int | None, typer.Option(help="Further tries of a case whose process dies; default: 1.")] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds of one case; default: no limit.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Run the cases again that failed.")] = False,
    steps: Annotated[int, typer.Option(help="With --analyze: steps of the orbit.")] = 10_000,
    time_limit: Annotated[float, typer.Option(help="With --analyze: seconds of work for each network.")] = 60.0,
) -> bool:
    """Many runs of one function, or a folder analyzed.

    Results are kept in a folder as they come; the same command continues where it stopped. -o writes the table. Exit code 1 when a case
    failed, or Ctrl-C came before all were done.
    """
    if (plan is None) == (analyze is None):
        raise ValueError("Give a plan (a TOML file), or --analyze FOLDER of weights files.")
    if workers is not None and scheduler is not None:
        raise ValueError("--workers are of this machine, --scheduler has its own; give one of them.")
    given = {"retries": retries, "timeout": timeout, "client": workers if scheduler is None else scheduler}
    options: dict[str, Any] = {k: v for k, v in given.items() if v is not None} | {"again": again}
    if plan is not None:
        from retime.sweep import read_plan

        found = read_plan(plan)
        function, cases, place, options = found.function, found.cases, found.folder, found.options | options
    else:
        from retime.sweep import analyze_file, weights_in

        cases = [x | {"steps": steps, "time_limit": time_limit} for x in weights_in(str(analyze))]
        function, place = analyze_file, Path(f"{str(analyze).rstrip('/')}-analyses")
    done = rt.sweep(function, cases, folder=place if folder is None else folder, **options)
    page.save(done)
    title, _, table = repr(done).partition("\n")
    page.say(f"{paragraph(title)}\n{table}\n\nResults: {done.folder}")
    page.end({**done.to_dict(), "output": page.written})
    return done.status == "completed"
