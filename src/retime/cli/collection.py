"""`retime zoo` and `retime cite`."""

from __future__ import annotations

from typing import Annotated

import typer

import retime as rt
from retime.cli.app import Page, command
from retime.core.rendering import paragraph, terminal_width, text_table

ENTRIES = {
    "retime": (
        "the program",
        f"""@software{{retime,
  author = {{{{The retime developers}}}},
  title = {{retime: recurrent neural networks between discrete and continuous time}},
  version = {{{rt.__version__}}},
  license = {{MIT}},
}}""",
    ),
    "monfared2020": (
        "conversion of ReLU networks to continuous time (convert, to_continuous)",
        """@inproceedings{monfared2020,
  author = {Monfared, Zahra and Durstewitz, Daniel},
  title = {Transformation of {ReLU}-based recurrent neural networks from discrete-time to continuous-time},
  booktitle = {Proceedings of the 37th International Conference on Machine Learning},
  series = {PMLR},
  volume = {119},
  pages = {6999--7009},
  year = {2020},
  eprint = {2007.00321},
}""",
    ),
    "caruso2023": (
        "rescaling, discretization, linearization (discretize, rescale, linearize, interchange)",
        """@misc{caruso2023,
  author = {Caruso, Mariano and Jarne, Cecilia},
  title = {Analysing rescaling, discretization, and linearization in {RNN}s for neural system modelling},
  year = {2023},
  eprint = {2312.15974},
}""",
    ),
}


@command(reads=False, writes=("", ".npz"))
def zoo(
    page: Page,
    name: Annotated[str | None, typer.Argument(help="A network to write with -o; default: list them all.")] = None,
) -> None:
    """The networks that ship with retime: list, or write one.

    -o writes the network that is named to a file.
    """
    if name is not None:
        model = rt.zoo.load(name)
        if page.output is None:
            raise ValueError(f"Say where to write {name!r} with -o FILE.npz, or use zoo:{name} in place of a file.")
        page.save(model)
        return page.end({"name": name, "output": page.written})
    if page.output is not None:
        raise ValueError("Name the network to write: retime zoo NAME -o FILE.npz.")
    entries = [rt.zoo.entry(n) for n in rt.zoo.names()]
    rows = [[e.name, type(e.model).__name__, e.description] for e in entries]
    page.say(text_table(["name", "model", "what it is"], rows, width=terminal_width()))
    page.say("\n" + paragraph("Use zoo:NAME in place of a file, e.g. retime convert zoo:vanderpol"))
    return page.end(
        {
            e.name: {"model": repr(e.model), "description": e.description, "source": e.source, "z0": e.z0}
            for e in entries
        }
    )


@command(reads=False)
def cite(page: Page) -> None:
    """How to cite retime and the papers behind it, as BibTeX."""
    for what, entry in ENTRIES.values():
        page.say(f"% {what}\n{entry}\n")
    page.say("% Other methods name their source in their docstrings; the list is docs/refs.bib.")
    page.end({key: {"for": what, "bibtex": entry} for key, (what, entry) in ENTRIES.items()})
