# SPDX-License-Identifier: Apache-2.0
"""Run any Python function over any data, in processes of this machine or elsewhere.

    import lithops

    with lithops.FunctionExecutor() as fexec:
        futures = fexec.map(function, data)
        print(fexec.get_result(futures))

Importing this package loads nothing: each name below comes with its module on first use.
"""

import sys as _sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lithops import (
        concurrent, config, constants, detached, executors, future, multiprocessing, plots,
        retries, storage, util, utils, version)
    from lithops._client.function import command, native
    from lithops.detached import attach
    from lithops.executors import (
        FunctionExecutor, LocalhostExecutor, ServerlessExecutor, StandaloneExecutor)
    from lithops.retries import RetryingFunctionExecutor
    from lithops.storage import Storage
    from lithops.version import __version__
    from lithops.wait import as_completed, get_result, wait

_HOMES = {
    'FunctionExecutor': 'executors',
    'LocalhostExecutor': 'executors',
    'ServerlessExecutor': 'executors',
    'StandaloneExecutor': 'executors',
    'RetryingFunctionExecutor': 'retries',
    'Storage': 'storage',
    '__version__': 'version',
    'as_completed': 'wait',
    'attach': 'detached',
    'get_result': 'wait',
    'command': '_client.function',
    'native': '_client.function',
}
_MODULES = frozenset((
    'concurrent', 'config', 'constants', 'detached', 'executors', 'future', 'multiprocessing',
    'plots', 'retries', 'storage', 'util', 'utils', 'version'))

__all__ = [
    'FunctionExecutor', 'LocalhostExecutor', 'RetryingFunctionExecutor', 'ServerlessExecutor',
    'StandaloneExecutor', 'Storage', '__version__', 'as_completed', 'attach', 'command',
    'get_result', 'native', 'wait']


class _Package(type(_sys)):
    """The class of this package, as one of its names is both a function and a module."""

    def __reduce__(self):  # by name; cloudpickle only recognises modules of exactly ModuleType
        return __import__, (self.__name__,)

    @property
    def wait(self):
        """The function, even after the module ``lithops.wait`` was imported."""
        from importlib import import_module
        return import_module('lithops.wait').wait

    @wait.setter
    def wait(self, value):
        """Ignored: importing the submodule would replace the function."""


_sys.modules[__name__].__class__ = _Package


if not TYPE_CHECKING:  # type checkers know the names from the imports above
    def __getattr__(name: str):
        home = _HOMES.get(name)
        if home is None and name not in _MODULES:
            raise AttributeError(f"module 'lithops' has no attribute {name!r}")
        from importlib import import_module
        if home is None:
            return import_module('lithops.' + name)
        value = globals()[name] = getattr(import_module('lithops.' + home), name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})
