# SPDX-License-Identifier: Apache-2.0
"""What ours/objects.c does, with boto3: objects.py download|upload|small-get|small-put BUCKET ...

The server is that of LITHOPS_TEST_S3_ENDPOINT."""
import mmap
import os
import resource
import sys
import time

import boto3

client = boto3.client('s3', endpoint_url=os.environ['LITHOPS_TEST_S3_ENDPOINT'],
                      aws_access_key_id=os.environ['LITHOPS_TEST_S3_ACCESS_KEY'],
                      aws_secret_access_key=os.environ['LITHOPS_TEST_S3_SECRET_KEY'],
                      region_name='us-east-1')


def cpu_s():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def timed(what):
    start, cpu = time.perf_counter(), cpu_s()
    what()
    print('seconds', time.perf_counter() - start)
    print('cpu', cpu_s() - cpu)


def download(bucket, key, path):
    timed(lambda: client.download_file(bucket, key, path))
    with open(path, 'rb') as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as data:
        print('sum', sum(data[::4099]) + len(data))
    os.unlink(path)


def upload(bucket, key, path):
    """The server leaves the parts as they are."""
    timed(lambda: client.upload_file(path, bucket, key))
    total, left, number = 0, os.path.getsize(path), 0
    while left:
        number += 1
        part = client.get_object(Bucket=bucket, Key=f'parts/{number}')['Body'].read()
        total += sum(part[::4099]) + len(part)
        left -= len(part)
        client.delete_object(Bucket=bucket, Key=f'parts/{number}')
    print('sum', total)


def body(number):
    return bytes([ord('a') + number % 64 % 26]) * 4096


def small_get(bucket, count):
    def get(number):
        answer = client.get_object(Bucket=bucket, Key=f'small/{number % 64}')
        if answer['Body'].read() != body(number):
            sys.exit('a small object is wrong')

    def run():
        for number in range(int(count)):
            get(number)
    get(0)
    timed(run)


def small_put(bucket, count):
    def put(number):
        client.put_object(Bucket=bucket, Key=f'small/{number % 64}', Body=body(number))

    def run():
        for number in range(int(count)):
            put(number)
    put(0)
    timed(run)


if __name__ == '__main__':
    {'download': download, 'upload': upload, 'small-get': small_get,
     'small-put': small_put}[sys.argv[1]](*sys.argv[2:])
