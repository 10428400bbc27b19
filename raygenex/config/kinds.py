"""Sections that come in several kinds, such as ``model``: which there are, and what a change of kind leaves behind."""

from typing import Any

from raygenex.config.base import Section
from raygenex.config.data import ChromosomeSplit, FileSplit, GroupSplit, RandomSplit, SimilaritySplit, SplitBase
from raygenex.config.embed import HyenaBackbone, OneHotBackbone
from raygenex.config.model import AutoencoderXgboost, CnnConfig, Logistic, LstmConfig, XgboostKmer

_OPTIONS: dict[str, tuple[str, list[type[Section]]]] = {
    "model": ("kind", [*CnnConfig.__subclasses__(), LstmConfig, AutoencoderXgboost, XgboostKmer, Logistic]),
    "backbone": ("kind", [OneHotBackbone, HyenaBackbone]),
    "split": ("rule", [RandomSplit, ChromosomeSplit, GroupSplit, SimilaritySplit, FileSplit]),
}
TAGS = {section: tag for section, (tag, _) in _OPTIONS.items()}
"""The key of a section that says of which kind it is."""
KINDS: dict[str, dict[Any, type[Section]]] = {
    section: {option.model_fields[tag].default: option for option in options}
    for section, (tag, options) in _OPTIONS.items()
}
"""The kinds of a section by their names."""

_DEFAULT_KINDS = {"model": "cnn_halflife_encoded", "backbone": "onehot", "split": "chromosome"}
_FAMILIES = (CnnConfig, SplitBase)
"""Kinds that share keys: what one of them says of such a key holds for another."""


def leave_behind(name: str, section: Any, kind: Any) -> list[str]:
    """Remove from a section the keys of its kind that mean nothing, or something else, to another kind.

    Parameters
    ----------
    name
        One of `TAGS`.
    section
        Its plain values, which need not be complete, and are changed in place; or what stands there instead.
    kind
        The other kind.

    Returns
    -------
    What was left behind, one sentence at most.
    """
    tag, kinds = TAGS[name], KINDS[name]
    given = section.get(tag, _DEFAULT_KINDS[name]) if isinstance(section, dict) else None
    if given == kind or not isinstance(given, str) or not isinstance(kind, str) or not {given, kind} <= set(kinds):
        return []
    # Kinds of one family have its keys in common, such as the four of the CNN their sizes.
    family = next(
        (base for base in _FAMILIES if issubclass(kinds[given], base) and issubclass(kinds[kind], base)), Section
    )
    lost = [own for own in section if own in kinds[given].model_fields and own not in (tag, *family.model_fields)]
    for own in lost:
        del section[own]
    return [f"{name}.{tag} is {kind}, so {name}.{', '.join(lost)} of {given} is left out"] if lost else []
