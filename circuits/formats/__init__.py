"""Circuits in the formats of others: networkx, Graphviz DOT, CSV, EAP-IG and MIB; and our JSON."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
