# SPDX-License-Identifier: Apache-2.0
"""Count words: of strings; of files, chunk by chunk; of objects of a bucket, a reducer for each."""
import collections
import json
import os
import pathlib
import tempfile

import lithops

TEXTS = {
    'moby': 'call me ishmael\nsome years ago never mind how long\n' * 400,
    'alice': 'alice was beginning to get very tired\nof sitting by her sister\n' * 300,
    'end': 'the end\n' * 5,
}


def count_words(text):
    return dict(collections.Counter(text.split()))


def count_chunk(obj):
    return count_words(obj.data_stream.read().decode())


def add_up(results):
    total = collections.Counter()
    for result in results:
        total.update(result)
    return dict(sorted(total.items()))


def count_parts(obj):
    return obj.key, obj.part, len(obj.data_stream.read())


def join_parts(results):
    keys = {key for key, _, _ in results}
    return [sorted(keys), sum(size for _, _, size in results)]


if __name__ == '__main__':
    answers = {}
    with lithops.FunctionExecutor() as fexec, tempfile.TemporaryDirectory() as folder:
        fexec.map_reduce(count_words, list(TEXTS.values()), add_up)
        answers['strings'] = fexec.get_result()

        for name, text in TEXTS.items():
            pathlib.Path(folder, name).write_text(text)
        files = [os.path.join(folder, name) for name in TEXTS]
        fexec.map_reduce(count_chunk, files, add_up, obj_chunk_size=4096)
        answers['files'] = fexec.get_result()

        storage = lithops.Storage()
        for name, text in TEXTS.items():
            storage.put_object(storage.bucket, f'texts/{name}', text)
        fexec.map_reduce(count_parts, f'{storage.bucket}/texts/', join_parts, obj_chunk_number=3,
                         obj_reduce_by_key=True)
        answers['objects'] = sorted(fexec.get_result())
        storage.delete_objects(storage.bucket, [f'texts/{name}' for name in TEXTS])
    print(json.dumps(answers))
