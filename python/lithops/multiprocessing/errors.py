# SPDX-License-Identifier: Apache-2.0
"""The exceptions of ``multiprocessing``: the very same classes."""

from multiprocessing import AuthenticationError, BufferTooShort, ProcessError, TimeoutError

__all__ = ['ProcessError', 'BufferTooShort', 'TimeoutError', 'AuthenticationError']
