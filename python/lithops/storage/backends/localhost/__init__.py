# SPDX-License-Identifier: Apache-2.0
"""The storage of this machine, at upstream's place."""

from lithops.storage.backends.localhost.localhost import LocalhostStorageBackend

StorageBackend = LocalhostStorageBackend

__all__ = ['StorageBackend']
