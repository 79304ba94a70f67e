# SPDX-License-Identifier: Apache-2.0
"""The decorators: @task.lithops, @task.lithops_map, @task.lithops_map_reduce."""
