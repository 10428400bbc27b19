"""The lines of GTF and GFF3 files."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import NamedTuple
from urllib.parse import unquote

from raygenex.errors import DataError
from raygenex.files.lines import is_position, read_lines

# Ensembl and RefSeq write #!genome-build, GFF3 defines ##genome-build, GENCODE has it in a description. Before a name
# with a number may be whose it is; any other is the last of several words, as in "Release 6 plus ISO1 MT".
_BUILD = re.compile(
    r"""\#[\#!]\s*genome-build\s(?:.*\s)?(\S*\d\S*)\s*$
        |\#[\#!]\s*genome-build\s+(.*\S)\s*$
        |\#\#description:.*?(?:\ genome\ \((\S+?)\)|mapped\ to\ (\S+))""",
    re.VERBOSE,
)
_LINES_TO_GUESS_FROM = 10
_STARTS_AS_GFF3 = re.compile(r"[;\s]*[^;=\s\"]+=")
_PHASES = {"0": 0, "1": 1, "2": 2, ".": 0}


class Feature(NamedTuple):
    """What one line describes."""

    chrom: str
    kind: str
    """Such as gene, transcript, exon or CDS."""
    start: int
    """From 1."""
    end: int
    """The last base."""
    strand: str
    """``+`` or ``-``; ``.`` or ``?`` without one."""
    phase: int
    """Of a CDS: bases before its first whole codon, 0 to 2; 0 where the line does not say."""
    attributes: str
    """The text of the last column; `values` looks into it, for most attributes are never asked for."""
    is_gtf: bool
    """Whether it is written as GTF writes it."""

    def values(self, key: str) -> list[str]:
        """Return the values of an attribute, in the order of the line; commas separate them in GFF3, not in GTF."""
        text, start = self.attributes, f"{key}{' ' if self.is_gtf else '='}"
        found: list[str] = []
        at = text.find(start)
        while at >= 0:
            behind = at + len(start)
            if self._starts_one(at):
                end = self._end(behind)
                value = text[behind:end].strip().strip('"')
                if self.is_gtf:
                    found.append(value)
                elif value:
                    parts = [value] if ", " in value else value.split(",")
                    found += [unquote(part) if "%" in part else part for part in parts]
                behind = end
            at = text.find(start, behind)
        return found

    def first(self, *keys: str) -> str:
        """Return the first value of the first of these attributes that has one, or an empty string."""
        return next((values[0] for key in keys if (values := self.values(key)) and values[0]), "")

    def _starts_one(self, at: int) -> bool:
        """Whether an attribute starts there, and not the end of another's name or, in GTF, a word between quotes."""
        text = self.attributes
        if at and text[at - 1] != ";" and text[:at].rstrip()[-1:] not in ("", ";"):
            return False
        return not (self.is_gtf and text.count('"', 0, at) % 2)

    def _end(self, at: int) -> int:
        """Return where a value that starts there ends: before a semicolon that, in GTF, is not between quotes."""
        text = self.attributes
        end = text.find(";", at)
        while self.is_gtf and end >= 0 and text.count('"', at, end) % 2:
            end = text.find(";", end + 1)
        return len(text) if end < 0 else end


class FeatureFile:
    """A GTF or GFF3 file, plain or gzip, read once from its start to its end or to its ``##FASTA``.

    Parameters
    ----------
    path, on_progress
        As of `read_lines`.

    Raises
    ------
    DataError
        If the file cannot be read, or one of its first lines is of neither format.
    """

    genome_build: str | None = None
    """As the header names it; known once the first line behind the header is read."""

    def __init__(self, path: str, on_progress: Callable[[int, int], None] | None = None) -> None:
        self._path = path
        self.is_gtf = False
        """Whether the attributes are written as GTF writes them; else the file is GFF3."""
        self._lines = self._described(read_lines(path, on_progress))
        self._head = list(islice(self._lines, _LINES_TO_GUESS_FROM))
        self.is_gtf = self._looks_like_gtf()

    def features(self, wants: Callable[[str, str], bool]) -> Iterator[tuple[int, Feature]]:
        """Yield line numbers, from 1, and features.

        Parameters
        ----------
        wants
            Told the type and the attributes of a line; lines that it does not want are left out unchecked.

        Raises
        ------
        DataError
            If the file cannot be read to its end, or a wanted line is of neither format.
        """
        for number, columns in chain(self._head, self._lines):
            if wants(columns[2], columns[8]):
                yield number, self._parse(number, columns)

    def _described(self, lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, list[str]]]:
        """Yield the columns of the lines that describe features; look for the genome build in the comments."""
        for number, line in lines:
            if line.startswith(("##FASTA", ">")):
                return
            if line.startswith("#"):
                if self.genome_build is None and (match := _BUILD.match(line)):
                    self.genome_build = next(group for group in match.groups() if group)
            elif line.strip():
                columns = line.split("\t", 8)
                if len(columns) < 9:
                    raise DataError(
                        f"{self._path}: line {number} has {len(columns)} columns, but GTF and GFF3 have 9 between "
                        "tabs; correct the line, or name a GTF or GFF3 file"
                    )
                yield number, columns

    def _looks_like_gtf(self) -> bool:
        """Let the first lines say by their attributes how the file is written; those with more of them count more."""
        votes: Counter[bool] = Counter()
        for number, columns in self._head:
            self._parse(number, columns)
            text = columns[8].strip()
            votes[bool(text) and not _STARTS_AS_GFF3.match(text)] += text.count(";") + bool(text)
        return bool(votes) and votes.most_common(1)[0][0]

    def _parse(self, number: int, columns: list[str]) -> Feature:
        chrom, _, kind, start, end, _, strand, phase, attributes = columns
        low = int(start) if is_position(start) else 0
        high = int(end) if is_position(end) else 0
        wrong = None
        if not 1 <= low <= high:
            wrong = f"start {start!r} and end {end!r}, not numbers from 1 in rising order"
        elif strand not in ("+", "-", ".", "?"):
            wrong = f"the strand {strand!r}, not + or -"
        elif kind == "CDS" and phase not in _PHASES:
            wrong = f"the phase {phase!r}, not 0, 1 or 2"
        elif not chrom:
            wrong = "no chromosome"
        if wrong:
            what = "correct the line, or name a GTF or GFF3 file"
            raise DataError(f"{self._path}: line {number} has {wrong}; {what}")
        return Feature(chrom, kind, low, high, strand, _PHASES.get(phase, 0), attributes, self.is_gtf)
