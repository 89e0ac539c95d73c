from .node_outputs import NodeOutputs
from .on_prompts import MaskedRuns
from .run import WeightedEdges

__all__ = ["MaskedRuns", "NodeOutputs", "WeightedEdges"]
