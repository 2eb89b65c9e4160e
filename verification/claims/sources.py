"""The bibliography: the documents whose statements are measured, and the papers that these go back to.

A claim cites a source with its place, as in NOTES_2025["Theorem 18"], or as a whole, SLIDES. We read the lecture notes,
the tutorial, the slides and the blog post as text that had been extracted from the printed page. Places are those of
that text; slides have no numbers, so that a slide is cited by its title.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...solvers.common import check_instance

__all__ = ["BIBLIOGRAPHY", "Citation", "Source"]


@dataclass(frozen=True)
class Source:
    """A document.

    name: how claims cite it, in a few words. date: its edition or date; "" if it has none.
    address: where it can be read; None if we know of no place, and `no_address` says why.

    Raises TypeError for what is no text, ValueError without a title, and for a source that has both an address and a
    reason for none, or neither.
    """

    name: str
    authors: str
    title: str
    date: str
    address: str | None = None
    no_address: str = ""

    def __post_init__(self) -> None:
        for key, text in vars(self).items():
            if not (key == "address" and text is None):
                check_instance(key, text, str, "a text")
        if not self.title:
            raise ValueError(f"the source {self.name!r} needs a title.")
        if (self.address is None) == (not self.no_address):
            raise ValueError(f"the source {self.name!r} needs an address, or the reason why it has none.")

    def __getitem__(self, place: str) -> Citation:
        return Citation(self, place)

    def __str__(self) -> str:
        parts = [part for part in (self.authors, self.title, self.date) if part]
        return f"{', '.join(parts)}. {self.address or self.no_address}"


@dataclass(frozen=True)
class Citation:
    """A place in a source, as "Eq. 12" or "section 4.2"; "" for the source as a whole."""

    source: Source
    place: str = ""

    def __post_init__(self) -> None:
        check_instance("source", self.source, Source, "a Source")
        check_instance("place", self.place, str, 'a text such as "Eq. 12"')

    def __str__(self) -> str:
        return f"{self.source.name}, {self.place}" if self.place else self.source.name


NOTES_2025 = Source(
    "lecture notes 2025",
    "Peter Holderrieth and Ezra Erives",
    "An Introduction to Flow Matching and Diffusion Models",
    "lecture notes of MIT 6.S184, edition 2025",
    "https://diffusion.csail.mit.edu/2025/index.html",
)
NOTES_2026 = Source(
    "lecture notes 2026",
    "Peter Holderrieth and Ezra Erives",
    "An Introduction to Flow Matching and Diffusion Models",
    "lecture notes of MIT 6.S184, edition 2026",
    "https://diffusion.csail.mit.edu/",
)
TUTORIAL = Source(
    "tutorial",
    "Nando de Freitas and Everyone",
    "Diffusion and flow matching tutorial: How we generate images, video, speech and protein structures",
    "11 May 2026",
    no_address="No address is known to us: we have a copy of the text.",
)
SLIDES = Source(
    "slides",
    "author not known to us",
    "Diffusion Models in a nutshell",
    "lecture slides, no date",
    no_address="No address is known to us: we have a copy of the text.",
)
BLOG = Source(
    "blog post",
    "author not known to us",
    "Introduction to diffusion and flow models",
    "no date",
    no_address="No address is known to us: we have a copy of the text.",
)
ANDERSON = Source(
    "Anderson 1982",
    "Brian D. O. Anderson",
    "Reverse-time diffusion equation models",
    "Stochastic Processes and their Applications 12, 1982",
    "https://doi.org/10.1016/0304-4149(82)90051-5",
)
HUTCHINSON = Source(
    "Hutchinson 1990",
    "Michael F. Hutchinson",
    "A stochastic estimator of the trace of the influence matrix for Laplacian smoothing splines",
    "Communications in Statistics: Simulation and Computation 19, 1990",
    "https://doi.org/10.1080/03610919008812866",
)
VINCENT = Source(
    "Vincent 2011",
    "Pascal Vincent",
    "A connection between score matching and denoising autoencoders",
    "Neural Computation 23, 2011",
    "https://doi.org/10.1162/NECO_a_00142",
)
VDM = Source(
    "Kingma et al. 2021",
    "Diederik P. Kingma, Tim Salimans, Ben Poole and Jonathan Ho",
    "Variational Diffusion Models",
    "2021",
    "https://arxiv.org/abs/2107.00630",
)
SIMPLE_DIFFUSION = Source(
    "Hoogeboom et al. 2023",
    "Emiel Hoogeboom, Jonathan Heek and Tim Salimans",
    "simple diffusion: End-to-end diffusion for high resolution images",
    "2023",
    "https://arxiv.org/abs/2301.11093",
)
TANG_SAAD = Source(
    "Tang and Saad 2012",
    "Jok M. Tang and Yousef Saad",
    "A probing method for computing the diagonal of a matrix inverse",
    "Numerical Linear Algebra with Applications 19, 2012",
    "https://doi.org/10.1002/nla.779",
)
STATHOPOULOS = Source(
    "Stathopoulos et al. 2013",
    "Andreas Stathopoulos, Jesse Laeuchli and Kostas Orginos",
    "Hierarchical probing for estimating the trace of the matrix inverse on toroidal lattices",
    "2013",
    "https://arxiv.org/abs/1302.4018",
)
BURDA = Source(
    "Burda et al. 2016",
    "Yuri Burda, Roger Grosse and Ruslan Salakhutdinov",
    "Importance Weighted Autoencoders",
    "2016",
    "https://arxiv.org/abs/1509.00519",
)
PROGRESSIVE = Source(
    "Salimans and Ho 2022",
    "Tim Salimans and Jonathan Ho",
    "Progressive Distillation for Fast Sampling of Diffusion Models",
    "2022",
    "https://arxiv.org/abs/2202.00512",
)
MENG = Source(
    "Meng et al. 2022",
    "Chenlin Meng, Robin Rombach, Ruiqi Gao, Diederik P. Kingma, Stefano Ermon, Jonathan Ho and Tim Salimans",
    "On Distillation of Guided Diffusion Models",
    "2022",
    "https://arxiv.org/abs/2210.03142",
)
CONSISTENCY = Source(
    "Song et al. 2023",
    "Yang Song, Prafulla Dhariwal, Mark Chen and Ilya Sutskever",
    "Consistency Models",
    "2023",
    "https://arxiv.org/abs/2303.01469",
)
TRAJECTORY = Source(
    "Kim et al. 2023",
    "Dongjun Kim, Chieh-Hsin Lai, Wei-Hsiang Liao, Naoki Murata, Yuhta Takida, Toshimitsu Uesaka, Yutong He, "
    "Yuki Mitsufuji and Stefano Ermon",
    "Consistency Trajectory Models: Learning Probability Flow ODE Trajectory of Diffusion",
    "2023",
    "https://arxiv.org/abs/2310.02279",
)
MEAN_FLOW = Source(
    "Geng et al. 2025",
    "Zhengyang Geng, Mingyang Deng, Xingjian Bai, J. Zico Kolter and Kaiming He",
    "Mean Flows for One-step Generative Modeling",
    "2025",
    "https://arxiv.org/abs/2505.13447",
)
INTERPOLANTS = Source(
    "Albergo et al. 2023",
    "Michael S. Albergo, Nicholas M. Boffi and Eric Vanden-Eijnden",
    "Stochastic Interpolants: A Unifying Framework for Flows and Diffusions",
    "2023",
    "https://arxiv.org/abs/2303.08797",
)
FOKKER = Source(
    "derived here",
    "the authors of Fokker",
    "Consequences of the statements of the other sources",
    "",
    no_address="They are derived in the docstrings of this package's own claims.",
)

BIBLIOGRAPHY = (
    NOTES_2025, NOTES_2026, TUTORIAL, SLIDES, BLOG, ANDERSON, HUTCHINSON, VINCENT, VDM, SIMPLE_DIFFUSION, TANG_SAAD,
    STATHOPOULOS, BURDA, PROGRESSIVE, MENG, CONSISTENCY, TRAJECTORY, MEAN_FLOW, INTERPOLANTS,
    FOKKER,
)  # fmt: skip
"""Every source, in the order in which the report prints them."""
