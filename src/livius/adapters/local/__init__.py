"""This machine's OS users, processes, runtimes, metastore and folders of lakehouses."""
