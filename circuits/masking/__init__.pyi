from .node_outputs import NodeOutputs
from .run import WeightedEdges

__all__ = ["NodeOutputs", "WeightedEdges"]
