# SPDX-License-Identifier: Apache-2.0
"""Lithops in other libraries."""
