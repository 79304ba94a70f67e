# SPDX-License-Identifier: Apache-2.0
"""A stand-in for Keystone, for tests of the backend swift: it answers POST /v3/auth/tokens as
Keystone does, with tokens of Swift's own login, which Swift then checks itself.

    keystone.py PORT SWIFT_PORT

User `tester` of the domain `default`, password `testing`, project `testproject`; the same under the
name `late`, whose first token Swift does not know, as if it had expired; and the application's
credential `app`, `app-secret`."""
import http.server
import json
import sys
import time
import urllib.request

port, swift = int(sys.argv[1]), f'http://127.0.0.1:{sys.argv[2]}'
late = []


def accepted(auth):
    identity = auth['identity']
    if identity['methods'] == ['application_credential']:
        given = identity['application_credential']
        return 'app' if given == {'id': 'app', 'secret': 'app-secret'} else None
    user = identity['password']['user']
    good = (user['domain'] in ({'id': 'default'}, {'name': 'Default'})
            and user['name'] in ('tester', 'late') and user['password'] == 'testing'
            and auth['scope'] == {'project': {'id': 'testproject'}})
    return user['name'] if good else None


def log_in(name):
    if name == 'late' and not late:
        late.append(True)
        token = 'AUTH_tk' + 32 * '0'
    else:
        headers = {'X-Auth-User': 'test:tester', 'X-Auth-Key': 'testing'}
        request = urllib.request.Request(f'{swift}/auth/v1.0', headers=headers)
        with urllib.request.urlopen(request) as answer:
            token = answer.headers['X-Auth-Token']
    return token, f'{swift}/v1/AUTH_test'


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def answer(self, status, document, headers=()):
        body = json.dumps(document).encode()
        self.send_response(status)
        for name, value in (('Content-Length', str(len(body))), *headers):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
        name = accepted(asked['auth']) if self.path == '/v3/auth/tokens' else None
        if not name:
            self.answer(401, {'error': {'code': 401, 'title': 'Unauthorized', 'message':
                                        'The request you have made requires authentication.'}})
            return
        token, url = log_in(name)
        end = time.strftime('%Y-%m-%dT%H:%M:%S.000000Z', time.gmtime(time.time() + 3600))
        other = {'interface': 'public', 'region': 'Elsewhere', 'region_id': 'Elsewhere',
                 'url': 'http://127.0.0.1:9/'}
        here = {'interface': 'public', 'region': 'RegionOne', 'region_id': 'RegionOne', 'url': url}
        catalog = [{'type': 'identity', 'name': 'keystone', 'endpoints': [other]},
                   {'type': 'object-store', 'name': 'swift', 'endpoints': [other, here]}]
        self.answer(201, {'token': {'expires_at': end, 'catalog': catalog}},
                    [('X-Subject-Token', token)])

    def log_message(self, *args):
        pass


http.server.ThreadingHTTPServer(('127.0.0.1', port), Handler).serve_forever()
