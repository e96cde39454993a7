"""`retime cite`: how to cite the program, and the papers whose methods it uses."""

from __future__ import annotations

import retime as rt

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
