# SPDX-License-Identifier: Apache-2.0
"""The places where upstream has its storage backends, for programs that import them from there."""
