"""What tests of several rooms share: benches, stand-ins for servers and clocks, processes."""
