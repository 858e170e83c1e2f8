"""What to do after a crash or a loss: finish, reconcile with the provider, rebuild the ledger."""
