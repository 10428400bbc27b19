"""What `--dry-run` says: each verb's checks, as far as they need no cluster, and what it would do then."""

from pathlib import Path

from raygenex.benchmark.jobs import finished_jobs, plan_jobs
from raygenex.config.data import SPLITS
from raygenex.config.model import AutoencoderXgboost, Logistic, XgboostKmer
from raygenex.config.run import RunConfig
from raygenex.data.build.run import find_build
from raygenex.data.chosen import choose
from raygenex.data.make import made_folder
from raygenex.data.opening import open_splits
from raygenex.data.simulate.run import find_simulation
from raygenex.embed.run import check_backbone, data_fingerprints
from raygenex.embed.store import missing_ranges, read_manifest, refuse_differences, settings_differences
from raygenex.errors import RaygenexError
from raygenex.evaluate import open_rows
from raygenex.predict.run import open_prediction
from raygenex.text import short_path
from raygenex.train.checkpoint import read_info
from raygenex.train.inputs import open_inputs
from raygenex.train.run import check_workers, known_state, needs_ray, uses_gpu
from raygenex.train.state import RunState, read_state
from raygenex.tune.space import Space
from raygenex.tune.study import open_study
from raygenex.tune.study import request as study_request


def plan_simulate(config: RunConfig, force: bool) -> str:
    """Say whether the data set would be made or reused; refuse where `data simulate` would."""
    folder = made_folder(config, "simulate")
    assert config.simulate is not None, "checked with the folder"
    found = None if force else find_simulation(config.simulate, folder)
    return f"simulate: {'reuse' if found else 'make'} the data set in {short_path(str(folder))}"


def plan_build(config: RunConfig, force: bool) -> str:
    """Say how many genes would be built where; the inputs are read and checked, but for the genome's bases."""
    folder = made_folder(config, "build")
    assert config.build is not None, "checked with the folder"
    if not force and find_build(config, folder) is not None:
        return f"build: reuse the data set in {short_path(str(folder))}"
    origin = choose(config).origin
    return (
        f"build: {len(origin.genes)} genes of {short_path(origin.where)} into {short_path(str(folder))}, "
        f"split by {config.split.rule} ({len(origin.dropped)} genes stay out)"
    )


def plan_embed(config: RunConfig, force: bool) -> str:
    """Say how many genes there are to embed."""
    check_backbone(config)
    splits = open_splits(config.data, config.data.configured or ("train",))
    if (manifest := read_manifest(config.store)) is not None and not force:
        window = next(iter(splits.values())).window
        refuse_differences(
            config.store, settings_differences(manifest, config, window, data_fingerprints(splits), paths=False)
        )
    return _embed_sentence(config, {name: split.rows for name, split in splits.items()})


def _embed_sentence(config: RunConfig, counts: dict[str, int]) -> str:
    todo = sum(
        stop - start for name, count in counts.items() for start, stop in missing_ranges(config.store, name, count)
    )
    found = "no store yet" if read_manifest(config.store) is None else "store found"
    return f"embed: {todo} of {sum(counts.values())} genes to do into {short_path(config.store)} ({found})"


def plan_train(config: RunConfig, force: bool) -> str:
    """Say what would be trained where, and whether it continues or reuses a run."""
    inputs = open_inputs(config, open_splits(config.data, ("train", "valid")))
    check_workers(config, inputs)
    return _train_sentence(config, None if force else known_state(Path(config.folder), inputs))


def _train_sentence(config: RunConfig, state: RunState | None) -> str:
    status = "new run"
    if state is not None:
        status = "trained, to complete in MLflow" if state.trained else "unfinished run to continue"
        status = "finished run to reuse" if state.finished else status
    options = config.train
    each = "GPU" if uses_gpu(config) else f"{options.cpus_per_worker:g} CPU"
    where = f"{options.workers} x {each}" if needs_ray(config) else f"{options.cpus_per_worker:g} CPU of this process"
    what = f"{config.model.kind}{_embedding(config)}, {_amount(config)}"
    return f"train: {what}, {where}, into {short_path(config.folder)} ({status})"


def _embedding(config: RunConfig) -> str:
    """Say what the backbone does within a training, if anything."""
    if config.online is None:
        return ""
    return f" on a {config.backbone.kind} that is {'fine-tuned' if config.online.finetune else 'frozen'} in its workers"


def _amount(config: RunConfig) -> str:
    """Say how long a training may last."""
    model = config.model
    if isinstance(model, Logistic):
        return "up to its optimum"
    if isinstance(model, XgboostKmer):
        return f"{model.trees.trees} trees at most"
    if isinstance(model, AutoencoderXgboost):
        return f"{model.epochs} epochs and {model.trees.trees} trees at most"
    return f"{config.train.epochs} epochs at most"


def plan_evaluate(config: RunConfig, split: str) -> str:
    """Say how many genes would be measured."""
    info = read_info(Path(config.folder, "checkpoint"))
    _, rows = open_rows(config, split, info)
    return f"evaluate: {rows.count} genes of {split} with {short_path(config.folder)}/checkpoint"


def plan_register(config: RunConfig) -> str:
    """Say what would be registered under which name."""
    read_info(Path(config.folder, "checkpoint"))
    return f"register: {short_path(config.folder)}/checkpoint as {config.tracking.model_name}@candidate"


def plan_predict(config: RunConfig, inputs: list[str], checkpoint: str, output: str, force: bool) -> str:
    """Say how many genes would be scored."""
    rows, _ = open_prediction(config, inputs, checkpoint, Path(output), force)
    return f"predict: {rows.count} genes into {output}"


def plan_explain(config: RunConfig, checkpoint: str, force: bool) -> list[str]:
    """Say which methods would be computed for how many genes, and what is there already."""
    # Its model is loaded, and what loads one would keep the plans of other verbs waiting.
    from raygenex.explain.job import plan as plan_work
    from raygenex.explain.job import prepare

    job = prepare(config, checkpoint)
    work, stale = plan_work(job, force)
    genes, options = job.genes, config.explain
    where = f"{genes.window_first:+} to {genes.window_first + genes.rows.window - 1:+} from the TSS"
    lines = [
        f"explain: {genes.count} of {genes.rows.count} genes of {options.split} with {short_path(str(job.checkpoint))}"
        + (f", {where}{' (assumed)' if genes.assumed else ''}" if genes.rows.window else ", no promoters")
    ]
    for method, ranges in work.gaps.items():
        todo = sum(stop - start for start, stop in ranges)
        note = " (its settings changed)" if method in stale else ""
        lines.append(f"{method}: {todo} of {genes.count} genes to do{note}")
    each = f"{options.cpus_per_worker:g} CPU" + (
        f" + {options.gpus_per_worker:g} GPU" if options.gpus_per_worker else ""
    )
    return [
        *lines,
        f"write: parts, tables and figures into {short_path(str(job.folder))}, by {options.workers} x {each}",
    ]


def plan_benchmark(config: RunConfig, force: bool) -> list[str]:
    """Say which models would be trained, and which are trained already."""
    jobs = plan_jobs(config)
    steps, made = _plan_data(config)
    embedded = True
    done: set[int] = set()
    if made:
        splits = open_splits(config.data, tuple(dict.fromkeys(("train", "valid", config.benchmark.split))))
        counts = ", ".join(f"{name} {split.rows}" for name, split in splits.items())
        steps.append(f"check: {counts} genes")
    if any(job.config.reads_store for job in jobs):
        manifest = read_manifest(config.store)
        embedded = manifest is not None and manifest.complete
        steps.append(plan_embed(config, force=False) if made else f"embed: into {short_path(config.store)}")
    if made and embedded and not force:
        done = finished_jobs(jobs, config.benchmark.split, splits)
    for number, job in enumerate(jobs):
        status = "finished" if number in done else "to do"
        if made and (embedded or not job.config.reads_store) and number not in done:
            try:
                check_workers(job.config, open_inputs(job.config, {name: splits[name] for name in ("train", "valid")}))
            except RaygenexError as error:
                status = f"will fail: {error}"
        steps.append(f"train: {job.model} ({job.config.model.kind}), seed {job.seed} ({status})")
    return [*steps, f"compare: on {config.benchmark.split}, into {short_path(config.folder)}/benchmark"]


def plan_tune(config: RunConfig, force: bool) -> list[str]:
    """Say how many trials would be run over which space, and what would be trained then."""
    options = config.tune
    space = Space(config)
    space.first()
    steps, made = _plan_data(config)
    if config.reads_store:
        steps.append(plan_embed(config, force=False) if made else f"embed: into {short_path(config.store)}")
        manifest = read_manifest(config.store)
        made = made and manifest is not None and manifest.complete
    left, inputs, begun = options.trials, None, ""
    if made:
        study = open_study(config, force)
        left, inputs = study.left, study.inputs
        begun = " (a study to go on with: pass --resume)" if study.state is not None and left else ""
    trial = (
        config
        if options.epochs is None
        else config.model_copy(update={"train": config.train.model_copy(update={"epochs": options.epochs})})
    )
    request = study_request(config, inputs)
    each = f"{request.cpus:g} CPU" + (f" + {request.gpus:g} GPU" if request.gpus else "")
    steps.append(
        f"search: {', '.join(space.keys)}, {left} of {options.trials} trials to do, {request.count} x {each}, "
        f"{_amount(trial)}{_embedding(config)}{begun}"
    )
    if options.seeds:
        split = "test" if config.data.test else "valid"
        steps.append(f"train: the best settings with seeds {', '.join(map(str, options.seeds))}, measured on {split}")
        steps.append(f"register: as {config.tracking.model_name}@candidate")
    return steps


def _later_steps(config: RunConfig) -> list[str]:
    """Say what would follow a build."""
    steps = ["check: every gene that was built"]
    if config.reads_store:
        steps.append(f"embed: every gene, into {short_path(config.store)}")
    steps.append(_train_sentence(config, read_state(Path(config.folder))))
    return [*steps, "evaluate: the genes of valid", f"register: as {config.tracking.model_name}@candidate"]


def _plan_data(config: RunConfig) -> tuple[list[str], bool]:
    """Say what would be done to make the data, and whether they are there already."""
    if config.simulate is not None:
        made = find_simulation(config.simulate, made_folder(config, "simulate")) is not None
        return [plan_simulate(config, force=False)], made
    if config.build is not None:
        return [plan_build(config, force=False)], find_build(config, made_folder(config, "build")) is not None
    return [], True


def plan_run(config: RunConfig, force: bool) -> list[str]:
    """Say what every stage of the chain would do."""
    steps, made = _plan_data(config)
    if config.build is not None and not made:
        # Which genes a build keeps is known when it is done.
        return [*steps, *_later_steps(config)]
    if made:
        splits = open_splits(config.data, tuple(name for name in SPLITS if config.data.split(name) or name != "test"))
        counts = {name: split.rows for name, split in splits.items()}
        window = next(iter(splits.values())).window
    else:
        assert config.simulate is not None, "only simulated data may still be missing"
        counts = {name: getattr(config.simulate, name) for name in SPLITS}
        window = config.data.window or config.simulate.window
    shown = ", ".join(f"{name} {count}" for name, count in counts.items())
    steps.append(f"check: {shown} genes, {f'{window} bases a promoter' if window else 'no promoters'}")
    embedded = True
    if config.reads_store:
        steps.append(plan_embed(config, force=False) if made else _embed_sentence(config, counts))
        manifest = read_manifest(config.store)
        embedded = manifest is not None and manifest.complete
    if made and embedded:
        steps.append(plan_train(config, force))
    else:
        steps.append(_train_sentence(config, read_state(Path(config.folder))))
    steps.append(f"evaluate: {counts['valid']} genes of valid")
    steps.append(f"register: as {config.tracking.model_name}@candidate")
    return steps
