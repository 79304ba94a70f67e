# SPDX-License-Identifier: Apache-2.0
"""The rows of the HTTP requests that invoke functions, of one client, beside endpoint.c. The peer is
upstream's client with its pool of threads, by fewer requests."""
from rows import Goal, Row, Side, reported, times

LATENCY_S = 0.020


def per_s(count, scale=1e-3):
    return lambda values, wall_s, sizes: sizes[count] / values['seconds'] * scale


def cpu_each(count):
    return lambda values, wall_s, sizes: values['cpu'] / sizes[count] * 1e6


def of_ideal(values, wall_s, sizes):
    return sizes['invoked_slow'] / values['seconds'] / (100 / LATENCY_S)


def sides(latency_us, in_flight, count, few, threads, read):
    def side(name, command, size, **kinds):
        return Side(name, f'endpoint {latency_us} {command} {{{size}}}', read(size), **kinds)

    return dict(ours=side('lithops', f'ours_invoke rate {in_flight}', count),
                peer=side('upstream', f'{{python}} {{here}}/invoke.py {threads}', few,
                          environment='upstream'),
                limit=side('bare requests', f'limit_invoke {in_flight}', count))


ROWS = [
    Row('invoke', 'invocations, answered at once', 'k/s',
        goal=Goal('value', None, '>=', 50), aim=Goal('value', None, '>=', 100),
        notes=['64 at a time; the endpoint spins on the other CPU'],
        **sides(0, 64, 'invoked', 'invoked_few', 64, per_s)),
    Row('invoke_cpu', 'the same: CPU time each', 'us',
        goal=Goal('value', None, '<=', 20), notes=['of the client, kernel included'],
        **sides(0, 64, 'invoked', 'invoked_few', 64, cpu_each)),
    Row('invoke_slow', 'invocations, answered after 20 ms', 'x ideal',
        goal=Goal('value', None, '>=', 0.9),
        notes=['100 at a time; the ideal is 100 / 20 ms'],
        **{**sides(20000, 100, 'invoked_slow', 'invoked_slow', 100,
                   lambda size: of_ideal), 'limit': None}),
    Row('invoke_lag', 'from an answer to its being known', 'ms',
        Side('lithops', 'endpoint 1000 ours_invoke lag {lags}', reported('seconds', 1e3)),
        Goal('value', None, '<=', 2)),
    Row('invoke_open', 'memory of requests in flight', 'B each',
        Side('lithops', 'endpoint 4000000 ours_invoke open 5000', reported('bytes')),
        Goal('value', None, '<=', 671),
        notes=['each with a connection; the goal is 64 MiB for 100,000']),
    Row('activation_bytes', 'memory of activations that were taken', 'B each',
        Side('lithops', 'endpoint 0 ours_activations 300', reported('bytes')),
        Goal('value', None, '<=', 671), server='s3', rounds=3,
        notes=['workers by events, each with its link through the storage; none has begun']),
    Row('cold_lambda', 'the runtime of a function: its start to its first request', 'ms',
        Side('lithops', 'cold {spawns} {lithops} worker --lambda', times(1e3)),
        Goal('ratio', 'limit', '<=', 1.5),
        limit=Side('only the protocol', 'cold {spawns} limit_next', times(1e3))),
    Row('cold_outcome', "a worker's start to its first outcome", 'ms',
        Side('lithops', 'ours_outcome {spawns} {lithops}', times(1e3)),
        Goal('ratio', 'limit', '<=', 1.5),
        limit=Side('only the protocol', 'limit_outcome {spawns}', times(1e3)), server='redis',
        notes=['a function of C, by HTTP; the storage is Redis with TLS, the limit has none']),
]
