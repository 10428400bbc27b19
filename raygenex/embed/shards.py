"""One shard of the embedding store: a Parquet file of consecutive genes of one split."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from raygenex.data.rows import Columns
from raygenex.errors import CheckpointError, RaygenexError
from raygenex.files.errors import disk_errors_told
from raygenex.files.parts import Part, PartNames
from raygenex.files.whole import whole_file

SHARDS = PartNames("rows", "parquet")
BLOCK_BYTES = 8 * 2**20
_COLUMNS = {
    "gene_id": pa.string(),
    "row": pa.int64(),
    "halflife": ((1, pa.float32()),),
    "label": pa.uint8(),
    "embedding": ((2, pa.float16()), (2, pa.float32())),
}
"""Columns of a shard and their types; of tensors, how many axes a gene has and the types of their numbers."""


def write_shard(store: str, split: str, columns: Columns, embedding: np.ndarray) -> None:
    """Write one shard: consecutive rows of one split.

    Parameters
    ----------
    store, split
        The store's folder and the split's name.
    columns
        ``gene_id`` (n,), ``row`` (n,) consecutive, ``halflife`` (n, 8) and, if the genes have labels, ``label`` (n,).
    embedding
        Binned embeddings, shape ``(n, bins, channels)``, float16 or float32.

    Raises
    ------
    CheckpointError
        If a value is not finite in the store's number format.
    """
    if not np.isfinite(embedding).all():
        gene = columns["gene_id"][~np.isfinite(embedding).all(axis=(1, 2))][0]
        overflow = embedding.dtype == np.float16 and not np.isnan(embedding).any()
        raise not_finite(f"the embedding of gene {gene}", str(embedding.dtype), overflow)
    rows = columns["row"]
    assert (np.diff(rows) == 1).all(), "a shard holds consecutive rows"
    table = pa.table(
        {
            "gene_id": pa.array([str(gene) for gene in columns["gene_id"]], pa.string()),
            "row": pa.array(rows, pa.int64()),
            "halflife": pa.FixedShapeTensorArray.from_numpy_ndarray(np.ascontiguousarray(columns["halflife"])),
            # Of genes without labels nobody reads them: who wants labels asks the files for them first.
            "label": pa.array(columns.get("label", np.zeros(len(rows))), pa.uint8()),
            "embedding": pa.FixedShapeTensorArray.from_numpy_ndarray(np.ascontiguousarray(embedding)),
        }
    )
    folder = Path(store, f"split={split}")
    folder.mkdir(parents=True, exist_ok=True)
    # Row groups of one block each: a reader of a few genes decompresses no more than those.
    rows_per_group = max(1, BLOCK_BYTES // (embedding[0].nbytes + 80))
    options = {"compression": "zstd", "write_statistics": False, "write_page_checksum": True}
    path = SHARDS.path(folder, rows[0], rows[-1] + 1)
    with whole_file(path, sweep=False) as partial, partial.open("wb") as file:
        pq.write_table(table, file, row_group_size=rows_per_group, **options)


def read_gene_ids(shard: Part) -> list[str]:
    """Return the gene ids of one shard, in row order."""
    with _shard_file(shard) as file:
        return file.read(columns=["gene_id"])["gene_id"].to_pylist()


def is_damaged(shard: Part) -> bool:
    """Whether the end of a shard, where Parquet says what it holds, is missing or says something else."""
    try:
        with _shard_file(shard):
            return False
    except CheckpointError:
        return True


@contextlib.contextmanager
def _shard_file(shard: Part) -> Iterator[pq.ParquetFile]:
    """Open a shard and turn what is wrong with it into one sentence; what keeps it from being read is not that."""
    try:
        with pq.ParquetFile(shard.path, memory_map=True, page_checksum_verification=True) as file:
            count = file.metadata.num_rows
            if count != shard.stop - shard.start:
                raise CheckpointError(f"{shard.path} holds {count} rows, not {shard.stop - shard.start}: remove it")
            _check_columns(shard, file.schema_arrow)
            yield file
    except (RaygenexError, MemoryError, pa.ArrowCancelled):
        raise
    except (OSError, pa.ArrowException, ValueError, LookupError) as error:
        # The system numbers its errors. Those of Parquet, of a cut file or of flipped bits, have no number.
        if isinstance(error, OSError) and error.errno:
            error.filename = error.filename or shard.path
            raise
        raise CheckpointError(f"{shard.path} cannot be read ({error}): remove that file and embed again") from None


def _check_columns(shard: Part, schema: pa.Schema) -> None:
    """Refuse a shard whose columns are not those that `write_shard` writes."""
    for name, kind in _COLUMNS.items():
        at = schema.get_field_index(name)
        found = None if at < 0 else schema.field(at).type
        if isinstance(kind, pa.DataType):
            fits = found == kind
        else:
            fits = isinstance(found, pa.FixedShapeTensorType) and (len(found.shape), found.value_type) in kind
        if not fits:
            raise CheckpointError(
                f"{shard.path} has no column {name} as `raygenex embed` writes it: remove that file and embed again"
            )


def read_shards(shards: list[Part], start: int, stop: int) -> Columns:
    """Read the rows ``start`` to ``stop`` of a split, which are in these shards; the columns of `EmbeddingRows`."""
    with disk_errors_told():
        parts = [_read_shard(shard, max(start, shard.start), min(stop, shard.stop)) for shard in shards]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if len(parts) > 1 else parts[0]


def _read_shard(shard: Part, start: int, stop: int) -> Columns:
    with _shard_file(shard) as file:
        sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        ends = shard.start + np.cumsum(sizes)
        starts = ends - sizes
        wanted = [group for group in range(len(sizes)) if starts[group] < stop and ends[group] > start]
        first = int(starts[wanted[0]])
        table = file.read_row_groups(wanted).slice(start - first, stop - start).combine_chunks()
        if empty := [name for name in _COLUMNS if table[name].null_count]:
            raise CheckpointError(f"{shard.path} lacks values of {empty[0]}: remove that file and embed again")

        def tensor(name: str) -> np.ndarray:
            return table[name].chunk(0).to_numpy_ndarray()

        return {
            "gene_id": table["gene_id"].to_numpy(zero_copy_only=False).astype(str),
            "row": table["row"].to_numpy(),
            "halflife": tensor("halflife"),
            "label": table["label"].to_numpy(),
            "sequence": tensor("embedding"),
        }


def not_finite(what: str, dtype: str, overflow: bool) -> CheckpointError:
    """Return the error of embeddings that are infinite or not a number.

    Parameters
    ----------
    what
        Whose embedding it is.
    dtype
        Its number format, as in ``embed.dtype``.
    overflow
        Whether the number format is at fault, which is too small for the values.
    """
    advice = "set embed.dtype to float32" if overflow else "these backbone weights are not usable"
    return CheckpointError(f"{what} is not finite in {dtype}: {advice}")
