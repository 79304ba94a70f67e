# SPDX-License-Identifier: Apache-2.0
"""Keeps exceptions from holding on to frames, and so to results.

An exception refers to its traceback, which refers to frames and their variables. Those of this
package refer to futures, often of whole maps. The frames stay in the traceback for people to read;
their variables are cleared.
"""

from __future__ import annotations


def empty_frames(exception: BaseException) -> None:
    """Empty the package's frames below the one that catches the exception.

    That one deletes its own variables before it raises again.
    """
    traceback = exception.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
        if traceback.tb_frame.f_globals.get('__name__', '').partition('.')[0] == 'lithops':
            try:
                traceback.tb_frame.clear()
            except RuntimeError:  # it is still running: a signal handler has raised
                pass
