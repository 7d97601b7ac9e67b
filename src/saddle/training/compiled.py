"""Turns that torch compiles, when a run asks for it: ``execution = "compile"``."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch

from saddle.errors import RunError
from saddle.game.rules import PlainRule

_P = ParamSpec("_P")
_T = TypeVar("_T")


def compile_turns(rule: PlainRule, backend: str = "inductor") -> None:
    """Compile what D and G are scored on, each as one graph; the optimizers' steps are single kernels already.

    Each kind of round is compiled when it is first played. Random numbers are those that the plain turn draws.

    Args:
        rule: whose turns; its numbers must be tensors, or each value of a schedule would be compiled anew.
        backend: of ``torch.compile``.
    """
    from torch._dynamo import config as dynamo
    from torch._functorch import config as functorch
    from torch._inductor import config as inductor

    # A penalty is a gradient within the turn. torch can differentiate it again only if it is part of the same graph.
    dynamo.trace_autograd_ops = True
    inductor.fallback_random = True
    functorch.donated_buffer = False  # one judgement may be sent backward twice: for G, then for D
    rule.score_discriminator = _compiled(rule.score_discriminator, backend)
    rule.generator_turn = _compiled(rule.generator_turn, backend)


def _compiled(turn: Callable[_P, _T], backend: str) -> Callable[_P, _T]:
    run: Callable[_P, _T] = torch.compile(turn, fullgraph=True, dynamic=False, backend=backend)

    def play(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        from torch._dynamo.exc import TorchDynamoException

        try:
            with warnings.catch_warnings():
                # torch looks at the samples of G, whose gradients nobody asks for, and then warns of it.
                warnings.filterwarnings("ignore", "The .grad attribute of a Tensor that is not a leaf")
                return run(*args, **kwargs)
        except TorchDynamoException as error:
            raise RunError(
                "torch cannot compile the turns of this run here",
                got=" ".join(str(error).split("\n\n")[0].split()),
                remedy="run the same command with --set execution=auto; it goes on from the last checkpoint",
            ) from None

    return play
