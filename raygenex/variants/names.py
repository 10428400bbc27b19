"""Chromosome names of one file in another: chr1 and 1, chrM and MT."""

from collections.abc import Iterable

_MITOCHONDRIA = ("chrM", "MT", "M", "chrMT", "Mito", "chrMito")


class Names:
    """Finds the chromosomes of a genome under the names of other files.

    A name stands for itself if the genome has it; otherwise for the one with or without ``chr`` before it; and every
    usual name of the mitochondrial chromosome stands for the one that the genome has.

    Parameters
    ----------
    known
        Chromosomes of the genome.
    """

    def __init__(self, known: Iterable[str]) -> None:
        self._known = set(known)
        self._found: dict[str, str | None] = {}

    def find(self, name: str) -> str | None:
        """Return the genome's name of a chromosome, None if it has no such chromosome."""
        if name not in self._found:
            self._found[name] = self._look(name)
        return self._found[name]

    @property
    def unknown(self) -> list[str]:
        """Names that were looked for and not found, in the order of their first appearance."""
        return [name for name, found in self._found.items() if found is None]

    @property
    def resolved(self) -> bool:
        """Whether any name was found."""
        return any(found is not None for found in self._found.values())

    def _look(self, name: str) -> str | None:
        options = [name, name.removeprefix("chr") if name.startswith("chr") else f"chr{name}"]
        if name in _MITOCHONDRIA:
            options += _MITOCHONDRIA
        return next((option for option in options if option in self._known), None)
