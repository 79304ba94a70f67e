# SPDX-License-Identifier: Apache-2.0
"""A progress bar for waits: tqdm, if it is installed and there is a terminal or notebook."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PATIENCE_S = 0.25  # shorter waits show nothing
INTERVAL_S = 0.1

_looked_at: tuple[object, bool] = (None, False)


def is_notebook() -> bool:
    """True in a Jupyter notebook."""
    interactive = sys.modules.get('IPython')
    shell = interactive.get_ipython() if hasattr(interactive, 'get_ipython') else None
    return getattr(shell, 'kernel', None) is not None  # IPython's in a terminal has none


def is_wanted() -> bool:
    """True if standard error is a terminal, or this a notebook."""
    global _looked_at
    stream = sys.stderr
    if _looked_at[0] is not stream:
        _looked_at = stream, _is_seen(stream)
    return _looked_at[1]


def _is_seen(stream: Any) -> bool:
    if 'LITHOPS_WORKER' in os.environ:
        return False
    try:
        return is_notebook() or stream.isatty()
    except (AttributeError, ValueError, OSError):  # none, or closed
        return False


class Bar:
    """The bar, or nothing where tqdm is not installed."""

    def __init__(self, total: int):
        try:
            from tqdm.auto import tqdm
        except ImportError:
            self._bar = None
            return
        self._bar = tqdm(total=total, bar_format='  {l_bar}{bar}| {n_fmt}/{total_fmt}{postfix}  ',
                         disable=None)

    def show(self, count: int, workers: int = 0, processes: int = 0) -> None:
        """Show this many as done, and the workers elsewhere that are there."""
        if self._bar is not None:
            if workers:
                self._bar.set_postfix_str(f'{workers} worker{"s" * (workers != 1)}, {processes} '
                                          f'process{"es" * (processes != 1)}', refresh=False)
            self._bar.update(min(count, self._bar.total) - self._bar.n)

    def close(self) -> None:
        """Leave it as it is, and end the line."""
        if self._bar is not None:
            self._bar.close()
