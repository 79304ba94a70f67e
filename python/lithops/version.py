# SPDX-License-Identifier: Apache-2.0
"""The version of the package: that of the engine it was built with."""

from lithops._lithops import __version__

__all__ = ['__version__']

if __name__ == '__main__':
    print(__version__)
