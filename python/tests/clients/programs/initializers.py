# SPDX-License-Identifier: Apache-2.0
"""Pools whose initializer sets globals of the script, which the pool's functions read."""
import json

import lithops.multiprocessing as mp

table, begun = None, 0


def prepare(values, begin):
    global table, begun
    table = dict(values)
    begun = begin


def look_up(key):
    return table.get(key, begun)


def shift(key, by=0):
    return look_up(key) + by


if __name__ == '__main__':
    with mp.Pool(2, initializer=prepare, initargs=([('a', 1), ('b', 2)], 7)) as pool:
        answers = [
            pool.map(look_up, 'abcabcabc', chunksize=1),
            pool.map(lambda key: table[key] * 10, 'abba'),
            pool.starmap(shift, [('a', 5), ('c', 1)] * 3),
            [pool.apply(look_up, (key,)) for key in 'abc'],
            [pool.apply_async(shift, (key,), {'by': 100}).get() for key in 'cba'],
            list(pool.imap(look_up, 'cc')),
            table is None]
    print(json.dumps(answers))
