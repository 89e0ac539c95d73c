"""The options of every search for a circuit, defined once and given to each command."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import Signature, signature
from typing import Any

from circuits.cli import options

Command = Callable[..., None]


def _every_option(
    *,
    method: options.Method = None,
    prune_by: options.PruneBy = None,
    engine: options.Engine = None,
    verify: options.Verify = True,
    n_sampled_paths: options.SampledPathCount = None,
    n_prompts: options.PromptCount = None,
    n_mean_prompts: options.MeanPromptCount = None,
    seed: options.Seed = None,
    metric: options.Metric = None,
    memory_budget: options.MemoryBudget = None,
    threads: options.Threads = None,
    model: options.Model = None,
    device: options.Device = None,
    dtype: options.DataType = None,
    threshold: options.Threshold = None,
    logits_threshold: options.LogitsThreshold = None,
    min_effect: options.MinEffect = None,
    distance: options.Distance = None,
    alpha: options.Alpha = None,
    cliff: options.Cliff = None,
    score_share: options.ScoreShare = None,
    full_curve: options.FullCurve = None,
    contrast: options.Contrast = None,
    out: options.Out = None,
    resume: options.Resume = False,
    json: options.Json = False,
) -> None:
    """For its signature alone."""


def takes_search_options(*without: str) -> Callable[[Command], Command]:
    """Give a command all options of a search `without` some; it gets their values as `given`."""
    shared = [
        parameter
        for name, parameter in signature(_every_option, eval_str=True).parameters.items()
        if name not in without
    ]

    def decorate(command: Command) -> Command:
        own = signature(command, eval_str=True).parameters.values()
        own = [parameter for parameter in own if parameter.name != "given"]
        parameters = [*own, *shared]

        @wraps(command)
        def called(**values: Any) -> None:
            given = {parameter.name: values.pop(parameter.name) for parameter in shared}
            command(**values, given=given)

        # Where typer looks for a command's options.
        vars(called)["__signature__"] = Signature(parameters)
        called.__annotations__ = {p.name: p.annotation for p in parameters}
        return called

    return decorate
