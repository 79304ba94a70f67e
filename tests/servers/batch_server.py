# SPDX-License-Identifier: Apache-2.0
"""What stands for AWS Batch: batch_server.py FOLDER

moto has the whole API: compute environments, queues, definitions, jobs and their states. It would run
containers with docker; here a job, or a part of an array job, is a process: the command of its
definition, with the environment that the service gives it, credentials of its role among that. What
moto does otherwise than the service is put right: a job that is terminated gets SIGTERM, and the
parts of an array go with it.

Before moto sees a request, its signature is computed again by botocore, and it must be what the
service's description, which botocore has, allows.
"""

import datetime
import io
import json
import os
import shutil
import signal
import time

import boto3
import botocore.session
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.validate import ParamValidator
from moto.batch import models
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from batch_parts import FOLDER, end, environment, faults, free_port, note, start, take_fault

KEY, SECRET = os.environ['LITHOPS_TEST_BATCH_KEY'], os.environ['LITHOPS_TEST_BATCH_SECRET']
description = botocore.session.get_session().get_service_model('batch')
operations = {description.operation_model(name).http['requestUri']: description.operation_model(name)
              for name in description.operation_names}


# ---- jobs


def variables_of(job):
    """moto would add to a list that all parts of an array have."""
    found = {}
    for properties in job.job_definition.container_properties, job.container_overrides:
        found.update((item['name'], item['value']) for item in properties.get('environment', []))
    found['AWS_BATCH_JOB_ID'] = job.job_id
    if 'index' in job.array_properties:
        found['AWS_BATCH_JOB_ARRAY_INDEX'] = str(job.array_properties['index'])
    return found


def environment_of(job):
    env = dict(AWS_ACCESS_KEY_ID=os.environ['LITHOPS_TEST_S3_ACCESS_KEY'],
               AWS_SECRET_ACCESS_KEY=os.environ['LITHOPS_TEST_S3_SECRET_KEY'],
               AWS_REGION='us-east-1', AWS_EC2_METADATA_DISABLED='true')
    return {**environment(), **env, **variables_of(job)}


def run(job):
    job.status = 'RUNNABLE'
    while 'hold' in faults() and not job.stop:
        time.sleep(0.05)
    if job.stop:
        job._mark_stopped(success=False)
        return
    job.status = 'STARTING'
    if 'pull' in faults():
        job.job_stopped_reason = 'CannotPullContainerError: there is no such image'
        job._mark_stopped(success=False)
        return
    process = start(job.job_definition.container_properties['command'], environment_of(job))
    job.job_started_at = datetime.datetime.now()
    job._start_attempt()
    job.status = 'RUNNING'
    while process.poll() is None and not job.stop:
        time.sleep(0.02)
    if process.poll() is None:
        end(process)
    code = process.wait()
    job.exit_code = code if code >= 0 else 128 - code
    if not job.job_stopped_reason:
        job.job_stopped_reason = 'Essential container in task exited'
    job._mark_stopped(success=job.exit_code == 0)


def terminate(job, reason):
    for one in [job, *(job._child_jobs or [])]:
        if not one.stop and not one.job_stopped:
            one.stop = True
            one.job_stopped_reason = reason


def details(job):
    found = usual_details(job)
    if job.exit_code is not None:
        found['exitCode'] = job.exit_code
    return found


usual_details = models.Job._container_details
models.Job.run, models.Job.terminate, models.Job._container_details = run, terminate, details
# How it wants to show the environment, which is not that of a part.
usual_property = models.Job._get_container_property
models.Job._get_container_property = lambda job, name, default: (
    [] if name == 'environment' else usual_property(job, name, default))

# ---- requests


def is_signed(request, body):
    try:
        words = dict(word.split('=', 1) for word in
                     request.headers['Authorization'].split(' ', 1)[1].split(', '))
        key, _, region, service, _ = words['Credential'].split('/')
        names = words['SignedHeaders'].split(';')
        made = AWSRequest(request.method, request.url, data=body,
                          headers={name: request.headers[name] for name in names})
        made.context['timestamp'] = request.headers['X-Amz-Date']
        auth = SigV4Auth(Credentials(key, SECRET), service, region)
        text = auth.string_to_sign(made, auth.canonical_request(made))
        return key == KEY and service == 'batch' and auth.signature(text, made) == words['Signature']
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        return False


def unknown(value, shape, path):
    """What the description does not have: the service would ignore it, so nobody would notice."""
    if shape.type_name == 'structure':
        return [path + name for name in value if name not in shape.members] + [
            found for name in value if name in shape.members
            for found in unknown(value[name], shape.members[name], f'{path}{name}.')]
    if shape.type_name == 'list':
        return [found for item in value for found in unknown(item, shape.member, path + '[].')]
    return []


def wrong(request, body):
    operation = operations.get(request.path)
    if operation is None or request.method != operation.http['method']:
        return 'there is no such operation'
    value = json.loads(body)
    report = ParamValidator().validate(value, operation.input_shape)
    if report.has_errors():
        return report.generate_report()
    names = unknown(value, operation.input_shape, '')
    return f'unknown: {names}' if names else None


def refusal(status, text):
    name = 'ClientException' if status < 500 else 'ServerException'
    return Response(json.dumps({'message': text}), status, {'x-amzn-ErrorType': name},
                    content_type='application/json')


@Request.application
def answer(request):
    body = request.get_data(cache=True)
    if request.path.startswith('/v1/'):
        note(request.path, body)
        if not is_signed(request, body):
            return refusal(403, 'The signature does not match.')
        text = wrong(request, body)
        if text:
            print(request.path, text, flush=True)
            return refusal(400, text)
        status = take_fault('refuse') if request.path == '/v1/submitjob' else None
        if status:
            return refusal(int(status), 'it was told to refuse')
    request.environ['wsgi.input'] = io.BytesIO(body)  # it has been read
    return Response.from_app(moto, request.environ, buffered=True)


moto = DomainDispatcherApplication(create_backend_app)
port = free_port()
server = make_server('127.0.0.1', port, answer, threaded=True)


def prepare():
    """What a user has before: roles, a network."""
    import threading
    threading.Thread(target=server.serve_forever, daemon=True).start()
    ask = dict(endpoint_url=f'http://127.0.0.1:{port}', region_name='us-east-1', aws_access_key_id='x',
               aws_secret_access_key='x')
    role = boto3.client('iam', **ask).create_role(RoleName='lithops', AssumeRolePolicyDocument='{}')
    ec2 = boto3.client('ec2', **ask)
    place = {'service_role': role['Role']['Arn'],
             'subnets': [net['SubnetId'] for net in ec2.describe_subnets()['Subnets']],
             'security_groups': [group['GroupId'] for group in
                                 ec2.describe_security_groups()['SecurityGroups']][:1]}
    with open(FOLDER + '/place.new', 'w') as file:
        json.dump({'endpoint': f'http://127.0.0.1:{port}', **place}, file)
    shutil.move(FOLDER + '/place.new', FOLDER + '/place')


prepare()
while True:
    signal.pause()
