"""What to do after a crash or a loss: resolve what is open, reconcile with the provider, rebuild the ledger.

Each module is named for its one function (`recover`, `reconcile`, `rebuild`), which is imported from there: only
`reconcile` needs the network's library.
"""
