"""AdamW as torch has it, without `torch.optim.Optimizer`: making one of those imports the compiler
of `torch.compile` with sympy, which takes longer than many a trial trains.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.optim.adamw import adamw

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

BETAS, EPS = (0.9, 0.999), 1e-8  # torch's own defaults


class AdamW:
    """Adam whose weights decay apart from the gradient (Loshchilov and Hutter 2019).

    The step is torch's functional one, so weights come out as from `torch.optim.AdamW`, to the bit.
    Of each group: its parameters, and their weight decay.
    """

    def __init__(self, groups: Iterable[tuple[Iterable[Tensor], float]], *, lr: float) -> None:
        self._groups = [([_State(one) for one in group], decay) for group, decay in groups]
        self._lr = lr

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for states, _ in self._groups:
            for state in states:
                state.parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """One step along the gradients; a parameter without one stays."""
        for states, decay in self._groups:
            moved = [state for state in states if state.parameter.grad is not None]
            adamw(
                [state.parameter for state in moved],
                [state.parameter.grad for state in moved],
                [state.mean for state in moved],
                [state.square for state in moved],
                [],
                [state.steps for state in moved],
                amsgrad=False,
                beta1=BETAS[0],
                beta2=BETAS[1],
                lr=self._lr,
                weight_decay=decay,
                eps=EPS,
                maximize=False,
            )


class _State:
    """A parameter, the running means of its gradient and of that squared, and the steps taken."""

    def __init__(self, parameter: Tensor) -> None:
        self.parameter = parameter
        self.mean = torch.zeros_like(parameter)
        self.square = torch.zeros_like(parameter)
        self.steps = torch.zeros(())
