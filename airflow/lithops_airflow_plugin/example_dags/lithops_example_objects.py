# SPDX-License-Identifier: Apache-2.0
"""A map and a reduce over the objects of a bucket, in chunks of whole lines."""

from airflow.sdk import DAG, task

from lithops_airflow_plugin.example_dags.lithops_example_functions import count_words, sum_list
from lithops_airflow_plugin.operators.lithops import LithopsMapReduceOperator

BUCKET = "airflow-example"

with DAG("lithops_example_objects", schedule=None, catchup=False, tags=["lithops"], doc_md=__doc__):

    @task
    def write_texts() -> str:
        """Puts texts of 1,000, 2,000 and 3,000 lines into the bucket; each line has 5 words."""
        from lithops import Storage

        storage = Storage()
        for n in (1, 2, 3):
            line = b"one two three four five\n"
            storage.put_object(BUCKET, f"texts/{n}.txt", line * 1000 * n)
        return f"{storage.backend}://{BUCKET}/texts/"

    texts = write_texts()
    LithopsMapReduceOperator(
        task_id="count_words",
        map_function=count_words,
        map_iterdata=[texts],
        chunk_n=4,
        reduce_function=sum_list,
    )
    LithopsMapReduceOperator(
        task_id="count_words_of_each",
        map_function=count_words,
        map_iterdata=texts,
        chunk_n=4,
        reduce_function=sum_list,
        reducer_one_per_object=True,
    )
