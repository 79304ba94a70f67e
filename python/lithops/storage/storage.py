# SPDX-License-Identifier: Apache-2.0
"""The place where upstream has its classes, for programs that import them from there."""

from lithops.storage import InternalStorage, Storage

__all__ = ['InternalStorage', 'Storage']
