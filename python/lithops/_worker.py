# SPDX-License-Identifier: Apache-2.0
"""A worker process of Python functions: what runs in it around a call.

How it is started: `worker_command()` gives the command; the engine appends one argument of its own.

    python -S -c "import sys; sys.path[:] = [...]; ...; from lithops._worker import main; main()"

There is no `site`: it would take as long as all the rest. The client's `sys.path` is given, and
`site` is run when an import fails without it (import hooks of editable installs). So nothing here
may import more than it must; `tests/test_extension_worker.py` watches the modules that are loaded.

CODE: what a job runs, made once per job by the client (`_function.py`), loaded once per worker
process. It is one of two:

1. A pickle (by the codec's rules: `_lithops.dumps` or cloudpickle) of the tuple

       (version, function, extra_args, inject, env, mode, flags)

   version     1
   function    the callable
   extra_args  None | tuple: positional arguments after the item's | dict: keyword arguments. The
               function gets a copy of its own in each call, unless they are immutable
   inject      tuple of the reserved parameters to fill in, out of "id", "storage", "ibm_cos",
               "rabbitmq". ("obj" is what the mode "object" does.)
   env         None | dict of str: `os.environ` of the calls of this job
   mode        "item"    a tuple is positional arguments, a dict keyword arguments, anything else
                         one argument
               "single"  the item is one argument, whatever it is
               "object"  the item names a chunk of an object; it is the argument `obj`. What
                         `call.object_extra()` holds is a pickle of a tuple (positional, after
                         `obj`) or of a dict (keywords)
               "reduce"  the first argument is the list of the results
   flags       0, kept for later

2. b"import package.module:function": from the `lithops` command and the C face. Plain values in
   and out, bound as for C functions: a list by position, a map by name, null is no argument of a
   function that takes none. Reserved parameters are filled in by name, `obj` too.

A FAILED CALL carries data for the client: a pickle of

    (exceptions, text)     exceptions: a tuple: the exception, its __cause__, the cause's __cause__,
                           ...; text: the traceback, without the frames of this package
    text                   alone, where the exception cannot be pickled and loaded again

`load_failure(data)` in `_failure.py` is the other side.

WHAT THE PACKAGE OFFERS TO WORKERS, found by name when it is needed:

    lithops.storage.Storage._of(native)       the injected `storage`, over an _lithops.Storage
    future.result(), of a _lithops.Future, and FuturesList (a list): what a function returns is
    waited for when it is one of these, or a list that begins with a future
"""
