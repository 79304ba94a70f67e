# SPDX-License-Identifier: Apache-2.0
"""The exception of a failed call, on its way from the worker process to the client."""
