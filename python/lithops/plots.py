# SPDX-License-Identifier: Apache-2.0
"""Pictures of jobs: `FunctionExecutor.plot`, one at a time."""

from __future__ import annotations

import os
from typing import Any

from lithops import _lithops
from lithops.future import ResponseFuture

__all__ = ['create_histogram', 'create_timeline']


def create_timeline(fs: list[ResponseFuture], dst: str | os.PathLike | None,
                    figsize: tuple = (10, 6)) -> None:
    """Draw when calls ran, as ``<dst>_timeline.png``; dst None: in the folder ``plots``.

    figsize: inches. Raises ValueError if no call is done.
    """
    _draw(fs, dst, figsize, 'timeline')


def create_histogram(fs: list[ResponseFuture], dst: str | os.PathLike | None,
                     figsize: tuple = (10, 6)) -> None:
    """Draw how many calls ran at a time, as ``<dst>_histogram.png``; as `create_timeline`."""
    _draw(fs, dst, figsize, 'histogram')


def _draw(fs: Any, dst: str | os.PathLike | None, figsize: tuple, picture: str) -> None:
    """The engine always draws both pictures; keep one of them."""
    import tempfile
    import time
    if dst is None:
        os.makedirs('plots', exist_ok=True)
        dst = os.path.join('plots', str(int(time.time())))
    dst = os.path.realpath(os.path.expanduser(dst))
    with tempfile.TemporaryDirectory(dir=os.path.dirname(dst)) as folder:
        _lithops.plot([future for future in fs if type(future) is ResponseFuture],
                      os.path.join(folder, 'both'), float(figsize[0]), float(figsize[1]))
        os.replace(os.path.join(folder, f'both_{picture}.png'), f'{dst}_{picture}.png')
