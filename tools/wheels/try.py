# SPDX-License-Identifier: Apache-2.0
"""Use what a wheel holds, on a system that has nothing else: try.py COMMAND

The command runs C functions, plain ones too (libffi), draws (cairo), reads YAML, compressed objects
and S3, runs workers over a link, and fetches a URL over TLS with certificates where different
distributions keep them (libcurl, OpenSSL). If the package can be imported, Python does the same.
tools/wheels/check filled /mnt."""

import http.server
import json
import os
import shutil
import ssl
import struct
import subprocess
import sys
import threading

COMMAND = sys.argv[1]
PAGES = b''.join(b'%d\n' % i for i in range(100))
NO_S3 = {'lithops': {'storage': 'minio'},
         'minio': {'endpoint': 'http://127.0.0.1:9', 'access_key_id': 'a', 'secret_access_key': 'b',
                   'storage_bucket': 'c'}}
DEBIAN, FEDORA = '/etc/ssl/certs/ca-certificates.crt', '/etc/pki/tls/certs/ca-bundle.crt'


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def do_GET(self):
        self.send_response(200)
        self.send_header('Content-Length', str(len(PAGES)))
        self.end_headers()
        if self.command == 'GET':
            self.wfile.write(PAGES)

    do_HEAD = do_GET

    def log_message(self, *_):
        pass


def serve():
    server = http.server.ThreadingHTTPServer(('localhost', 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain('/mnt/server.pem', '/mnt/server.key')
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f'https://localhost:{server.server_port}/numbers'


def command(*arguments, status=0, **env):
    done = subprocess.run([COMMAND, *arguments], env={**os.environ, **env}, text=True, timeout=60,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == status, (arguments, done)
    return done.stdout if status == 0 else done.stderr


def check_picture(name):
    with open(name, 'rb') as file:
        head = file.read(24)
    assert head[:8] == b'\x89PNG\r\n\x1a\n' and struct.unpack('>II', head[16:])[0] > 300, head


def try_command():
    assert command('map', '/mnt/squares.so:square', '--over', '3', '4') == '9\n16\n'
    assert command('call', 'libm.so.6:pow:double(double,double)', '2', '10') == '1024.0\n'
    command('map', '/mnt/squares.so:square', '--over', '1', '2', '--plot', 'command')
    check_picture('command_timeline.png')
    command('hello', LITHOPS_CONFIG='lithops: {log_level: warning}')
    for ending in 'gz', 'bz2', 'zst':
        assert command('map', '/mnt/squares.so:lines', '--objects', '--over', f'/mnt/ab.{ending}') == '2\n'
    assert command('map', '/mnt/squares.so:square', '--backend', 'process', '--over', '5') == '25\n'
    said = command('storage', 'list', status=3, LITHOPS_CONFIG=json.dumps(NO_S3))
    assert '127.0.0.1:9' in said, said  # it was built, but no server answers


def check_certificates(read):
    """read(url, **env) returns the lines of the URL, or the text of the error."""
    url = serve()
    assert 'SSL_CERT_FILE' in read(url), read(url)
    assert read(url, SSL_CERT_FILE='/mnt/ca.pem') == PAGES.decode()
    for place in FEDORA, DEBIAN:
        os.makedirs(os.path.dirname(place), exist_ok=True)
        shutil.copy('/mnt/ca.pem', place)
        assert read(url) == PAGES.decode(), place
        os.remove(place)


READER = '''
import sys, lithops

def read(obj):
    return obj.data_stream.read().decode()

if __name__ == '__main__':
    with lithops.FunctionExecutor() as fexec:
        try:
            sys.stdout.write(fexec.map(read, sys.argv[1]).get_result()[0])
        except Exception as exc:
            print(exc)
'''


def read_url(url, **env):
    with open('reader.py', 'w', encoding='utf-8') as file:
        file.write(READER)
    done = subprocess.run([sys.executable, 'reader.py', url], env={**os.environ, **env},
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    return done.stdout


def square(x):
    return x * x


def try_package(lithops):
    os.environ['LITHOPS_CONFIG'] = 'lithops: {backend: localhost}'
    with lithops.FunctionExecutor() as fexec:
        assert fexec.map(square, range(1000)).get_result() == [x * x for x in range(1000)]
        assert fexec.map_reduce(square, range(10), sum).get_result() == 285
        fexec.plot(dst='package')
    check_picture('package_timeline.png')
    storage = lithops.Storage()
    place = storage.put_cloudobject(b'data')
    assert storage.get_cloudobject(place) == b'data'
    storage.delete_cloudobject(place)
    del os.environ['LITHOPS_CONFIG']


if __name__ == '__main__':
    try_command()
    try:
        import lithops
    except ImportError:
        if sys.version_info >= (3, 10):
            raise
        print('the command works; this Python is too old for the package')
    else:
        try_package(lithops)
        check_certificates(read_url)
        print('lithops', lithops.__version__, 'works with Python', sys.version.split()[0])
