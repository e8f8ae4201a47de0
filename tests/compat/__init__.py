"""Index files of released formats must be read forever.

Each `format-N-*.emb` was made once by `make_index.py` with the version that had that format, and is committed
with what it answered. Files of an older format stay when a new one comes; then they load, or fail with the
hint to build again.
"""
