# SPDX-License-Identifier: Apache-2.0
"""Functions of a module that imports Airflow, and so does each worker process that runs them."""

import logging
import os
import sys

from airflow.sdk import Variable
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
    AirflowTaskTimeout,
)


class NothingToDo(AirflowSkipException):
    """A skip of one's own."""


class Hopeless(AirflowFailException):
    """A failure of one's own."""


class Unlucky(AirflowException):
    """An error like any other, for Airflow."""


ERRORS = {
    "skips": AirflowSkipException,
    "skips_by_subclass": NothingToDo,
    "fails": AirflowFailException,
    "fails_by_subclass": Hopeless,
    "errs": AirflowException,
    "errs_by_subclass": Unlucky,
    "errs_by_timeout": AirflowTaskTimeout,
}


def say(word):
    """Raises what the word stands for."""
    raise ERRORS[word](f"the function {word}")


def look(name):
    """A variable of Airflow, from the environment."""
    return Variable.get(name)


def talk(x):
    print("to stdout", x)
    print("to stderr", x, file=sys.stderr)
    logging.getLogger("mine").info("a record %d", x)
    logging.getLogger("mine").debug("too much %d", x)
    return x


def crash(x):
    print("last words", x)
    os.abort()
