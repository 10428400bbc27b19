"""Variants as files write them: VCF, plain or compressed, BCF, and tables with chrom, pos, ref and alt."""

import csv
import gzip
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from raygenex.errors import DataError
from raygenex.files.lines import GZIP_MAGIC, is_position, read_lines
from raygenex.files.locate import local_copy

_FIELDS = ("chrom", "pos", "id", "ref", "alt")
_BCF_MAGIC = b"BCF\x02"
_MISSING = ("", ".")


class VariantRecord(NamedTuple):
    """One line of a file of variants, as it is there."""

    line: int
    """Number of the line, from 1; in a BCF that of the record."""
    chrom: str
    pos: int
    """Position of the first base of REF, from 1."""
    name: str
    """The id; empty if there is none."""
    ref: str
    alts: tuple[str, ...]
    """Alternative alleles in the order of the file; ``(".",)`` where none is given."""


def read_variants(path: str, on_progress: Callable[[int, int], None] | None = None) -> Iterator[VariantRecord]:
    """Yield the records of a file of variants, one after the other; nothing is kept.

    What the file is, is told from its content. The header of a VCF needs nothing but the line that starts with
    ``#CHROM``: contigs and fields need not be declared, and genotypes are not read. A table has a header line with
    the columns ``chrom``, ``pos``, ``ref`` and ``alt``, in any order and case, and may have ``id``; commas separate
    its values if there is no tab in that line. Several alleles in ``alt`` are separated by commas in a VCF and in a
    table of tabs.

    Parameters
    ----------
    path
        A local path or an fsspec URL: VCF or table, plain, gzip or bgzip, or BCF.
    on_progress
        Called now and then with the bytes of the file that are read, and all its bytes; not for BCF.

    Raises
    ------
    DataError
        If the file cannot be read, is neither, lacks a column, or a line has too few fields or a position that is
        none; the sentence names file and line.
    """
    local = local_copy(path)
    if _is_bcf(local):
        yield from _read_bcf(path, local)
        return
    columns: list[int] | None = None
    separator = "\t"
    for number, line in read_lines(path, on_progress):
        if line.startswith("##") or not line.strip():
            continue
        if columns is None:
            line = line.removeprefix("\ufeff")
            separator = "\t" if "\t" in line else ","
            columns = _columns(path, number, line, separator)
            plain = columns == list(range(5))
            continue
        # Genotypes of a VCF, which may be thousands, stay one piece.
        values = line.split("\t", 5 if plain else -1) if separator == "\t" else _split(path, number, line, separator)
        yield _record(path, number, values, columns)
    if columns is None:
        raise DataError(f"{path} is empty: it has no line of columns; name a VCF, or a table of chrom, pos, ref, alt")


def _split(path: str, number: int, line: str, separator: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=separator))
    except csv.Error as error:
        raise DataError(f"{path}: line {number} cannot be cut into fields ({error}); correct or remove it") from None


def _columns(path: str, number: int, line: str, separator: str) -> list[int]:
    """Return where a header line has chrom, pos, id (-1 for none), ref and alt."""
    names = [name.strip().lower().removeprefix("#") for name in _split(path, number, line, separator)]
    found = [names.index(name) if name in names else -1 for name in _FIELDS]
    missing = [name for name, at in zip(_FIELDS, found, strict=True) if at < 0 and name != "id"]
    if missing:
        raise DataError(
            f"{path}: line {number} must name the columns and lacks {', '.join(missing)}; give a VCF its line #CHROM, "
            "tabs between its words, and a table a header with chrom, pos, ref and alt"
        )
    return found


def _record(path: str, number: int, values: Sequence[str], columns: Sequence[int]) -> VariantRecord:
    chrom_at, pos_at, id_at, ref_at, alt_at = columns
    if len(values) <= max(columns):
        raise DataError(
            f"{path}: line {number} has {len(values)} fields where {max(columns) + 1} are needed; correct or remove it"
        )
    pos = values[pos_at].strip()
    if not is_position(pos):
        raise DataError(f"{path}: line {number} has the position {pos[:40]!r}, which is not a position; correct it")
    chrom, ref, alt = values[chrom_at].strip(), values[ref_at].strip(), values[alt_at].strip()
    if not chrom or ref in _MISSING:
        what = "reference allele" if chrom else "chromosome"
        raise DataError(f"{path}: line {number} has no {what}; correct or remove it")
    name = values[id_at].strip() if id_at >= 0 else ""
    alts = tuple(alt.split(",")) if alt else (".",)
    return VariantRecord(number, chrom, int(pos), "" if name in _MISSING else name, ref, alts)


def _is_bcf(local: str) -> bool:
    try:
        with open(local, "rb") as raw:
            head = raw.read(len(_BCF_MAGIC))
            if head[:2] == GZIP_MAGIC:
                raw.seek(0)
                with gzip.GzipFile(fileobj=raw) as stream:
                    head = stream.read(len(_BCF_MAGIC))
    except (OSError, EOFError, zlib.error):
        # What is wrong with it is said by whoever reads its lines.
        return False
    return head == _BCF_MAGIC


def _read_bcf(path: str, local: str) -> Iterator[VariantRecord]:
    import pysam

    before = pysam.set_verbosity(0)
    number = 0
    try:
        with pysam.VariantFile(local) as file:
            for number, record in enumerate(file, 1):
                name = record.id if record.id not in (None, *_MISSING) else ""
                yield VariantRecord(number, record.chrom, record.pos, name, record.ref or ".", record.alts or (".",))
    except (OSError, ValueError):
        raise DataError(f"{path} is damaged after record {number}; copy or download it again") from None
    finally:
        pysam.set_verbosity(before)
