"""The sections of the run configuration that describe models."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from raygenex.config.base import Count, Fraction, PositiveFloat, PositiveInt, Section, Several, Width, default_kind

PRETRAINED_KINDS = ("cnn_halflife_encoded", "cnn_halflife_only")
"""Models whose half-life encoder is pretrained; others with half-life features take their mean and scale alone."""


class HalflifeConfig(Section):
    """How the half-life features are read, their encoder, and its pretraining by a triplet loss."""

    channels: tuple[Width, ...] = Field((128, 256, 256), description="channels of the convolutions", min_length=1)
    epochs: PositiveInt = Field(20, description="passes over the training genes")
    batch_size: Several = Field(256, description="genes a step")
    learning_rate: PositiveFloat = Field(1e-3, description="Adam's step size")
    margin: PositiveFloat = Field(1.0, description="margin of the triplet loss")
    noise: PositiveFloat = Field(0.1, description="standard deviation of the noise that makes a positive")
    bins: Several | None = Field(
        None, description="read each feature by so many quantile bins; null: as one standardised number"
    )
    beside: bool = Field(False, description="let the network read the features beside their code")
    finetune: bool = Field(False, description="let the CNN's training move the encoder's weights")


class OddKernels(Section):
    """A section whose kernels are odd, so that a convolution keeps every position in its place."""

    @model_validator(mode="after")
    def _odd_kernels(self) -> Self:
        for name in ("stem_kernel", "kernel_size"):
            if (size := getattr(self, name, 1)) % 2 == 0:
                raise ValueError(f"{name} ({size}) must be odd, so that positions stay aligned")
        return self


class CnnConfig(OddKernels):
    """Sizes shared by the four CNN models."""

    width: PositiveInt = Field(256, description="channels that enter the convolutions")
    stem_kernel: Width = Field(11, description="bases seen by the first layer when the input is bases (odd)")
    channels: tuple[Width, ...] = Field((128, 64, 16, 4), description="channels of the convolutions", min_length=1)
    kernel_size: Width = Field(3, description="positions seen by a convolution (odd)")
    pool: Several = Field(2, description="positions joined by max-pooling after each")
    dense: tuple[Width, ...] = Field((256, 64), description="sizes of the dense layers before the logit")
    dropout: Fraction = Field(0.5, description="dropout after each dense layer")
    trunk_dropout: Fraction = Field(0.0, description="dropout of what the convolutions give to the dense layers")
    mask: Fraction = Field(0.0, description="share of the positions that a training step hides from the network")
    join: Literal["positions", "dense"] = Field(
        "positions",
        description="half-life goes through the convolutions beside the DNA's positions (as published), or past them "
        "to the first dense layer",
    )


class CnnHalflifeEncoded(CnnConfig):
    """DNA and the pretrained half-life code (the paper's CNNWithHFEncode)."""

    kind: Literal["cnn_halflife_encoded"] = "cnn_halflife_encoded"


class CnnHalflifeRaw(CnnConfig):
    """DNA and the standardised half-life features, without an encoder (the paper's CNNOnly)."""

    kind: Literal["cnn_halflife_raw"] = "cnn_halflife_raw"


class CnnDnaOnly(CnnConfig):
    """DNA alone (the paper's CNNWithOnlyDNA)."""

    kind: Literal["cnn_dna_only"] = "cnn_dna_only"


class CnnHalflifeOnly(CnnConfig):
    """The pretrained half-life code alone (the paper's CNNWithOnlyHF)."""

    kind: Literal["cnn_halflife_only"] = "cnn_halflife_only"


class LstmConfig(OddKernels):
    """A recurrent network along the positions; its mean state and the half-life features into dense layers."""

    kind: Literal["lstm"] = "lstm"
    width: Width = Field(64, description="channels that enter the recurrence")
    stem_kernel: Width = Field(11, description="bases seen by the first layer when the input is bases (odd)")
    pool: PositiveInt = Field(8, description="positions averaged into one step; 1 keeps every position")
    hidden: Width = Field(64, description="size of the recurrent state, in each direction")
    layers: Annotated[int, Field(ge=1, le=1024)] = Field(1, description="recurrent layers")
    bidirectional: bool = Field(True, description="read the promoter from both ends")
    dense: tuple[Width, ...] = Field((64,), description="sizes of the dense layers before the logit")
    dropout: Fraction = Field(0.5, description="dropout after each dense layer")


class TreesConfig(Section):
    """Gradient-boosted trees, with early stopping on valid."""

    trees: PositiveInt = Field(100, description="trees at most")
    depth: PositiveInt = Field(7, description="depth of a tree")
    learning_rate: PositiveFloat = Field(0.1, description="shrinkage of each tree")
    subsample: Annotated[float, Field(gt=0.0, le=1.0)] = Field(0.8, description="share of the genes a tree sees")
    colsample: Annotated[float, Field(gt=0.0, le=1.0)] = Field(0.8, description="share of the features a tree sees")
    min_child_weight: Annotated[float, Field(ge=0.0)] = Field(1.0, description="least sum of Hessians in a leaf")
    early_stopping: PositiveInt | None = Field(
        None, description="stop after so many trees that bring no better valid AUROC, or r; null: all trees"
    )


class AutoencoderXgboost(OddKernels):
    """A convolutional autoencoder of the DNA; its code and the half-life features into boosted trees (the paper's)."""

    kind: Literal["autoencoder_xgboost"] = "autoencoder_xgboost"
    channels: tuple[Width, ...] = Field(
        (128, 64, 32, 1), description="channels of the encoder; the decoder mirrors them", min_length=2
    )
    kernel_size: Width = Field(3, description="positions seen by a convolution (odd)")
    pool: Several = Field(2, description="positions joined after each convolution but the last")
    epochs: PositiveInt = Field(10, description="passes of the autoencoder over the training genes")
    learning_rate: PositiveFloat = Field(1e-3, description="Adam's step size for the autoencoder")
    trees: TreesConfig = TreesConfig()


class KmerConfig(Section):
    """What boosted trees and logistic regression read of the bases."""

    k: tuple[Annotated[int, Field(ge=1, le=8)], ...] = Field(
        (1, 2, 3, 4, 5), description="lengths of the k-mers that are counted", min_length=1
    )
    regions: PositiveInt = Field(4, description="equal regions whose k-mers (up to region_k) are counted apart")
    region_k: Annotated[int, Field(ge=1, le=6)] = Field(2, description="longest k-mer counted by region")
    onehot_bases: Count = Field(100, description="bases around the TSS that are read one by one; 0: none")
    halflife: bool = Field(True, description="read the half-life features too")


class KmerTreesConfig(TreesConfig):
    """Trees on thousands of k-mer counts: many, shallow, each from a tenth of the features."""

    trees: PositiveInt = Field(1000, description="trees at most")
    depth: PositiveInt = Field(3, description="depth of a tree")
    learning_rate: PositiveFloat = Field(0.05, description="shrinkage of each tree")
    colsample: Annotated[float, Field(gt=0.0, le=1.0)] = Field(0.1, description="share of the features a tree sees")
    early_stopping: PositiveInt | None = Field(
        50, description="stop after so many trees that bring no better valid AUROC, or r; null: all trees"
    )


class XgboostKmer(KmerConfig):
    """Boosted trees on k-mer counts, bases around the TSS and half-life features: a cheap reference."""

    kind: Literal["xgboost_kmer"] = "xgboost_kmer"
    trees: KmerTreesConfig = KmerTreesConfig()


class Logistic(KmerConfig):
    """Logistic regression on the same: the cheapest reference."""

    kind: Literal["logistic"] = "logistic"
    l2: PositiveFloat = Field(
        3000.0, description="strength of the L2 penalty (1 / C of scikit-learn); larger is simpler"
    )


CNN_KINDS = ("cnn_halflife_encoded", "cnn_halflife_only", "cnn_dna_only", "cnn_halflife_raw")
"""Kinds of `CnnConfig`."""

ModelSection = Annotated[
    CnnHalflifeEncoded
    | CnnHalflifeRaw
    | CnnDnaOnly
    | CnnHalflifeOnly
    | LstmConfig
    | AutoencoderXgboost
    | XgboostKmer
    | Logistic,
    Field(discriminator="kind"),
    default_kind("cnn_halflife_encoded"),
]
