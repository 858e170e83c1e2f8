"""What requests cost, and the limits that no run exceeds: prices, budgets and reservations."""
