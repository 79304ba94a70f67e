# SPDX-License-Identifier: Apache-2.0
"""What client and worker processes both need, above all what pickles name."""
