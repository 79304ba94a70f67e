# SPDX-License-Identifier: Apache-2.0
"""Count the lines of a file through obj.data_stream: lines.py FILE KIB. Reports lines.

Of upstream's stream only read() works here: on chunks of a local file its readline() raises an
AttributeError, and iterating over it never ends.
"""
import sys

import lithops


def count_lines(obj):
    return len(obj.data_stream.read().splitlines())


def main():
    fexec = lithops.FunctionExecutor()
    counts = fexec.get_result(fexec.map(count_lines, sys.argv[1],
                                        obj_chunk_size=int(sys.argv[2]) << 10))
    print('lines', sum(counts))


if __name__ == '__main__':
    main()
