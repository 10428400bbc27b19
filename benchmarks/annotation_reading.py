"""Reading an annotation, and one of human size made of copies of it: seconds against a plain pass, and memory.

    python benchmarks/annotation_reading.py ANNOTATION.gff.gz [--copies 18] [--repeats 3]

ANNOTATION is a GFF3 file of RefSeq, such as that of the first chromosome of *Arabidopsis*, whose 190,000 lines times 18
are as many as GENCODE has for man. Each copy is a chromosome of its own with genes of its own. The plain pass unpacks
the file and splits each line at its tabs: no reader in Python can be faster. Each side runs in a process of its own.
"""

import argparse
import gzip
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import print_ratio, print_table, resident_mb

from raygenex.data.build.annotation import read_annotation


def write_copies(annotation: Path, copies: int, target: Path) -> None:
    """Write an annotation several times into one file, each time with other names of chromosomes, genes and RNAs."""
    with gzip.open(annotation, "rt", encoding="utf-8") as stream:
        lines = [line for line in stream if not line.startswith("#")]
    with gzip.open(target, "wt", compresslevel=1, encoding="utf-8") as out:
        out.write("##gff-version 3\n")
        for copy in range(copies):
            mark = f"copy{copy}."
            for line in lines:
                out.write(mark + line.replace("=gene-", f"=gene-{mark}").replace("rna-", f"rna-{mark}"))


def plain_pass(path: Path) -> dict[str, int]:
    """Unpack a file and split its lines."""
    with gzip.open(path, "rb") as stream:
        columns = sum(len(line.decode().split("\t")) for line in stream)
    return {"columns": columns}


def read(path: Path) -> dict[str, int]:
    """Read a file as `data build` does."""
    found = read_annotation(str(path)).transcripts
    return {"genes": len(found), "transcripts": sum(map(len, found.values()))}


def work(way: str, path: str) -> None:
    """Run one side in this process, and print what it found."""
    started = time.perf_counter()
    found = (read if way == "read" else plain_pass)(Path(path))
    print(json.dumps(found | {"seconds": time.perf_counter() - started, "peak_mb": resident_mb()}))


def run(way: str, path: Path) -> dict[str, float]:
    """Run one side in a process of its own."""
    command = [sys.executable, __file__, "--work", way, str(path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(ended.stdout)
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("annotation", type=Path)
    parser.add_argument("--copies", type=int, default=18)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    rows, ratios = [], []
    with tempfile.TemporaryDirectory() as folder:
        many = Path(folder, "many.gff.gz")
        write_copies(given.annotation, given.copies, many)
        for name, path in (("the file", given.annotation), (f"{given.copies} copies", many)):
            sides = [(run("plain", path), run("read", path)) for _ in range(given.repeats)]
            plain, seconds = (statistics.median(pair[side]["seconds"] for pair in sides) for side in (0, 1))
            found = sides[0][1]
            ratios.append(seconds / plain)
            genes, transcripts = f"{found['genes']:,.0f}", f"{found['transcripts']:,.0f}"
            memory = f"{max(pair[1]['peak_mb'] for pair in sides):.0f}"
            rows.append((name, genes, transcripts, f"{plain:.1f}", f"{seconds:.1f}", f"{ratios[-1]:.2f}", memory))
    header = ("annotation", "genes", "transcripts", "plain pass, s", "read, s", "read / plain", "peak memory, MB")
    print_table(header, rows)
    for name, ratio in zip(("annotation", "annotation_copies"), ratios, strict=True):
        print_ratio(name, ratio)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        work(*sys.argv[2:4])
    else:
        main()
