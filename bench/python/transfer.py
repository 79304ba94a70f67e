# SPDX-License-Identifier: Apache-2.0
"""What ours/objects.c does, with aws-c-s3 or s5cmd: transfer.py aws-c-s3|s5cmd download|upload
BUCKET KEY FILE, and transfer.py aws-c-s3 get-into BUCKET KEY, into memory that is there.

The server is that of LITHOPS_TEST_S3_ENDPOINT. Times of s5cmd are of the whole program."""
import mmap
import os
import resource
import subprocess
import sys
import time
import urllib.request

ENDPOINT = os.environ['LITHOPS_TEST_S3_ENDPOINT']
KEYS = os.environ['LITHOPS_TEST_S3_ACCESS_KEY'], os.environ['LITHOPS_TEST_S3_SECRET_KEY']
PART = 8 << 20


def cpu_s():
    return sum(used.ru_utime + used.ru_stime for used in (
        resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)))


def timed(what):
    start, cpu = time.perf_counter(), cpu_s()
    what()
    print('seconds', time.perf_counter() - start)
    print('cpu', cpu_s() - cpu)


def sum_of(data):
    return sum(data[::4099]) + len(data)


def request(method, number, body=None):
    url = f'{ENDPOINT}/bench/parts/{number}'
    with urllib.request.urlopen(urllib.request.Request(url, body, method=method)) as answer:
        return answer.read()


def sum_of_parts(size):
    """The server leaves the parts of an upload as they are."""
    total, number = 0, 0
    while size > 0:
        number += 1
        part = request('GET', number)
        request('DELETE', number)
        total += sum_of(part)
        size -= len(part)
    return total


class Crt:
    """With parts as large as ours; it signs no hash of what it sends."""

    @staticmethod
    def prepare_upload(size):
        """nginx answers with 201 where a file is new, which aws-c-s3 takes for a failure."""
        for number in range(1, (size - 1) // PART + 2):
            request('PUT', number, b'')

    def __init__(self):
        from awscrt import auth, http, io, s3
        self.http, self.s3 = http, s3
        group = io.EventLoopGroup()
        bootstrap = io.ClientBootstrap(group, io.DefaultHostResolver(group))
        provider = auth.AwsCredentialsProvider.new_static(*KEYS)
        self.client = s3.S3Client(
            bootstrap=bootstrap, region='us-east-1', part_size=PART,
            tls_mode=s3.S3RequestTlsMode.DISABLED, throughput_target_gbps=100,
            signing_config=s3.create_default_s3_signing_config(
                region='us-east-1', credential_provider=provider))

    def ask(self, kind, method, bucket, key, **more):
        headers = self.http.HttpHeaders([('host', ENDPOINT.removeprefix('http://'))])
        if 'send_filepath' in more:
            headers.add('content-length', str(os.path.getsize(more['send_filepath'])))
        asked = self.http.HttpRequest(method, f'/{bucket}/{key}', headers)
        self.client.make_request(request=asked, type=kind, **more).finished_future.result()

    def download(self, bucket, key, path):
        self.ask(self.s3.S3RequestType.GET_OBJECT, 'GET', bucket, key, recv_filepath=path)

    def upload(self, bucket, key, path):
        self.ask(self.s3.S3RequestType.PUT_OBJECT, 'PUT', bucket, key, send_filepath=path)

    def get_into(self, bucket, key, memory):
        def take(chunk, offset, **_):
            memory[offset:offset + len(chunk)] = chunk
        self.ask(self.s3.S3RequestType.GET_OBJECT, 'GET', bucket, key, on_body=take)


class S5cmd:
    """With parts as large as ours, and as many at once."""

    @staticmethod
    def prepare_upload(size):
        """Nothing is needed."""

    def copy(self, source, target):
        subprocess.run(
            [os.path.join(os.path.dirname(sys.executable), 's5cmd'), '--endpoint-url', ENDPOINT,
             'cp', '--part-size', '8', '--concurrency', '8', source, target], check=True, stdout=subprocess.DEVNULL,
            env=dict(os.environ, AWS_ACCESS_KEY_ID=KEYS[0], AWS_SECRET_ACCESS_KEY=KEYS[1],
                     AWS_REGION='us-east-1'))

    def download(self, bucket, key, path):
        self.copy(f's3://{bucket}/{key}', path)

    def upload(self, bucket, key, path):
        self.copy(path, f's3://{bucket}/{key}')


def main(peer, what, bucket, key, path=None):
    client = {'aws-c-s3': Crt, 's5cmd': S5cmd}[peer]()
    if what == 'download':
        timed(lambda: client.download(bucket, key, path))
        with open(path, 'rb') as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as data:
            print('sum', sum_of(data))
        os.unlink(path)
    elif what == 'upload':
        size = os.path.getsize(path)
        client.prepare_upload(size)
        timed(lambda: client.upload(bucket, key, path))
        print('sum', sum_of_parts(size))
    else:
        with urllib.request.urlopen(f'{ENDPOINT}/{bucket}/{key}') as answer:
            size = int(answer.headers['Content-Length'])
        memory = mmap.mmap(-1, size)
        for at in range(0, size, mmap.PAGESIZE):
            memory[at] = 1
        timed(lambda: client.get_into(bucket, key, memory))
        print('sum', sum_of(memory))


if __name__ == '__main__':
    main(*sys.argv[1:])
