"""What the rows of the benchmark share: a private cluster, nginx, the relay, its peers, figures."""
