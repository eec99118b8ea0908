"""Any number of photos without a server: a folder, a list, a table or a bucket in, Parquet out, resumable."""
