"""One module per verb: the only place where the stages meet."""
