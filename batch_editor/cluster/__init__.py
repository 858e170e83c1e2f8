"""Functions called on the nodes of a Ray cluster, in the place of this machine's processes. One module knows Ray.

Nothing that is paid for runs there: a call that is made twice, as when a node is lost, comes to the same.
"""
