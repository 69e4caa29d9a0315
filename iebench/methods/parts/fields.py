"""Types of fields that the configurations of several methods share. Each method's class states its own defaults."""

from typing import Annotated

from pydantic import Field

from iebench.methods.parts.transformations import Group

Widths = Annotated[list[int], Field(min_length=2, description="widths of the projector's layers")]
Groups = Annotated[
    list[Group], Field(min_length=1, description="groups of the transformations that the method is told")
]
Weight = Annotated[float, Field(ge=0)]
Temperature = Annotated[float, Field(gt=0, description="divides the cosine similarities of NT-Xent")]
PredictionWidth = Annotated[
    int, Field(ge=1, description="hidden width of the MLP that predicts the target network's embedding")
]
Momentum = Annotated[
    float, Field(ge=0, le=1, description="momentum of the target network at the start; it rises to 1")
]
