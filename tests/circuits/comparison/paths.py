"""Every path between some heads, by the definition."""

from __future__ import annotations

from itertools import product

from circuits.components import HEAD_INPUTS, Connection, Receiver, all_heads

HEADS = all_heads(3, 4)


def every_path(heads) -> set[Connection]:
    receivers = [Receiver(head, name) for head, name in product(heads, HEAD_INPUTS)]
    paths = {Connection(sender, Receiver.logits()) for sender in heads}
    return paths | {
        Connection(sender, receiver)
        for sender, receiver in product(heads, receivers)
        if sender.layer < receiver.on_head()[0].layer
    }
