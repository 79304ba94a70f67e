# SPDX-License-Identifier: Apache-2.0
"""The storage of this machine, as upstream's class of this name."""

from __future__ import annotations

from lithops.storage import Storage

__all__ = ['LocalhostStorageBackend']


class LocalhostStorageBackend(Storage):
    """A `Storage` of this machine.

    localhost_config: keys of the section ``localhost`` of a configuration; those of its storage
        matter
    """

    def __init__(self, localhost_config: dict | None = None):
        self.localhost_config = localhost_config or {}
        section = {key: value for key, value in self.localhost_config.items()
                   if key.startswith('storage_') and value is not None}
        super().__init__(storage_config={'backend': 'localhost', 'localhost': section})

    def __reduce__(self):
        return LocalhostStorageBackend, (self.localhost_config,)
