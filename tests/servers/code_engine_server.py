# SPDX-License-Identifier: Apache-2.0
"""What stands for IBM Code Engine: code_engine_server.py FOLDER

Of the API what jobs need: tokens of IAM, projects, secrets, jobs and their runs. An instance of a run
is a process: the command of its job, with the environment that the service gives it. It sees the
secrets that are mounted in a folder of its own, whose name is put where the environment has the mount's.

IBM's own SDK, which is generated from the published description of the API, says what is right. Each
request is made again by the SDK from what it has in it, and must come out the same: method, path,
query, headers, body. Each answer must be what the SDK reads, without anything that it does not know.
The documented limits hold: 10 KiB for a run, 1000 instances, 100 runs and 100 secrets, and what is
deleted by nobody stays.

Faults are those of batch_parts.py, and "expire": the token of the next request is good no more.
"""

import datetime
import http.server
import json
import os
import re
import shutil
import signal
import threading
import time
import urllib.parse

from ibm_cloud_sdk_core.authenticators import NoAuthAuthenticator
from ibm_code_engine_sdk import code_engine_v2 as sdk

from batch_parts import FOLDER, end, environment, faults, free_port, note, start, take_fault

KEY, REGION, PAGE = os.environ['LITHOPS_TEST_BATCH_KEY'], 'us-south', 3
ZONE = dict(computed_env_variables=[], run_mode='task', run_service_account='default')
SIZES = {cpu: [cpu * ratio for ratio in (2, 4, 8) if cpu * ratio <= 48]
         for cpu in (0.125, 0.25, 0.5, 1, 2, 4, 6, 8, 10, 12)}
lock = threading.RLock()
tokens, projects, looks = set(), {}, {}


class Refusal(Exception):
    def __init__(self, status, code, message):
        super().__init__(message)
        self.status, self.code = status, code


def now():
    return datetime.datetime.now(datetime.timezone.utc).strftime('%Y-%m-%dT%H:%M:%SZ')


# ---- what IBM's SDK says of requests and answers

OPERATIONS = [  # method, path, operation, the type of what it answers
    ('GET', '/projects', 'list_projects', sdk.ProjectList),
    ('POST', '/projects', 'create_project', sdk.Project),
    ('GET', '/projects/{project_id}/secrets', 'list_secrets', sdk.SecretList),
    ('POST', '/projects/{project_id}/secrets', 'create_secret', sdk.Secret),
    ('PUT', '/projects/{project_id}/secrets/{name}', 'replace_secret', sdk.Secret),
    ('DELETE', '/projects/{project_id}/secrets/{name}', 'delete_secret', None),
    ('GET', '/projects/{project_id}/jobs', 'list_jobs', sdk.JobList),
    ('POST', '/projects/{project_id}/jobs', 'create_job', sdk.Job),
    ('GET', '/projects/{project_id}/jobs/{name}', 'get_job', sdk.Job),
    ('PATCH', '/projects/{project_id}/jobs/{name}', 'update_job', sdk.Job),
    ('DELETE', '/projects/{project_id}/jobs/{name}', 'delete_job', None),
    ('POST', '/projects/{project_id}/job_runs', 'create_job_run', sdk.JobRun),
    ('GET', '/projects/{project_id}/job_runs/{name}', 'get_job_run', sdk.JobRun),
    ('DELETE', '/projects/{project_id}/job_runs/{name}', 'delete_job_run', None),
]
PARTS = {'run_env_variables': sdk.EnvVarPrototype, 'run_volume_mounts': sdk.VolumeMountPrototype}
DATA = {'generic': sdk.SecretDataGenericSecretData, 'registry': sdk.SecretDataRegistrySecretData}


def find_operation(method, path):
    for known, pattern, name, answers in OPERATIONS:
        found = re.fullmatch(re.sub(r'{(\w+)}', r'(?P<\1>[^/]+)', pattern), path)
        if found and known == method:
            return name, answers, found.groupdict()
    raise Refusal(404, 'not_found', f'there is no operation {method} {path}')


def as_the_sdk_has_it(name, arguments):
    """The request that the SDK makes."""
    made = []
    client = sdk.CodeEngineV2(authenticator=NoAuthAuthenticator(), version=arguments.pop('version', None))
    client.set_service_url('http://x/v2')
    client.send = lambda request, **_: made.append(request)
    getattr(client, name)(**arguments)
    return made[0]


def check_parts(body):
    for key, kind in PARTS.items():
        for one in body.get(key, []):
            if kind.from_dict(one).to_dict() != one:
                raise ValueError(f'{key} has what the SDK does not know: {one}')
    if 'data' in body and DATA[body['format']].from_dict(body['data']).to_dict() != body['data']:
        raise ValueError('the data of the secret is not what its format has')


def check_request(name, names, request, query, body):
    arguments = {**names, **query}
    if name == 'update_job':
        if sdk.JobPatch.from_dict(body).to_dict() != body:
            raise ValueError('the patch has what the SDK does not know')
        arguments['job'] = body
    elif body is not None:
        arguments.update(body)
    if name in ('update_job', 'replace_secret'):
        arguments['if_match'] = request.headers['If-Match']
    check_parts(body or {})
    made = as_the_sdk_has_it(name, arguments)
    path = urllib.parse.urlsplit(request.path).path
    is_same = (made['method'] == request.command and made['url'] == 'http://x' + path
               and {key: str(value) for key, value in made['params'].items()} == query
               and (json.loads(made['data']) if made.get('data') else None) == body)
    if not is_same:
        raise ValueError(f'the SDK makes of it: {made}')
    for header in 'content-type', 'if-match':
        if made['headers'].get(header) and made['headers'][header] != request.headers[header]:
            raise ValueError(f'{header} is {request.headers[header]}, not {made["headers"][header]}')


def check_answer(kind, answer):
    """One that is wrong here is an error of this server, and of no use to anybody."""
    if kind is not None and kind.from_dict(answer).to_dict() != answer:
        print(f'not a {kind}: {answer}', flush=True)
        os._exit(1)


# ---- runs


def indices_of(spec):
    found = []
    for part in spec.split(','):
        first, _, last = part.partition('-')
        found += range(int(first), int(last or first) + 1)
    return found


class Run:
    def __init__(self, project, name, job, body):
        self.project, self.name, self.job, self.body = project, name, job, body
        self.is_deleted = False
        self.indices = {index: {'status': 'pending'} for index in indices_of(body['scale_array_spec'])}
        self.folder = f'{FOLDER}/mounts/{name}'
        for index in self.indices:
            threading.Thread(target=self.run, args=(index,), daemon=True).start()

    def mount(self):
        """What the mounted secrets have, in files."""
        places = {}
        for number, mount in enumerate(self.body.get('run_volume_mounts', [])):
            places[mount['mount_path']] = folder = f'{self.folder}/{number}'
            with lock:
                data = self.project['secrets'][mount['reference']]['data']
                os.makedirs(folder, exist_ok=True)
                for key, value in data.items():
                    with open(f'{folder}/{key}.new', 'w') as file:
                        file.write(value)
                    os.rename(f'{folder}/{key}.new', f'{folder}/{key}')
        return places

    def environment(self, index):
        env = {**environment(), 'CE_JOBRUN': self.name, 'CE_JOB': self.job['name'],
               'CE_PROJECT_ID': self.project['id'], 'CE_REGION': REGION, 'JOB_INDEX': str(index),
               'JOB_ARRAY_SIZE': str(len(self.indices)), 'JOB_MODE': 'task', 'JOB_RETRY_LIMIT': '0'}
        places = self.mount()
        for variable in self.job['run_env_variables'] + self.body.get('run_env_variables', []):
            value = variable['value']
            for path, folder in places.items():
                if value == path or value.startswith(path + '/'):
                    value = folder + value[len(path):]
            env[variable['name']] = value
        return env

    def run(self, index):
        state = self.indices[index]
        while 'hold' in faults() and not self.is_deleted:
            time.sleep(0.05)
        if 'pull' in faults():
            state.update(status='failed', last_failure_reason='ImagePullBackOff', finished_at=now())
        if self.is_deleted or state['status'] == 'failed':
            return
        process = start(self.job['run_commands'] + self.job['run_arguments'], self.environment(index))
        state.update(started_at=now(), status='running')
        deadline = time.monotonic() + self.body['scale_max_execution_time']
        while process.poll() is None and not self.is_deleted and time.monotonic() < deadline:
            time.sleep(0.02)
        if process.poll() is None:
            end(process)
        code = process.wait()
        state['finished_at'] = now()
        if code:
            state['last_failure_reason'] = f'ContainerExitedCode{code if code > 0 else 128 - code}'
        state['status'] = 'failed' if code else 'succeeded'

    def delete(self):
        self.is_deleted = True
        shutil.rmtree(self.folder, ignore_errors=True)

    def details(self):
        states = {str(index): {**state, 'retries': 0} for index, state in self.indices.items()}
        found = {'requested': len(states), 'indices_details': states}
        for status in 'pending', 'running', 'succeeded', 'failed':
            having = [index for index, state in states.items() if state['status'] == status]
            found[status] = len(having)
            if having:
                found[status + '_indices'] = ','.join(having)
        return found

    def show(self):
        details = self.details()
        status = ('running' if details['running'] else 'pending' if details['pending'] else
                  'failed' if details['failed'] else 'completed')
        keys = 'scale_array_spec', 'scale_max_execution_time', 'scale_retry_limit', 'job_name'
        variables = self.job['run_env_variables'] + self.body.get('run_env_variables', [])
        return {**{key: self.body[key] for key in keys}, 'computed_env_variables': [], 'name': self.name,
                'run_commands': self.job['run_commands'], 'run_arguments': self.job['run_arguments'],
                'run_env_variables': variables, 'run_volume_mounts': self.body.get('run_volume_mounts', []),
                'status': status, 'status_details': details}


# ---- operations


def check_name(name):
    if len(name) > 63 or not re.fullmatch(r'[a-z0-9]([-a-z0-9]*[a-z0-9])?', name):
        raise Refusal(400, 'invalid_name', f'{name} is no name')


def new(things, name, most):
    check_name(name)
    if name in things:
        raise Refusal(409, 'already_exists', f'{name} already exists')
    if len(things) >= most:
        raise Refusal(403, 'quota_exceeded', f'there are {most}')


def known(things, name, what):
    if name not in things:
        raise Refusal(404, 'not_found', f'there is no {what} {name}')
    return things[name]


def show_project(project):
    return {key: project[key] for key in ('id', 'name', 'region', 'resource_group_id', 'status')}


def show_secret(secret):
    return {key: secret[key] for key in ('name', 'format', 'data', 'entity_tag')}


def show_job(job):
    return {**ZONE, 'entity_tag': '1', 'scale_array_spec': '0', 'scale_ephemeral_storage_limit': '400M',
            **job, 'run_volume_mounts': job.get('run_volume_mounts', [])}


def page(kind, items, query):
    begin, size = int(query.get('start', 0)), min(int(query.get('limit', PAGE)), PAGE)
    found = {kind: items[begin:begin + size], 'limit': size}
    if begin + size < len(items):
        found['next'] = {'start': str(begin + size)}
    return found


def list_projects(query):
    for project in projects.values():
        looks[project['id']] = looks.get(project['id'], 0) + 1
        if project['status'] == 'creating' and looks[project['id']] > 2:
            project['status'] = 'active'
    return page('projects', [show_project(project) for project in projects.values()], query)


def create_project(query, name, resource_group_id='the-default-one'):
    number = f'{len(projects):08x}-abcd-abcd-abcd-0123456789ab'
    projects[number] = dict(id=number, name=name, region=REGION, resource_group_id=resource_group_id,
                            status='creating', secrets={}, jobs={}, runs={})
    return show_project(projects[number])


def list_secrets(query, project):
    secrets = [show_secret(secret) for secret in project['secrets'].values()
               if secret['format'] == query.get('format', secret['format'])]
    return page('secrets', secrets, query)


def create_secret(query, project, name, format, data):
    new(project['secrets'], name, 100)
    project['secrets'][name] = dict(name=name, format=format, data=data, entity_tag='1')
    return show_secret(project['secrets'][name])


def replace_secret(query, project, name, format, data):
    known(project['secrets'], name, 'secret').update(format=format, data=data)
    return show_secret(project['secrets'][name])


def delete_secret(query, project, name):
    known(project['secrets'], name, 'secret')
    del project['secrets'][name]


def check_job(job):
    cpus, memory = float(job['scale_cpu_limit']), job['scale_memory_limit']
    if memory[-1] != 'G' or float(memory[:-1]) not in SIZES.get(cpus, []):
        raise Refusal(400, 'invalid_size', f'{cpus} CPUs and {memory} are no combination')


def list_jobs(query, project):
    return page('jobs', [show_job(job) for job in project['jobs'].values()], query)


def create_job(query, project, name, **job):
    new(project['jobs'], name, 100)
    check_job(job)
    if 'image_secret' in job:
        known(project['secrets'], job['image_secret'], 'secret')
    project['jobs'][name] = {'name': name, **job}
    return show_job(project['jobs'][name])


def get_job(query, project, name):
    return show_job(known(project['jobs'], name, 'job'))


def update_job(query, project, name, **job):
    merged = {**known(project['jobs'], name, 'job'), **job}  # null takes a key away
    project['jobs'][name] = {key: value for key, value in merged.items() if value is not None}
    return show_job(project['jobs'][name])


def delete_job(query, project, name):
    known(project['jobs'], name, 'job')
    del project['jobs'][name]


def create_job_run(query, project, name, job_name, **body):
    status = take_fault('refuse')
    if status:
        raise Refusal(int(status), 'refused', 'it was told to refuse')
    if len(json.dumps({'name': name, **body})) > 10 << 10:
        raise Refusal(400, 'too_large', 'it has more than 10 KiB')
    if len(indices_of(body['scale_array_spec'])) > 1000 or body['scale_retry_limit'] != 0:
        raise Refusal(400, 'invalid', 'too many instances, or retries')
    new(project['runs'], name, 100)
    for mount in body.get('run_volume_mounts', []):
        known(project['secrets'], mount['reference'], 'secret')
    job = known(project['jobs'], job_name, 'job')
    project['runs'][name] = Run(project, name, job, {'job_name': job_name, **body})
    return project['runs'][name].show()


def get_job_run(query, project, name):
    return known(project['runs'], name, 'job run').show()


def delete_job_run(query, project, name):
    known(project['runs'], name, 'job run').delete()
    del project['runs'][name]


# ---- requests


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *_):
        pass

    def reply(self, status, document):
        body = b'' if document is None else json.dumps(document).encode()
        self.send_response(status)
        self.send_header('Content-Type', 'application/json')
        if status != 204:
            self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def give_token(self, body):
        form = dict(urllib.parse.parse_qsl(body.decode()))
        if form != {'grant_type': 'urn:ibm:params:oauth:grant-type:apikey', 'apikey': KEY}:
            return self.reply(400, {'errorCode': 'BXNIM0415E', 'errorMessage': 'no such API key'})
        with lock:
            token = f'token-{len(tokens)}-of-this-server'
            tokens.add(token)
        return self.reply(200, {'access_token': token, 'token_type': 'Bearer', 'expires_in': 3600,
                                'expiration': int(time.time()) + 3600})

    def check_token(self):
        token = self.headers.get('Authorization', '').removeprefix('Bearer ')
        if take_fault('expire') is not None:
            tokens.discard(token)
            tokens.add('what has been')  # numbers are not given twice
        if token not in tokens:
            raise Refusal(401, 'unauthorized', 'the token is not good')

    def operate(self, method, body):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        if not url.path.startswith('/v2/') or 'version' not in query:
            raise Refusal(404, 'not_found', 'this is version 2')
        name, kind, names = find_operation(method, url.path[len('/v2'):])
        note(name, body)
        value = json.loads(body) if body else None
        try:
            check_request(name, names, self, query, value)
        except (ValueError, TypeError, KeyError) as error:
            print(method, self.path, repr(error), flush=True)
            raise Refusal(400, 'invalid', repr(error)) from error
        with lock:
            self.check_token()
            if 'project_id' in names:
                names = {**names, 'project': known(projects, names['project_id'], 'project')}
                del names['project_id']
            answer = globals()[name](query, **{**names, **(value or {})})
            if answer is not None:
                check_answer(kind, answer)
        return answer

    def answer(self):
        body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        try:
            if self.path == '/identity/token':
                return self.give_token(body)
            found = self.operate(self.command, body)
        except Refusal as error:
            return self.reply(error.status, {'errors': [{'code': error.code, 'message': str(error)}],
                                             'trace': 'codeengine-api-0', 'status_code': error.status})
        return self.reply(202 if found is None else 201 if self.command == 'POST' else 200, found)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer


port = free_port()
for other in 'of-somebody', 'of-another', 'lithops-us-east', 'the-fourth':
    create_project({}, other)
server = http.server.ThreadingHTTPServer(('127.0.0.1', port), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
with open(FOLDER + '/place.new', 'w') as file:
    json.dump({'endpoint': f'http://127.0.0.1:{port}', 'iam_endpoint': f'http://127.0.0.1:{port}',
               'region': REGION}, file)
shutil.move(FOLDER + '/place.new', FOLDER + '/place')
while True:
    signal.pause()
