# SPDX-License-Identifier: Apache-2.0
"""The configuration, as the engine reads it.

Where it is looked for, which keys there are and what wins is in docs/configuration.md. Secrets are
masked in what comes from here; to open an executor, give it the configuration itself.
"""

from __future__ import annotations

import os
from typing import Any

from lithops import _lithops

__all__ = ['default_config', 'default_storage_config', 'dump_yaml_config',
           'extract_localhost_config', 'extract_serverless_config', 'extract_standalone_config',
           'extract_storage_config', 'get_default_config_filename', 'load_config',
           'load_yaml_config']


def load_yaml_config(config_filename: str) -> dict:
    """What a YAML file has; {} if there is no file. Raises ValueError that names the line."""
    try:
        return _lithops.read_config(config_filename)
    except FileNotFoundError:
        return {}


def dump_yaml_config(config_filename: str, data: dict) -> None:
    """Write a YAML file. Raises TypeError for what is no dict, list, text, number, bool or None."""
    lines = _yaml_lines(data)
    os.makedirs(os.path.dirname(config_filename) or '.', exist_ok=True)
    with open(config_filename, 'w', encoding='utf-8') as file:
        file.writelines(line + '\n' for line in lines)


def _yaml_lines(data: Any) -> list[str]:
    """Block style, with texts and scalars as JSON has them: that is YAML, too."""
    from json import dumps
    if not data or not isinstance(data, dict | list | tuple):
        return [dumps(data, ensure_ascii=False, allow_nan=False)]
    if isinstance(data, dict):
        pairs = [(_yaml_key(key) + ':', data[key]) for key in sorted(data, key=str)]
    else:
        pairs = [('-', item) for item in data]
    lines = []
    for head, value in pairs:
        inner = _yaml_lines(value)
        if value and isinstance(value, dict | list | tuple):
            lines += [head, *('  ' + line for line in inner)]
        else:
            lines.append(f'{head} {inner[0]}')
    return lines


def _yaml_key(key: Any) -> str:
    from json import dumps
    words = ('y', 'n', 'yes', 'no', 'on', 'off', 'true', 'false', 'null')
    if isinstance(key, str) and key.isidentifier() and key.lower() not in words:
        return key
    if isinstance(key, str | int | float | None):
        return dumps(key, ensure_ascii=False, allow_nan=False)
    raise TypeError(f'a key is of type {type(key).__name__}')


def get_default_config_filename() -> str | None:
    """The path of the configuration file in use, or None."""
    named = os.environ.get('LITHOPS_CONFIG_FILE')
    if named:
        return named
    for path in ('.lithops_config', os.path.expanduser('~/.lithops/config'),
                 '/etc/lithops/config'):
        if os.path.exists(path):
            return os.path.abspath(path)
    return None


def load_config(config_file: str | None = None, log: bool = True) -> dict:
    """The configuration in force, checked and with all defaults.

    Raises ValueError that names the file, the line and the key; FileNotFoundError.
    """
    return default_config(config_file=config_file)


def default_config(config_file: str | None = None, config_data: dict | None = None,
                   config_overwrite: dict | None = None,
                   load_storage_config: bool = True) -> dict:
    """A configuration, checked and with all defaults.

    Parameters:
        config_file: read this file
        config_data: the configuration itself; no file is read
        config_overwrite: {'lithops': {mode, backend, storage, monitoring}, 'backend': {keys of the
            backend's section}}, which win

    Raises ValueError that names the key; FileNotFoundError.
    """
    from lithops._worker import worker_command
    overwrite = config_overwrite or {}
    executor = _lithops.Executor(
        config=config_data or None, config_file=config_file and os.path.expanduser(config_file),
        settings=overwrite.get('backend') or None, worker_command=worker_command(),
        **{name: value for name, value in (overwrite.get('lithops') or {}).items()
           if name in ('mode', 'backend', 'storage', 'monitoring')})
    try:
        return executor.config
    finally:
        executor.close()


def default_storage_config(config_file: str | None = None, config_data: dict | None = None,
                           backend: str | None = None) -> dict:
    """The same, with another storage backend."""
    overwrite = {'lithops': {'storage': backend}} if backend else None
    return default_config(config_file, config_data, overwrite)


def _section(config: dict, name: str) -> dict[str, Any]:
    return dict(config.get(name) or {})


def extract_storage_config(config: dict) -> dict:
    """What `lithops.storage.InternalStorage` takes."""
    backend = config['lithops']['storage']
    section = _section(config, backend)
    if backend == 'localhost':  # the section is the compute backend's, too
        section = {key: value for key, value in section.items() if key.startswith('storage_')}
    return {'backend': backend, backend: section}


def extract_localhost_config(config: dict) -> dict:
    """The section of localhost."""
    return _section(config, 'localhost')


def extract_serverless_config(config: dict) -> dict:
    """The compute backend and its section."""
    backend = config['lithops']['backend']
    return {'backend': backend, backend: _section(config, backend)}


def extract_standalone_config(config: dict) -> dict:
    """The section of standalone, with the compute backend and its section."""
    backend = config['lithops']['backend']
    return {**_section(config, 'standalone'), 'backend': backend,
            'storage': config['lithops'].get('storage'), backend: _section(config, backend)}
