# SPDX-License-Identifier: Apache-2.0
"""The hook: connection -> executor."""
