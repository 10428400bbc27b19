"""The command `raygenex variants`."""

from typing import Annotated

import typer

from raygenex.cli.options import ConfigPath, Debug, DryRun, Force, Json, Overrides, load, print_plan, print_result
from raygenex.errors import ConfigError


def variants(
    *,
    model: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MODEL",
            help="models:/NAME@ALIAS, models:/NAME/VERSION or a checkpoint folder; default: this run's.",
        ),
    ] = None,
    config: ConfigPath,
    file: Annotated[str, typer.Argument(metavar="VARIANTS", help="VCF, BCF or table (chrom, pos, ref, alt), or URL.")],
    output: Annotated[str, typer.Option(help="A .parquet, .csv or .tsv file to write.")],
    override: Overrides = None,
    force: Force = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Score variants: the change of every prediction whose window they fall in."""
    settings = load(config, override, debug)
    if len(model or ()) > 1:
        raise ConfigError(
            f"{' '.join(model or ())} is more than one model: give one, then the configuration and one file of variants"
        )
    from raygenex.registry.register import fetch_checkpoint
    from raygenex.variants.run import plan_variants
    from raygenex.variants.run import variants as run_variants
    from raygenex.variants.text import variants_text

    checkpoint = fetch_checkpoint(settings, model[0] if model else f"{settings.folder}/checkpoint")
    if dry_run:
        print_plan(settings, as_json, [plan_variants(settings, file, checkpoint, output, force)])
        return
    result = run_variants(settings, file, checkpoint, output, force)
    print_result(result, as_json, lambda: variants_text(result))
