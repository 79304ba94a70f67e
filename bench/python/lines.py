# SPDX-License-Identifier: Apache-2.0
"""Count the lines of a file through obj.data_stream: lines.py FILE MIB. Reports lines."""
import sys

import lithops


def count_lines(obj):
    return sum(1 for _ in obj.data_stream)


def main():
    fexec = lithops.FunctionExecutor()
    counts = fexec.get_result(fexec.map(count_lines, sys.argv[1],
                                        obj_chunk_size=int(sys.argv[2]) << 20))
    print('lines', sum(counts))


if __name__ == '__main__':
    main()
