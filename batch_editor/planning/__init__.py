"""From manifests to a plan: which jobs there are, what they will cost, and how long they will take."""
