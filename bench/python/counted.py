# SPDX-License-Identifier: Apache-2.0
"""Requests that a job makes, as the server's log has them: counted.py SIDE COUNT [SCALE].

SIDE is lithops (two workers that nothing but the storage reaches) or upstream (its localhost, over
the same storage). Reports `requests`, times SCALE, and `client_mb`, the most memory of the client.
The server is Ceph's gateway, as from tests/servers/with-s3."""
import json
import os
import resource
import sys
import time


def same(x):
    return x


def count_requests():
    """Once the log has not grown for a second."""
    path = os.path.join(os.path.dirname(os.environ['LITHOPS_TEST_S3_CONF']), 'client.rgw.log')
    size = -1
    while size != os.path.getsize(path):
        size = os.path.getsize(path)
        time.sleep(1)
    with open(path, 'rb') as file:
        return sum(b'====== req done' in line for line in file)


def lithops_config():
    config = json.loads(os.environ['LITHOPS_CONFIG'])
    config['lithops']['backend'] = 'process'
    config['process'] = {'transport': 'storage', 'workers': 2, 'worker_processes': 1}
    return config


def upstream_config():
    config = json.loads(os.environ['LITHOPS_CONFIG'])
    config['lithops']['log_level'] = 'ERROR'
    return config


def main():
    side, count = sys.argv[1], int(sys.argv[2])
    scale = float(sys.argv[3]) if len(sys.argv) > 3 else 1
    import lithops
    before = count_requests()
    upstream = side == 'upstream'
    options = {'show_progressbar': False} if upstream else {}
    start = time.perf_counter()
    with lithops.FunctionExecutor(config=(upstream_config if upstream else lithops_config)()) as f:
        results = f.get_result(f.map(same, list(range(count)) if upstream else range(count)),
                               **options)
        if list(results) != list(range(count)):
            sys.exit('wrong results')
        del results
        f.clean()
    print('seconds', time.perf_counter() - start)
    print('requests', (count_requests() - before) * scale)
    print('client_mb', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6)


if __name__ == '__main__':
    main()
