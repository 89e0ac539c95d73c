from .answers import accuracy, logit_diff, prob_diff, top_1
from .divergence import kl_divergence
from .registry import METRICS, Metric, get_metric, metric_name

__all__ = [
    "METRICS",
    "Metric",
    "accuracy",
    "get_metric",
    "kl_divergence",
    "logit_diff",
    "metric_name",
    "prob_diff",
    "top_1",
]
