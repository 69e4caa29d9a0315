"""Recipes: TOML files that hold every number of a training run, and overrides of single fields."""

import tomllib
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model, model_validator

from iebench.augmentations.config import AugmentationConfig
from iebench.backbones.builtin import BackboneConfig
from iebench.evaluation.protocol import EvaluationConfig
from iebench.methods import MethodConfig, find_method
from iebench.recipes import read_recipe, suggestion
from iebench.training.metrics_log import LogName
from iebench.training.online import OnlineConfig
from iebench.training.precision import PrecisionName
from shards.errors import UsageError

RECIPE_FORMAT = 1
DEFAULT_METHOD = "sie"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class AboutConfig(_Section):
    """The section ``[about]`` of a recipe, for the list of recipes; no number depends on it."""

    what: str = Field(default="", description="what the recipe trains, in a line")
    paper: str = Field(default="", description="paper that the recipe follows")


class OptimizerConfig(_Section):
    """The section ``[optimizer]`` of a recipe; the published SIE has Adam and a constant learning rate."""

    name: Literal["adam", "adamw", "sgd", "lars"] = Field(default="adam", description="name of the optimizer")
    lr: float = Field(default=1e-3, gt=0, description="learning rate, which is not scaled by the batch size")
    weight_decay: float = Field(
        default=1e-6, ge=0, description="weight decay; with lars, of matrices and convolutions only"
    )
    momentum: float = Field(default=0.9, ge=0, lt=1, description="momentum of sgd and lars")
    trust_coefficient: float = Field(
        default=1e-3, gt=0, description="length of a step of lars, as a share of the weights' length"
    )
    clip_norm: float | None = Field(
        default=None, gt=0, description="largest norm of the gradient; by default there is no limit"
    )
    schedule: Literal["constant", "cosine"] = Field(
        default="constant", description="course of the learning rate after the warm-up"
    )
    final_lr: float = Field(default=0.0, ge=0, description="learning rate at the end of a cosine")
    warmup_steps: int = Field(default=0, ge=0, description="steps over which the learning rate rises from 0")
    warmup_epochs: float = Field(
        default=0.0, ge=0, description="epochs over which the learning rate rises from 0"
    )

    @model_validator(mode="after")
    def _has_one_warmup(self) -> "OptimizerConfig":
        if self.warmup_steps and self.warmup_epochs:
            raise ValueError(
                "warmup_steps and warmup_epochs are two words for one thing; set one of them to 0"
            )
        return self


class TrainingConfig(_Section):
    """The section ``[training]`` of a recipe."""

    epochs: int = Field(default=2000, ge=1, description="epochs of one draw of views per object")
    batch_size: int = Field(default=1024, ge=2, description="draws of views per step, over all devices")
    seed: int = Field(default=0, description="seed of the weights and of the order of draws")
    pairs_per_object: int | None = Field(
        default=None, ge=1, description="draws of an object in a pass; by default as many as its views allow"
    )
    buffer_objects: int = Field(
        default=4096, ge=1, description="objects whose views are in memory for mixing, over all processes"
    )
    lanes: int | None = Field(
        default=None,
        ge=1,
        description="shares of the split that are read separately and divide every batch; processes divide them",
    )
    interleave: int = Field(default=4, ge=1, description="shards of a lane that are read at the same time")
    workers: int | None = Field(
        default=None,
        ge=0,
        description="decoding processes beside each training process; by default as cores allow",
    )
    compile: bool | None = Field(
        default=None,
        description="whether torch.compile compiles the backbone; by default in long runs on CUDA",
    )
    precision: PrecisionName = Field(
        default="auto",
        description="precision; auto is bfloat16 on devices that compute in it, and float32 on others",
    )
    log: list[LogName] = Field(
        default=["tensorboard"], description="loggers: tensorboard, wandb (Weights & Biases), both or none"
    )
    checkpoint_activations: bool = Field(
        default=False,
        description="whether the backward pass computes the backbone's blocks again, for less memory and more time",
    )
    log_every: int = Field(default=10, ge=1, description="steps between logged steps")
    checkpoint_every: int = Field(default=10, ge=1, description="epochs between checkpoints")
    validate_every: int = Field(default=10, ge=1, description="epochs between scores on validation objects")
    keep: int = Field(default=3, ge=1, description="number of last checkpoints that are kept")
    milestone_every: int | None = Field(
        default=None, ge=1, description="epochs between checkpoints that are never deleted"
    )


class Recipe(_Section):
    """The whole configuration of a run; ``recipe_class`` adds the fields of a method."""

    format: int = RECIPE_FORMAT
    about: AboutConfig = AboutConfig()
    method: MethodConfig
    backbone: BackboneConfig = BackboneConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    training: TrainingConfig = TrainingConfig()
    augmentation: AugmentationConfig | None = Field(
        default=None,
        description="makes views by augmenting one stored view; without it, views are stored ones",
    )
    online: OnlineConfig = OnlineConfig()
    evaluation: EvaluationConfig = EvaluationConfig()

    @staticmethod
    def load(name: str, overrides: Sequence[str] = ()) -> "Recipe":
        """Reads a recipe, as ``load_recipe`` does: ``Recipe.load("sie", ["training.epochs=20"])``."""
        return load_recipe(name, overrides)


@cache
def recipe_class(config: type[MethodConfig]) -> type[Recipe]:
    """Returns the class of recipes whose section ``[method]`` is a ``config``."""
    return create_model("Recipe", __base__=Recipe, method=(config, ...))


def load_recipe(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """Reads a recipe and applies overrides.

    Args:
        name: Name of a recipe in the package, or the path of a ``.toml`` file.
        overrides: Changes ``section.field=value``, where value is written as in TOML; a bare word is a string.

    Raises:
        UsageError: There is no such recipe or field, or a value is of the wrong type; the message names the
            nearest that is valid.
    """
    content = read_recipe(name)
    for override in overrides:
        apply_override(content, override)
    return parse_recipe(content, f"recipe {name}")


def parse_recipe(content: dict[str, Any], source: str) -> Recipe:
    """Checks the content of a recipe, as TOML or JSON gives it; ``source`` names the recipe in errors.

    Raises:
        UsageError: A field is unknown, ill-typed or out of range.
    """
    version = content.get("format", RECIPE_FORMAT)
    if version != RECIPE_FORMAT:
        raise UsageError(
            f"{source} is of format {version} and this iebench reads format {RECIPE_FORMAT}; update it"
        )
    name = _method_name(content)
    try:
        model = recipe_class(find_method(name).config)
    except UsageError as error:
        raise UsageError(f"{source}: {error}") from None
    method = content.get("method", {})
    method = {**method, "name": name} if isinstance(method, dict) else method
    try:
        return model.model_validate({**content, "method": method})
    except ValidationError as error:
        raise UsageError(f"{source}: {_sentence(error, model)}") from None


def _method_name(content: dict[str, Any]) -> str:
    method = content.get("method")
    return str(method.get("name", DEFAULT_METHOD)) if isinstance(method, dict) else DEFAULT_METHOD


def apply_override(content: dict[str, Any], override: str) -> None:
    """Sets one field of a recipe's content in place, by a change ``section.field=value``.

    Raises:
        UsageError: There is no such field.
    """
    field, equals, text = override.partition("=")
    field = field.strip()
    if not equals:
        raise UsageError(
            f"--set takes section.field=value, not {override!r}; for example --set training.epochs=10"
        )
    fields = list(_field_names(recipe_class(find_method(_method_name(content)).config)))
    if field not in fields:
        same_name = [name for name in fields if name.endswith(f".{field}")]
        raise UsageError(f"a recipe has no field {field!r}{suggestion(field, same_name or fields)}")
    *sections, last = field.split(".")
    target = content
    for section in sections:
        target = target.setdefault(section, {})
    target[last] = _parse_value(text.strip())


def _parse_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _field_names(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        section = next(filter(_is_section, (field.annotation, *get_args(field.annotation))), None)
        if section is not None:
            yield from _field_names(section, f"{prefix}{name}.")
        else:
            yield prefix + name


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _sentence(error: ValidationError, model: type[Recipe]) -> str:
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"there is no field {field!r}{suggestion(field, list(_field_names(model)))}"
    if first["type"] == "value_error":
        return f"{field}: {first['ctx']['error']}"
    return f"{field} = {first['input']!r} will not do: {first['msg'][0].lower()}{first['msg'][1:]}"
