"""How certain the path effects of a discovery are, in words."""

from __future__ import annotations

from decimal import ROUND_UP, Context

from circuits.discovery.config import DiscoveryConfig
from circuits.discovery.result import Discovery
from circuits.patching.estimators import ESTIMATORS
from circuits.search.verification import CONFIDENCE, Verification
from circuits.summary import near_ties

_LOWER_PRECISION = ("bfloat16", "float16")


def rows(found: Discovery) -> dict[str, str]:
    """What was verified, what holds for the rest, and which decisions rest on rounding.

    Nothing where no path was patched.
    """
    ties = near_ties.near_ties(found)
    told = {"near ties": near_ties.in_words(ties)} if ties else {}
    if found.effects is None:
        return told
    if (seen := found.verification) is None:
        return {"paths": _unverified(found.config)} | told
    return told | {
        "paths": f"{seen.estimated:,} estimated, {seen.verified:,} verified "
        f"({seen.sampled:,} of them sampled), {seen.flipped:,} flipped",
        "errors": _errors(seen) + (f" ({against})" if (against := errors_against(found)) else ""),
        "bound": bound(seen),
    }


def bound(seen: Verification) -> str:
    """The largest effect that can have been missed, and how sure that is."""
    if seen.coverage == 1:
        return "no path was left out unverified"
    claim = f"no path left out unverified has an effect above {_rounded_up(seen.missed_effect)}"
    if not seen.sampled:
        return f"{claim}, if the others' errors are like those verified (no sample checks it)"
    return (
        f"{claim} ({CONFIDENCE:.0%} confidence that this holds for at least "
        f"{int(100 * seen.coverage)}% of them)"
    ).replace("%", " %")


def errors_against(found: Discovery) -> str | None:
    """What estimates of a model in lower precision than float32 were compared with."""
    lower = found.provenance.model.dtype in _LOWER_PRECISION
    return "against float32" if lower and found.verification is not None else None


def _unverified(config: DiscoveryConfig) -> str:
    if config.engine in ESTIMATORS and ESTIMATORS.get(config.engine).is_exact:
        return "all measured, none estimated"
    if config.verify:
        return f"all estimated; exact in the circuit where the search ({config.search}) verifies"
    return "all estimated, none verified (--no-verify)"


def _errors(seen: Verification) -> str:
    largest = f"largest {seen.largest_error:.2g}"
    return largest if seen.mean_error is None else f"{largest}, mean {seen.mean_error:.2g}"


def _rounded_up(effect: float) -> str:
    """Two digits, never less than the effect itself."""
    return f"{float(Context(prec=2, rounding=ROUND_UP).create_decimal(repr(effect))):.2g}"
