"""One run, from its plan to its summary: requests are dispatched, attempted, published and watched.

Its names are imported from its modules (`batch.run_batch`, `options.BatchOptions`, `summary.last_summary`): `status`
must not wait for the network's library, which sending needs.
"""
