# SPDX-License-Identifier: Apache-2.0
"""``python -m lithops._worker``, by the `lithops` command and by programs in C."""

import sys

from lithops._worker.main import main

if __name__ == "__main__":
    main(sys.argv[-1])
