"""Which chromosomes ``build.chromosomes`` chooses, in the names of the file that says where genes lie."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from raygenex.data.tables import shown
from raygenex.errors import DataError


def is_chosen(chrom: str, chromosomes: Sequence[str]) -> bool:
    """Whether a chromosome is one of these names or globs; without any, each is."""
    return not chromosomes or any(fnmatchcase(chrom, pattern) for pattern in chromosomes)


def check_chosen(chromosomes: Sequence[str], there: Iterable[str], where: str) -> None:
    """Refuse, by a DataError, a name or glob that matches none of a file's chromosomes: a typo would lose genes."""
    names = sorted(set(there))
    for pattern in chromosomes:
        if not any(fnmatchcase(chrom, pattern) for chrom in names):
            raise DataError(
                f"build.chromosomes: nothing matches {pattern!r}; {where} has genes on {shown(names)}: correct it"
            )
