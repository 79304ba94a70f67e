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
        concurrent, config, constants, executors, future, multiprocessing, retries, storage, util,
        utils, version)
    from lithops._function import native
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
    'get_result': 'wait',
    'native': '_function',
}
_MODULES = frozenset((
    'concurrent', 'config', 'constants', 'executors', 'future', 'multiprocessing', 'retries',
    'storage', 'util', 'utils', 'version'))

__all__ = [
    'FunctionExecutor', 'LocalhostExecutor', 'RetryingFunctionExecutor', 'ServerlessExecutor',
    'StandaloneExecutor', 'Storage', '__version__', 'as_completed', 'get_result', 'native', 'wait']


class _Package(type(_sys)):
    """The package's own class, for the one name that is a function and a module too."""

    def __reduce__(self):  # pickled by name; cloudpickle knows only modules of the usual class
        return __import__, (self.__name__,)

    @property
    def wait(self):
        """The function, also when the module ``lithops.wait`` is loaded."""
        from importlib import import_module
        return import_module('lithops.wait').wait

    @wait.setter
    def wait(self, value):
        """Importing the module of that name would put it here."""


_sys.modules[__name__].__class__ = _Package


if not TYPE_CHECKING:  # a checker knows all names: from above
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
