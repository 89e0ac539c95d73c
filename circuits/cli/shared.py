"""The options of every search for a circuit, defined once and given to each command."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import Signature, signature
from typing import Any

from circuits.cli import options, search_options

Command = Callable[..., None]


def _every_option(
    *,
    method: search_options.Method = None,
    prune_by: search_options.PruneBy = None,
    engine: search_options.Engine = None,
    verify: search_options.Verify = True,
    n_sampled_paths: search_options.SampledPathCount = None,
    n_prompts: search_options.PromptCount = None,
    n_mean_prompts: search_options.MeanPromptCount = None,
    n_templates: search_options.TemplateCount = None,
    seed: options.Seed = None,
    metric: options.Metric = None,
    ignore_behaviour: search_options.IgnoreBehaviour = False,
    memory_budget: search_options.MemoryBudget = None,
    threads: options.Threads = None,
    model: options.Model = None,
    device: options.Device = None,
    dtype: options.DataType = None,
    kind: search_options.Rule = None,
    false_discovery_rate: search_options.FalseDiscoveryRate = None,
    threshold: search_options.Threshold = None,
    logits_threshold: search_options.LogitsThreshold = None,
    min_effect: search_options.MinEffect = None,
    distance: search_options.Distance = None,
    alpha: search_options.Alpha = None,
    cliff: search_options.Cliff = None,
    score_share: search_options.ScoreShare = None,
    full_curve: search_options.FullCurve = None,
    contrast: search_options.Contrast = None,
    out: search_options.Out = None,
    resume: search_options.Resume = False,
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
