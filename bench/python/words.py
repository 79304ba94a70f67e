# SPDX-License-Identifier: Apache-2.0
"""Count the words of a file in chunks, with a function in Python: words.py lithops|pool FILE KIB.
Reports how many there are, and how many of them are different."""
import collections
import os
import sys


def count(data):
    return collections.Counter(data.split())


def count_chunk(obj):
    return count(obj.data_stream.read())


def count_range(place):
    path, start, end = place
    with open(path, 'rb') as file:
        file.seek(start)
        return count(file.read(end - start))


def add_up(results):
    total = collections.Counter()
    for result in results:
        total.update(result)
    return total


def ranges(path, size):
    """Chunks of whole lines, cut as Lithops cuts them."""
    with open(path, 'rb') as file:
        length, start = os.path.getsize(path), 0
        while start < length:
            file.seek(min(start + size, length))
            file.readline()
            yield path, start, file.tell()
            start = file.tell()


def with_lithops(path, size):
    import lithops
    fexec = lithops.FunctionExecutor()
    fexec.map_reduce(count_chunk, path, add_up, obj_chunk_size=size)
    return fexec.get_result()


def with_pool(path, size):
    import multiprocessing
    with multiprocessing.Pool() as pool:
        return add_up(pool.imap(count_range, ranges(path, size)))


if __name__ == '__main__':
    side, path, size = sys.argv[1], sys.argv[2], int(sys.argv[3]) << 10
    total = (with_pool if side == 'pool' else with_lithops)(path, size)
    print('words', sum(total.values()))
    print('different', len(total))
