"""The questions asked of a model: effects on one receiver, and the effects of every edge."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from jaxtyping import Float
from torch import Tensor

from circuits.components import Head, Node, Receiver
from circuits.errors import SettingError
from circuits.forward import LayeredModel, TransformerBridge
from circuits.forward.activations import Activations, Batch
from circuits.graph import Mlps
from circuits.metrics import Metric, logit_diff
from circuits.patching.edge_values import EdgeValues
from circuits.patching.estimators import (
    EdgeEstimator,
    ReceiverEstimator,
    estimators_of,
)
from circuits.patching.measured import MeasuredEffects
from circuits.patching.plan import Plan, plan_work
from circuits.patching.sums import EdgeSums
from circuits.runtime.progress import SILENT, Progress
from circuits.runtime.shrinking import Shrinking
from circuits.tasks import PromptPairs

_TOGETHER = Shrinking("prompts")


def path_effects(
    model: TransformerBridge | LayeredModel,
    pairs: PromptPairs,
    receiver: Receiver,
    senders: Iterable[Head | str] | None = None,
    engine: str = "exact",
    metric: Metric = logit_diff,
    memory_bytes: int | None = None,
) -> Float[Tensor, "layer head"]:
    """Normalised effect of every path sender -> receiver; NaN where there is none.

    Run clean with every head's output frozen at its clean value, except the sender's, which is
    corrupted at all positions; MLPs and norms are recomputed. Take the receiver's input from that
    run, put it alone into a clean run, and read the metric there: (metric - clean) /
    (clean - corrupted). Wang et al. 2022 (arXiv 2211.00593, section 3.1).

    Args:
        model: A TransformerBridge, or its pieces.
        pairs: Clean and corrupted prompts.
        receiver: The q, k or v input of a head (k and v: of its key/value head), or the logits.
        senders: Heads to send from, or their names ("9.6"); all heads below the receiver without.
        engine: "exact", or "reference": the naive twin with hooks on the bridge.
        metric: From logits at the answers to one number per prompt.
        memory_bytes: About how much memory the exact engine may use beside the model's own; a safe
            share of what is free without.

    Raises:
        MismatchError: The receiver or a sender is not in the model.
        SettingError: The engine is unknown, or measures no single receiver.
        NoEffectError: Clean and corrupted metric are equal.
        NonFiniteError: The metric or an effect is NaN or infinite on some prompts.

    >>> path_effects(model, pairs, Receiver.parse("2.0.q")).shape
    torch.Size([3, 4])
    """
    activations = Activations(LayeredModel.of(model), pairs, metric)
    graph = activations.graph()
    heads = graph.known_heads(senders)
    known = EdgeValues.unknown(graph)
    measured = MeasuredEffects(activations, receiver_estimator(engine), known, memory_bytes)
    measured.into(receiver, heads)
    return known.effects(receiver)


def direct_effects(
    model: TransformerBridge | LayeredModel,
    pairs: PromptPairs,
    receiver: Receiver,
    senders: Iterable[Node] | None = None,
    engine: str = "exact",
    metric: Metric = logit_diff,
    memory_bytes: int | None = None,
) -> Float[Tensor, " sender"]:
    """Normalised effect of every direct edge into a receiver, where MLPs are nodes; NaN: not asked.

    Run clean, with one change: in what the receiver reads, the sender gives what it gives on the
    corrupted prompt. Nothing between the two is computed again, everything behind the receiver is:
    (metric - clean) / (clean - corrupted). Hanna et al. 2024 (EAP-IG, arXiv 2403.17806, section 2).

    Args:
        model: A TransformerBridge, or its pieces.
        pairs: Clean and corrupted prompts.
        receiver: The q, k or v input of a query head, an MLP, or the logits.
        senders: Heads, MLPs or the embedding; all that the receiver may read without.
        engine: "exact", or "reference": the naive twin with hooks on the bridge.
        metric: From logits at the answers to one number per prompt.
        memory_bytes: As in `path_effects`.

    Raises:
        MismatchError: The receiver or a sender is not in the model, or it does not read one.
        SettingError: The engine is unknown, or measures no single receiver.
        NoEffectError: Clean and corrupted metric are equal.
        NonFiniteError: The metric or an effect is NaN or infinite on some prompts.

    >>> from circuits.patching import direct_effects
    >>> direct_effects(model, pairs, Receiver.parse("m0")).shape  # of the embedding and four heads
    torch.Size([5])
    """
    activations = Activations(LayeredModel.of(model), pairs, metric)
    known = EdgeValues.unknown(activations.graph("nodes"))
    chosen = None if senders is None else known.graph.read_by(receiver, senders)
    estimator = receiver_estimator(engine, "nodes")
    return MeasuredEffects(activations, estimator, known, memory_bytes).into(receiver, chosen)


def effect_table(
    model: TransformerBridge | LayeredModel,
    pairs: PromptPairs,
    candidates: Iterable[Head | str] | None = None,
    metric: Metric = logit_diff,
    memory_bytes: int | None = None,
    progress: Progress = SILENT,
    engine: str = "sweep",
    mlps: Mlps = "path",
) -> EdgeValues:
    """Effects of every sender on every receiver input, by one upward sweep per batch of prompts.

    Exact for the logits receiver; for head inputs exact up to the receiver head's output and first
    order behind it. Costs a fraction of a forward pass per sender; `docs/numbers.md` has the
    measured figure.

    Args:
        model: A TransformerBridge, or its pieces.
        pairs: Clean and corrupted prompts.
        candidates: Heads that send and receive, or their names; all without.
        metric: From logits at the answers to one number per prompt.
        memory_bytes: About how much memory to use; decides how prompts are split, not the numbers.
            A safe share of what is free without.
        progress: Hears of the fraction done.
        engine: Another estimator by name.
        mlps: With "nodes" the effects of direct edges, as `direct_effects` defines them; MLPs and
            the embedding always send and receive.

    Raises:
        MismatchError: A candidate is not in the model.
        NoEffectError: Clean and corrupted metric are equal.
        NonFiniteError: The metric or an effect is NaN or infinite on some prompts.

    >>> effect_table(model, pairs).effects(Receiver.logits()).shape
    torch.Size([3, 4])
    >>> from circuits.components import Embedding
    >>> effect_table(model, pairs, mlps="nodes").of(Embedding(), Receiver.parse("m0")) != 0
    True
    """
    activations = Activations(LayeredModel.of(model), pairs, metric)
    graph = activations.graph(mlps)
    heads = graph.known_heads(candidates)
    plan = plan_work(activations.model, pairs, graph.with_others(heads), memory_bytes)
    estimator = estimators_of(mlps).get(engine)
    sums = edge_sums(activations, estimator, heads, plan, progress, mlps=mlps)
    return sums.normalised().effects


def edge_sums(
    activations: Activations,
    estimator: EdgeEstimator,
    heads: tuple[Head, ...],
    plan: Plan,
    progress: Progress = SILENT,
    begun: EdgeSums | None = None,
    keep: Callable[[EdgeSums], None] = lambda sums: None,
    mlps: Mlps = "path",
) -> EdgeSums:
    """What `effect_table` is made of, prompt by prompt, and the size of what estimates leave out.

    Args:
        activations: The model on the prompts.
        estimator: An entry of `ESTIMATORS`, or of `DIRECT_ESTIMATORS` with MLPs as nodes.
        heads: Heads that send and receive.
        plan: How prompts and rows are split, from `plan_work`.
        progress: Hears of the fraction done.
        begun: Sums to go on from, with batches of their size.
        keep: Called with the sums after every batch of prompts, for example to save them.
        mlps: Whether MLPs belong to the paths, or are nodes.

    >>> from circuits.patching import ESTIMATORS
    >>> plan = plan_work(layered, pairs, graph.heads)
    >>> sums = edge_sums(activations, ESTIMATORS.get("sweep"), graph.heads, plan)
    >>> sums.changes.values.shape  # receiver, sender, prompt
    torch.Size([25, 12, 4])
    """
    sums, most = begun, max(len(batch.prompts) for batch in activations.batches)
    # Where memory was too short to run as many prompts together, other batches were begun with.
    if sums is None or min(sums.batch_size, len(activations.pairs)) > most:
        sums = EdgeSums(
            activations.graph(mlps),
            len(activations.pairs),
            min(plan.batch_size, most),
            has_remainders=estimator.has_remainders,
        )
    batches = list(activations.split(sums.batch_size))
    weights = [len(batch.prompts) for batch in batches]
    for number, (batch, part) in enumerate(progress.each(batches, weights)):
        if number < sums.batches:
            continue
        add = partial(_add, estimator, batch, heads, sums, plan.max_rows, part)
        _TOGETHER.run(len(batch.prompts), add)
        sums.finish_batch(batch.prompts, batch.paired.clean_metric, batch.paired.corrupted_metric)
        keep(sums)
    return sums


def _add(
    estimator: EdgeEstimator,
    batch: Batch,
    heads: tuple[Head, ...],
    sums: EdgeSums,
    max_rows: int,
    progress: Progress,
    size: int,
) -> None:
    """Add a batch to the sums, so many of its prompts at once."""
    sums.forget()
    pieces = list(batch.split(size))
    rows = max(1, max_rows // len(pieces))
    for piece, part in progress.each(pieces):
        estimator.add(piece, heads, sums, rows, part)
        sums.take_in(piece.prompts)


def receiver_estimator(name: str, mlps: Mlps = "path") -> ReceiverEstimator:
    """The estimator of that name, which must measure single receivers. Raises SettingError."""
    every = estimators_of(mlps)
    found = every.get(name)
    if not isinstance(found, ReceiverEstimator):
        alone = [one.name for one in every.all() if isinstance(one, ReceiverEstimator)]
        raise SettingError(
            f"engine {name!r} estimates all edges at once and no single receiver; those that do: "
            f"{', '.join(alone)}"
        )
    return found
