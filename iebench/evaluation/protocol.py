"""The settings of an evaluation: the protocol by which probes are fitted, and how long."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Protocol = Literal["published", "thorough"]

RetrievalSplits = Literal["val-val", "val-all", "train-train"]
"""The splits of the queries and of the gallery of a retrieval."""

Suite = Literal["standard", "robustness", "steering", "linear"]
"""The suites, in order: probes, neighbors and predictors; accuracy on views unlike those of training; one steered
encoding against many encodings; a linear layer on a network that sees new crops each epoch."""


class EvaluationConfig(BaseModel):
    """The fields of the section ``[evaluation]`` of a recipe; the defaults are the published protocol.

    ``published`` fits as the SIE paper (arXiv 2302.10283) does: an epoch draws one view, or one pair of views, of
    each object, and features are taken as they are. ``thorough`` goes through every view in each epoch and
    standardizes features by the mean and deviation of the training split.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    protocol: Protocol = Field(
        default="published", description="published or thorough: how probes are fitted"
    )
    epochs: int = Field(default=300, ge=1, description="epochs of the probes")
    linear_color_epochs: int = Field(
        default=50,
        ge=1,
        description="epochs of the linear probe of color differences, as in EquiCaps and seq-JEPA",
    )
    batch_size: int = Field(default=256, ge=2, description="views or pairs in a batch of the probes")
    lr: float = Field(default=1e-3, gt=0, description="constant learning rate of Adam")
    hidden_width: int = Field(default=1024, ge=1, description="width of both hidden layers of MLP probes")
    retrieval: list[RetrievalSplits] = Field(
        default=["val-val", "val-all", "train-train"],
        description="splits of the predictor's queries and galleries",
    )
    robustness_views: int = Field(
        default=1, ge=1, description="views of each validation object that are corrupted, 75 times each"
    )
    steering_objects: int = Field(
        default=256, ge=1, description="validation objects of the steering suite, each encoded some 200 times"
    )
    linear_evaluation_epochs: int = Field(
        default=90,
        ge=1,
        description="epochs of the suite linear, each of which encodes all training pictures",
    )
    feature_batch_size: int = Field(default=256, ge=1, description="views in a batch of the frozen encoder")
    workers: int | None = Field(
        default=None,
        ge=0,
        description="decoding processes beside each evaluating process; by default as cores allow",
    )
