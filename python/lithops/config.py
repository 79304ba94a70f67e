# SPDX-License-Identifier: Apache-2.0
"""The configuration, as the engine reads it.

docs/configuration.md says where it is looked for, which keys there are and what takes precedence.
Configurations returned here can be changed and passed to an executor: nothing is missing or masked.
Sections that hold secrets mask them when they are printed.
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
    """Write a YAML file. TypeError for anything but dict, list, text, number, bool and None."""
    lines = _yaml_lines(data)
    os.makedirs(os.path.dirname(config_filename) or '.', exist_ok=True)
    with open(config_filename, 'w', encoding='utf-8') as file:
        file.writelines(line + '\n' for line in lines)


def _yaml_lines(data: Any) -> list[str]:
    """Block style, with strings and scalars in JSON notation, which is valid YAML."""
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


class SecretSection(dict):
    """A section of a configuration that holds secrets: it prints ``******`` for them.

    A string whose key or section the engine does not know may be a secret.
    """

    _shown: dict = {}  # the section as the engine shows it

    def __repr__(self) -> str:
        return repr({key: self._mask(key, value) for key, value in self.items()})

    def _mask(self, key: Any, value: Any) -> Any:
        is_secret = isinstance(value, str | list | dict) and self._shown.get(key, _MASK) != value
        return _MASK if is_secret else value


_MASK = '******'


def printable(full: dict, shown: dict) -> dict:
    """A configuration whose sections with secrets mask them when they are printed: out of the whole
    and of what the engine shows of it."""
    config = {}
    for name, section in full.items():
        if isinstance(section, dict) and section != shown.get(name):
            section = SecretSection(section)
            section._shown = shown.get(name) or {}
        config[name] = section
    return config


def load_config(config_file: str | None = None, log: bool = True) -> dict:
    """The configuration that an executor would find, as written: nothing is checked and no
    default added. Without one that of this machine.

    Raises ValueError that names the file and the line; FileNotFoundError.
    """
    found = _lithops.find_config(config_file and os.path.expanduser(config_file))
    if found and not isinstance(found, dict):
        raise ValueError(f'a configuration holds sections, not a {type(found).__name__}')
    if not found:
        found = {'lithops': {'mode': 'localhost', 'backend': 'localhost', 'storage': 'localhost'}}
    return printable(found, {'lithops': found.get('lithops'), 'localhost': found.get('localhost')})


def default_config(config_file: str | None = None, config_data: dict | None = None,
                   config_overwrite: dict | None = None,
                   load_storage_config: bool = True) -> dict:
    """A configuration, checked and with all defaults.

    Parameters:
        config_file: read this file
        config_data: the configuration itself; no file is read
        config_overwrite: {'lithops': {keys of that section}, 'backend': {keys of the backend's
            section}}, which win

    Raises ValueError that names the key; FileNotFoundError.
    """
    overwrite = config_overwrite or {}
    data = config_data or None
    config_file = config_file and os.path.expanduser(config_file)
    if overwrite.get('lithops'):
        data = dict(data or load_config(config_file))
        data['lithops'] = {**(data.get('lithops') or {}), **overwrite['lithops']}
    return printable(*_lithops.resolve_config(
        config=data, config_file=None if data else config_file,
        settings=overwrite.get('backend') or None, foreign_settings=True))


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
