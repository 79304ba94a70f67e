# SPDX-License-Identifier: Apache-2.0
"""What the parameters STREAM_STDOUT and EXPORT_EXECUTION_DETAILS do when calls have ended."""

from __future__ import annotations

import json
import logging
import os
import sys

from . import config

logger = logging.getLogger(__name__)


def are_wanted() -> bool:
    return bool(config.get_parameter(config.STREAM_STDOUT)
                or config.get_parameter(config.EXPORT_EXECUTION_DETAILS))


def give(executor, futures: list) -> None:
    """Print and write what was asked for of calls that are done. Errors go to the log."""
    try:
        if config.get_parameter(config.STREAM_STDOUT):
            for future in futures:
                sys.stdout.write(future.logs or '')
            sys.stdout.flush()
        folder = config.get_parameter(config.EXPORT_EXECUTION_DETAILS)
        if folder and futures:
            name = os.path.join(os.path.realpath(folder),
                                f'{futures[0].executor_id}_{futures[0].job_id}')
            with open(name + '_stats.json', 'w', encoding='utf-8') as file:
                json.dump({future.call_id: future.stats for future in futures}, file, indent=4)
            executor.plot(futures, name)
    except Exception:
        logger.exception('cannot write the details of a job')
