"""One run, from its plan to its summary: requests are dispatched, attempted, published and watched."""
