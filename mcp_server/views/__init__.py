"""What people and programs look at: the files in the work tree, the chart, tables, one experiment, the report."""
