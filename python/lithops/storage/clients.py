# SPDX-License-Identifier: Apache-2.0
"""What `Storage.get_client` gives: the client that upstream's backend of this name has, made of the
same section of the configuration, where its library is installed."""

from __future__ import annotations

import json
import os
from typing import Any


def make_client(backend: str, section: dict) -> Any:
    """None where the section lacks what the library's client needs. ImportError without it."""
    return _CLIENTS[backend][1](section) if backend in _CLIENTS else None


def library_of(backend: str) -> str | None:
    """What to install for the backend's client."""
    return _CLIENTS[backend][0] if backend in _CLIENTS else None


def _boto3(section: dict) -> Any:
    import boto3
    return boto3.client(
        's3', endpoint_url=section.get('endpoint'),
        aws_access_key_id=section.get('access_key_id'),
        aws_secret_access_key=section.get('secret_access_key'),
        aws_session_token=section.get('session_token'),
        region_name=section.get('region') or section.get('region_name'))


def _boto3_with_keys(section: dict) -> Any:
    if not (section.get('endpoint') and section.get('secret_access_key')):
        return None
    return _boto3(section)


def _google(section: dict) -> Any:
    """With HMAC keys the client of S3's protocol, which is what they are for."""
    path = section.get('credentials_path') or os.environ.get('GOOGLE_APPLICATION_CREDENTIALS')
    if not path or section.get('access_key_id'):
        return _boto3_with_keys({'endpoint': 'https://storage.googleapis.com', **section})
    from google.cloud import storage
    return storage.Client.from_service_account_json(os.path.expanduser(path))


def _redis(section: dict) -> Any:
    import redis
    ours = ('storage_bucket', 'user_agent')
    return redis.StrictRedis(**{key: value for key, value in section.items() if key not in ours})


def _azure(section: dict) -> Any:
    from azure.storage.blob import BlobServiceClient
    name = section.get('storage_account_name')
    credential = section.get('storage_account_key') or section.get('sas_token')
    if not (name and credential):
        return None
    url = section.get('endpoint') or f'https://{name}.blob.core.windows.net'
    return BlobServiceClient(account_url=url, credential=credential)


def _swift(section: dict) -> Any:
    """A session whose requests have the token; its attribute `endpoint` is the account's URL."""
    import requests
    token, endpoint = section.get('token'), section.get('endpoint')
    session = requests.Session()
    if not token:
        if not (section.get('auth_url') and section.get('user_id') and section.get('password')):
            return None
        token, endpoint = _log_in(session, section)
    session.headers['X-Auth-Token'] = token
    session.endpoint = endpoint
    return session


def _log_in(session: Any, section: dict) -> tuple[str, str]:
    url = section['auth_url'].rstrip('/')
    if url.endswith(('/v1.0', '/v1')):
        answer = session.get(url, headers={'X-Auth-User': section['user_id'],
                                           'X-Auth-Key': section['password']})
        answer.raise_for_status()
        return answer.headers['X-Auth-Token'], answer.headers['X-Storage-Url']
    domain = section.get('user_domain_name')
    user = {'name': section['user_id'], 'password': section['password'],
            'domain': {'name': domain} if domain else {'id': 'default'}}
    auth: dict = {'identity': {'methods': ['password'], 'password': {'user': user}}}
    if section.get('project_id'):
        auth['scope'] = {'project': {'id': section['project_id']}}
    answer = session.post(url + ('' if url.endswith('/v3') else '/v3') + '/auth/tokens',
                          data=json.dumps({'auth': auth}),
                          headers={'Content-Type': 'application/json'})
    answer.raise_for_status()
    region, interface = section.get('region'), section.get('interface') or 'public'
    for service in answer.json()['token'].get('catalog', []):
        for endpoint in service['endpoints'] if service['type'] == 'object-store' else ():
            if endpoint['interface'] == interface and region in (
                    None, endpoint.get('region'), endpoint.get('region_id')):
                return answer.headers['X-Subject-Token'], endpoint['url'].rstrip('/')
    raise ValueError(f'the catalog of {url} has no object store in region {region!r}')


def _infinispan(section: dict) -> Any:
    """A session whose requests are the user's; its attribute `endpoint` is the URL of the caches."""
    import requests
    from requests.auth import HTTPBasicAuth, HTTPDigestAuth
    endpoint, user = section.get('endpoint'), section.get('username')
    if not endpoint:
        return None
    session = requests.Session()
    if user:
        is_basic = str(section.get('auth_mech') or 'DIGEST').upper() == 'BASIC'
        session.auth = (HTTPBasicAuth if is_basic else HTTPDigestAuth)(
            user, section.get('password') or '')
    session.endpoint = endpoint.rstrip('/') + '/rest/v2/caches'
    return session


_CLIENTS: dict = {
    'aws_s3': ('boto3', _boto3),
    'minio': ('boto3', _boto3_with_keys),
    'ceph': ('boto3', _boto3_with_keys),
    'ibm_cos': ('boto3', _boto3_with_keys),
    'oracle_oss': ('boto3', _boto3_with_keys),
    'gcp_storage': ('google-cloud-storage', _google),
    'redis': ('redis', _redis),
    'azure_storage': ('azure-storage-blob', _azure),
    'swift': ('requests', _swift),
    'infinispan': ('requests', _infinispan),
}
