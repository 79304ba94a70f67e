# SPDX-License-Identifier: Apache-2.0
"""The version of the package: that of upstream's package whose interface it has, and after the `+`
that of the engine it was built with."""

from lithops._lithops import __version__, engine_version

__all__ = ['__version__', 'engine_version']

if __name__ == '__main__':
    print(__version__)
