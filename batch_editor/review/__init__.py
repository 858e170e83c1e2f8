"""Review: pages on this machine on which people look at pictures, before and after, and say what they think of them."""
