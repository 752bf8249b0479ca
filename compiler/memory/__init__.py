# SPDX-License-Identifier: Apache-2.0
"""Where everything lies: aliasing, the arena plan, its packing, and all of it predicted."""
