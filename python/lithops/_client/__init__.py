# SPDX-License-Identifier: Apache-2.0
"""What starts jobs and reads their results: of the client alone."""
