# SPDX-License-Identifier: Apache-2.0
"""CloudObjects passed between stages: what one call has stored the next one reads."""
import json

import lithops
from lithops.storage.utils import CloudObject


def produce(n, storage):
    return storage.put_cloudobject(bytes(range(n)) * 1000)


def transform(place, storage):
    data = storage.get_cloudobject(place)
    return storage.put_cloudobject(data[::-1]), len(data)


def measure(results, storage):
    sizes = []
    for place, size in results:
        data = storage.get_cloudobject(place)
        sizes.append([size, len(data), data[0]])
    return sizes


if __name__ == '__main__':
    with lithops.FunctionExecutor() as fexec:
        first = fexec.get_result(fexec.map(produce, [10, 20, 30]))
        second = fexec.get_result(fexec.map(transform, first))
        result = fexec.call_async(measure, (second,)).result()
        storage = lithops.Storage()
        kinds = [isinstance(place, CloudObject) for place in first]
        storage.delete_cloudobjects(first + [place for place, _ in second])
        left = len([key for place, _ in second
                    for key in storage.list_keys(place.bucket, place.key)])
    print(json.dumps([kinds, result, left]))
