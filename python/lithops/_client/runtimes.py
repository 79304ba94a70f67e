# SPDX-License-Identifier: Apache-2.0
"""`runtime` of an executor on this machine: another interpreter, or the image of a container.

    lithops.FunctionExecutor(runtime='/opt/science/bin/python')     its packages, this program's code
    lithops.FunctionExecutor(runtime='me/science:1')                the same in docker or podman

Lithops need not be installed in either: this package is made available to it. It must be of the
same version of Python, as functions travel as code. This is checked by running it before the
executor opens.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

__all__ = ['is_own', 'start_command']

ENGINES = ('docker', 'podman')
PROBE_LIMIT_S = 300  # an image may have to be pulled

_PROBE = 'import sys; print(sys.implementation.cache_tag)'
_found: dict[str, str | None] = {}  # runtimes that fit -> their engine; None: an interpreter


def is_own(runtime: str) -> bool:
    """True if it is the interpreter of this process."""
    path = shutil.which(os.path.expanduser(runtime))
    return (path is not None and os.path.samefile(path, sys.executable)
            and os.path.dirname(os.path.abspath(path)) == os.path.dirname(
                os.path.abspath(sys.executable)))


def start_command(runtime: str, flags: list[str], context: tuple) -> list[str]:
    """The command of a worker process in another interpreter, or in a container.

    context: what `_worker.main.main` takes after its first argument: argv, working directory, ...

    Raises FileNotFoundError or ValueError that names the runtime and says what is wrong with it.
    """
    if runtime not in _found:
        _found[runtime] = _check(runtime)
    engine = _found[runtime]
    lent = lent_packages()
    start = (f'import sys; sys.path[:0] = {own_folders()!a}; {_LEND}; lend({lent!a}); ')
    if engine is None:
        path = os.path.expanduser(runtime)
        return [path, *flags, '-c', f'{start}from lithops._worker.main import main; '
                                    f'main(sys.argv[-1], *{context!a})']
    start += f'from lithops._worker.contained import main; main(*sys.argv[-2:], *{context!a})'
    command = [*container_command(engine, [*own_folders(), *lent.values()], context[1]),
               '--entrypoint', 'python3', runtime, *flags, '-c', start]
    return [sys.executable, '-S', '-c', f'import sys; sys.path[:] = {list(sys.path)!a}; '
            f'from lithops._client.container import main; main({command!a}, sys.argv[-1])']


# Loads this client's packages from their own folders, unless the other interpreter has them; adding
# the parent folder to sys.path would expose everything beside them too.
_LEND = '''exec("""
def lend(packages):
    from importlib import util
    for name, folder in packages.items():
        if name != "lithops" and util.find_spec(name):
            continue
        spec = util.spec_from_file_location(name, folder + "/__init__.py",
                                            submodule_search_locations=[folder])
        sys.modules[name] = module = util.module_from_spec(spec)
        spec.loader.exec_module(module)
""")'''


def lent_packages() -> dict[str, str]:
    """The packages that come along: name -> folder."""
    from importlib.util import find_spec
    lent = {'lithops': os.path.dirname(os.path.dirname(os.path.abspath(__file__)))}
    found = find_spec('cloudpickle')
    if found is not None and found.origin:
        lent['cloudpickle'] = os.path.dirname(os.path.abspath(found.origin))
    return lent


def own_folders() -> list[str]:
    """The folders in `sys.path` with the program's own modules: not those of this interpreter."""
    import site
    import sysconfig
    taken = {*sysconfig.get_paths().values(), *site.getsitepackages(), site.getusersitepackages()}
    prefixes = tuple(os.path.join(os.path.realpath(prefix), 'lib')
                     for prefix in {sys.prefix, sys.base_prefix, sys.exec_prefix})
    folders = [os.path.abspath(folder) for folder in sys.path if isinstance(folder, str)]
    return [folder for folder in dict.fromkeys(folders)
            if folder not in taken and os.path.isdir(folder)
            and not os.path.realpath(folder).startswith(prefixes)]


def container_command(engine: str, folders: list[str], home: str | None) -> list[str]:
    """``docker run`` with what a worker process needs of this machine, but the image.

    The program's folders and this package are mounted read-only, the working directory and the
    folder for temporary files (which holds the storage) writable, at the same paths; files made by
    calls belong to the user. Shared memory is passed over an abstract socket (`container.py`),
    which requires the host's network.
    """
    import tempfile
    written = [folder for folder in (home, tempfile.gettempdir()) if folder]
    command = [engine, 'run', '--rm', '--network', 'host', '--ipc', 'host',
               '--user', f'{os.getuid()}:{os.getgid()}']
    if engine == 'podman' and os.getuid() != 0:
        command += ['--userns', 'keep-id']
    for folder in dict.fromkeys(written):
        command += ['--volume', f'{folder}:{folder}']
    for folder in dict.fromkeys(folders):
        if folder not in written:
            command += ['--volume', f'{folder}:{folder}:ro']
    for name in sorted(os.environ):
        if name.startswith('LITHOPS_'):
            command += ['--env', name]
    return command + ['--workdir', home or '/']


def _check(runtime: str) -> str | None:
    """The container engine that runs it, or None for an interpreter."""
    is_path = runtime.startswith(('/', './', '../', '~'))
    if is_path or shutil.which(runtime) or _looks_like_python(runtime):
        path = shutil.which(os.path.expanduser(runtime))
        if path is None:
            raise FileNotFoundError(f'runtime is {runtime!r}: there is no such interpreter')
        _probe(runtime, [path])
        return None
    engines = [engine for engine in ENGINES if shutil.which(engine)]
    if not _is_image(runtime):
        raise ValueError(f'runtime is {runtime!r}: the path of an interpreter or the name of an '
                         f'image is expected')
    if not engines:
        raise FileNotFoundError(f'runtime is {runtime!r}: to run an image, install docker or '
                                f'podman; neither is here. (An interpreter is named by its path)')
    problems = []
    for engine in engines:
        try:
            _probe(runtime, [engine, 'run', '--rm', '--network', 'none', '--entrypoint', 'python3',
                             runtime])
            return engine
        except ValueError as exc:
            problems.append(f'{engine}: {exc}')
    raise ValueError('; '.join(problems))


def _looks_like_python(runtime: str) -> bool:
    from re import fullmatch
    return fullmatch(r'python[0-9.]*', runtime) is not None


def _is_image(runtime: str) -> bool:
    from re import fullmatch
    return fullmatch(r'[a-z0-9][a-zA-Z0-9._:/@-]*[a-zA-Z0-9]', runtime) is not None


def _probe(runtime: str, command: list[str]) -> None:
    try:
        done = subprocess.run([*command, '-c', _PROBE], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=PROBE_LIMIT_S)
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise ValueError(f'runtime is {runtime!r}, and it does not run: {exc}') from None
    mine = sys.implementation.cache_tag
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f'exit status {done.returncode}']
        said = lines[-1 if lines[0].startswith('Traceback') else 0]
        raise ValueError(f'runtime is {runtime!r}, and no Python runs there: {said}')
    if done.stdout.strip() != mine:
        raise ValueError(f'runtime is {runtime!r}, which is {done.stdout.strip()!r}: functions of '
                         f'this interpreter ({mine!r}) run in the same version of Python only')
