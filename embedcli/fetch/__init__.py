"""Files from elsewhere: the only package that opens a socket, and only for `models add` and `models sync`."""
