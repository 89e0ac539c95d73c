"""Making the models of `circuits.truth`, whose circuits are known by construction."""
