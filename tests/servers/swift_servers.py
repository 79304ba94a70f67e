# SPDX-License-Identifier: Apache-2.0
"""Swift's four servers in one process, which starts in a quarter of the time of four.

    swift_servers.py FOLDER

Writes the configuration into the folder, then the ports of the proxy server and of two that are free,
for memcached and keystone.py, into the file `ports` there, when they accept connections."""
import logging
import os
import random
import socket
import sys

from swift.common import utils, wsgi

utils.eventlet_monkey_patch()

import eventlet.wsgi  # noqa: E402
from swift.common.ring import RingBuilder  # noqa: E402

folder = sys.argv[1]
logging.basicConfig(filename=f'{folder}/swift.log', level=logging.WARNING)


def listen():
    """Below the kernel's range for clients, or a client might take the port meanwhile."""
    while True:
        try:
            return eventlet.listen(('127.0.0.1', random.randrange(10240, 32768)), backlog=512)
        except OSError:
            pass


def port_of(server):
    return server.getsockname()[1]


def write(name, text):
    with open(f'{folder}/{name}', 'w', encoding='ascii') as file:
        file.write(text)


def write_ring(kind, port):
    ring = RingBuilder(1, 1, 0)
    ring.add_dev({'id': 0, 'region': 1, 'zone': 1, 'ip': '127.0.0.1', 'port': port,
                  'replication_ip': '127.0.0.1', 'replication_port': port, 'device': 'one',
                  'weight': 1, 'meta': ''})
    ring.rebalance()
    ring.get_ring().save(f'{folder}/{kind}.ring.gz')


def configuration(kind, port, filters, settings):
    text = f'''[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
swift_dir = {folder}
devices = {folder}/devices
mount_check = false
fallocate_reserve = 0
[pipeline:main]
pipeline = {filters} {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
account_autocreate = true
'''
    for name in filters.split():
        text += f'[filter:{name}]\nuse = egg:swift#{"memcache" if name == "cache" else name}\n'
        text += settings.get(name, '')
    return text


def free_port():
    with socket.socket() as probe:
        while True:
            try:
                probe.bind(('127.0.0.1', random.randrange(10240, 32768)))
                return port_of(probe)
            except OSError:
                pass


os.makedirs(f'{folder}/devices/one')
write('swift.conf', '[swift-hash]\nswift_hash_path_suffix = lithops\n'
                    '[storage-policy:0]\nname = one\ndefault = yes\n')
utils.set_swift_dir(folder)
memcached, keystone = free_port(), free_port()
proxy_filters = 'catch_errors gatekeeper cache listing_formats bulk tempauth copy slo dlo'
proxy_settings = {'cache': f'memcache_servers = 127.0.0.1:{memcached}\n',
                  'tempauth': 'user_test_tester = testing .admin\n'}
sockets = {kind: listen() for kind in ('account', 'container', 'object', 'proxy')}
for kind in ('account', 'container', 'object'):
    write_ring(kind, port_of(sockets[kind]))
for kind, server in sockets.items():
    is_proxy = kind == 'proxy'
    write(f'{kind}.conf', configuration(kind, port_of(server), proxy_filters if is_proxy else '',
                                        proxy_settings if is_proxy else {}))
    app = wsgi.loadapp(f'{folder}/{kind}.conf', global_conf={'log_name': kind})
    eventlet.spawn(eventlet.wsgi.server, server, app, open(os.devnull, 'w'),
                   protocol=wsgi.SwiftHttpProtocol, capitalize_response_headers=False)
write('ports.new', f'{port_of(sockets["proxy"])} {memcached} {keystone}\n')
os.rename(f'{folder}/ports.new', f'{folder}/ports')
while True:
    eventlet.sleep(3600)
