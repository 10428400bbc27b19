"""Ray Data over row ranges: exact counts and schema from metadata, memory bounded by the block."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import ray
import ray.data
import ray.train
from ray.data.block import BlockAccessor, BlockMetadata
from ray.data.context import DataContext
from ray.data.datasource import Datasource, ReadTask

from raygenex.cluster.connect import READ_CPUS, SPARE_CPUS, Request
from raygenex.data.rows import Columns, Piece, Rows, blocks, shard_bounds

# Reads at a time that take no CPU, where none is left to count them by.
UNCOUNTED_READS = 2


class RowRangeDatasource(Datasource):
    """Ray Data source over pieces whose row counts and schema are known before anything is read."""

    def __init__(self, pieces: Sequence[Piece], schema: Any) -> None:
        super().__init__()
        assert pieces, "a dataset needs at least one piece"
        self._pieces = list(pieces)
        self._schema = schema

    def get_name(self) -> str:
        """Return the name that Ray's progress and statistics show."""
        return "GeneRows"

    def estimate_inmemory_data_size(self) -> int:
        """Return the bytes of all blocks."""
        return sum(piece.size_bytes for piece in self._pieces)

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: DataContext | None = None
    ) -> list[ReadTask]:
        """Return one read task per piece; the number of pieces, not ``parallelism``, says how many."""
        return [
            ReadTask(
                partial(_read_block, piece),
                BlockMetadata(
                    num_rows=piece.rows, size_bytes=piece.size_bytes, input_files=[piece.path], exec_stats=None
                ),
                schema=self._schema,
                per_task_row_limit=per_task_row_limit,
            )
            for piece in self._pieces
        ]


def _read_block(piece: Piece) -> Iterator[Any]:
    columns = piece.read()
    assert len(columns["row"]) == piece.rows, "a piece must hold the rows that its metadata promise"
    yield BlockAccessor.batch_to_block(columns)


def to_dataset(pieces: Sequence[Piece], sample: Piece, uncounted: int | None = None) -> ray.data.Dataset:
    """Return a Ray Dataset whose blocks are the pieces, in order.

    ``sample`` is a piece of one row with the same columns, read here to learn the schema. With ``uncounted``, so many
    reads at a time take no CPU: where none may be left, they would wait for one for ever.
    """
    schema = BlockAccessor.batch_to_block(sample.read()).schema
    return ray.data.read_datasource(
        RowRangeDatasource(pieces, schema),
        override_num_blocks=len(pieces),
        num_cpus=0 if uncounted else READ_CPUS,
        # Ray warns of more than there are.
        concurrency=min(uncounted, len(pieces)) if uncounted else None,
    )


def rows_dataset(rows: Rows, start: int = 0, stop: int | None = None, uncounted: int | None = None) -> ray.data.Dataset:
    """Return a Ray Dataset over the rows ``start`` to ``stop``, cut into blocks of about 8 MiB."""
    return to_dataset(blocks(rows, start, stop), rows.pieces(start, start + 1, 1)[0], uncounted)


def by_actors(
    pieces: Sequence[Piece],
    sample: Piece,
    actor: type,
    arguments: tuple[Any, ...],
    request: Request,
    least: int,
    most: int,
) -> Iterator[Columns]:
    """Yield what actors make of the pieces, in their order, on the cluster that `connect` opened for the request.

    Parameters
    ----------
    pieces, sample
        As of `to_dataset`.
    actor
        Called with the columns of a piece; it returns columns.
    arguments
        What it is made with.
    request
        Says the CPUs and GPUs of each.
    least, most
        How many there are at a time.
    """
    # Reads take no CPU: after a node is lost, its actors may take those that were free for reading.
    made = to_dataset(pieces, sample, max(UNCOUNTED_READS, most)).map_batches(
        actor,
        fn_constructor_args=arguments,
        batch_size=None,
        batch_format="numpy",
        compute=ray.data.ActorPoolStrategy(min_size=least, max_size=most),
        num_cpus=request.cpus,
        num_gpus=request.gpus or None,
    )
    yield from made.iter_batches(batch_size=None, batch_format="numpy")


class RowShards(ray.train.DataConfig):
    """Give every worker its own contiguous rows, so that each gene is read by exactly one worker.

    Ray's own splitting makes shards equal by dropping rows, and deals blocks out as they come; this one drops nothing
    and is the same in every run.
    """

    def __init__(self, tables: dict[str, Rows], cpus_per_worker: float) -> None:
        super().__init__(datasets_to_split=[])
        self._tables = tables
        self._cpus_per_worker = cpus_per_worker

    def configure(
        self,
        datasets: dict[str, Any],
        world_size: int,
        worker_handles: Any,
        worker_node_ids: Any,
        **kwargs: Any,
    ) -> list[dict[str, Any]]:
        """Return one iterator per dataset for every worker; Ray calls it again when the number of workers changes."""
        # What was free for reading when the training began may be gone with a node.
        left = ray.cluster_resources().get("CPU", 0.0) - world_size * self._cpus_per_worker
        uncounted = UNCOUNTED_READS if left < SPARE_CPUS else None
        return [
            {
                name: rows_dataset(
                    self._tables[name], *shard_bounds(self._tables[name].count, rank, world_size), uncounted
                ).iterator()
                for name in datasets
            }
            for rank in range(world_size)
        ]
