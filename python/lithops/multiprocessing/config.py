# SPDX-License-Identifier: Apache-2.0
"""Parameters of `lithops.multiprocessing`, for the whole program."""

#: dict: arguments of the executors that pools and processes open, or a configuration
LITHOPS_CONFIG = 'LITHOPS_CONFIG'
STREAM_STDOUT = 'STREAM_STDOUT'  #: bool: print here what calls have printed, as they end
ENV_VARS = 'ENV_VARS'  #: dict: environment variables of the calls
EXPORT_EXECUTION_DETAILS = 'EXPORT_EXECUTION_DETAILS'  #: folder for statistics and plots, or False
PIPE_CONNECTION_TYPE = 'PIPE_CONNECTION_TYPE'  #: no effect: upstream's choice among servers
REDIS_EXPIRY_TIME = 'REDIS_EXPIRY_TIME'  #: no effect: there is no Redis here

_DEFAULTS = {
    LITHOPS_CONFIG: {},
    STREAM_STDOUT: False,
    ENV_VARS: {},
    EXPORT_EXECUTION_DETAILS: False,
    PIPE_CONNECTION_TYPE: 'redislist',
    REDIS_EXPIRY_TIME: 3600,
}
_parameters = dict(_DEFAULTS)


def reset() -> None:
    """Set every parameter to its default."""
    _parameters.clear()
    _parameters.update(_DEFAULTS)


def update(config_dic: dict | None = None, **configurations) -> None:
    """Set several parameters; unknown ones raise KeyError, and then none is set."""
    values = {**(config_dic or {}), **configurations}
    for key in values:
        _parameters[key]
    _parameters.update(values)


def set_parameter(key: str, value) -> None:
    """Set one parameter; KeyError if there is no such."""
    update({key: value})


def get_parameter(parameter: str):
    """The value of a parameter; KeyError if there is no such."""
    return _parameters[parameter]


def executor_arguments() -> dict:
    """LITHOPS_CONFIG as arguments of an executor: a configuration is known by its sections."""
    arguments = get_parameter(LITHOPS_CONFIG)
    sections = {key: value for key, value in arguments.items()
                if isinstance(value, dict) and key != 'config'}
    if not sections:
        return arguments
    others = {key: value for key, value in arguments.items() if key not in sections}
    return {**others, 'config': {**others.get('config', {}), **sections}}
